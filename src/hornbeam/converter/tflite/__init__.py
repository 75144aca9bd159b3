"""The TFLite writer: a graph becomes one flatbuffer of builtin operators, without TensorFlow.

``registry`` maps each graph operation to the small function that writes it; ``context`` is what
such a function emits tensors and operators with; ``sizes`` computes free sizes at run time;
``fusion`` finds activations that an operator can take along; ``writer`` walks the graph and
``flatfile`` packs the result.
"""

from __future__ import annotations

from hornbeam.converter.tflite.writer import to_bytes, write

__all__ = ["to_bytes", "write"]
