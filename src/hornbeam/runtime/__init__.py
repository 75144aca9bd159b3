"""The runtime opens a model file and runs it: ONNX on onnxruntime, TFLite on LiteRT.

Nothing in here knows how the file was made. What the converter has to tell travels in
the file's metadata, so a device needs numpy and one engine, and nothing else of Hornbeam.
Importing this package imports numpy only; an engine is imported when a file asks for it.
"""

from __future__ import annotations

from hornbeam.runtime.session import Session, load
from hornbeam.runtime.tensors import TensorInfo

__all__ = ["Session", "TensorInfo", "load"]
