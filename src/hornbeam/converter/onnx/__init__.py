"""From the graph to an ONNX file, channels-first where kernels want it.

`write` and `to_model` are the whole of it. Inside: `freedom` and `layout` choose memory layouts,
`emitter` collects nodes and weights, one small function per operation writes it (`elementwise`,
`linear`, `movement`, `pooling`, `reduction`), and `serialize` puts it on disk.
"""

from __future__ import annotations

from hornbeam.converter.onnx.writer import (
    DEFAULT_OPSET,
    OLDEST_OPSET,
    check_opset,
    newest_opset,
    to_model,
    write,
)

__all__ = ["DEFAULT_OPSET", "OLDEST_OPSET", "check_opset", "newest_opset", "to_model", "write"]
