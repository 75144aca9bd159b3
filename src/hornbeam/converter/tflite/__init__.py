"""The TFLite writer: a graph becomes one flatbuffer of builtin operators, without TensorFlow.

``registry`` maps each graph operation to the small function that writes it; the families of these
functions are ``linear``, ``transposed_conv``, ``pooling``, ``elementwise`` (with ``unary``),
``movement``, ``slices`` and ``reduction``. They emit through ``context``; ``sizes`` computes free
sizes at run time, ``rows`` makes pictures of sequences, ``windows`` pads, ``fusion`` finds
activations that an operator can take along, ``versions`` knows what each use of an operator asks
of the runtime. ``writer`` walks the graph; ``flatfile`` and ``skeleton`` pack the result.
"""

from __future__ import annotations

from hornbeam.errors import ConversionError

try:
    from hornbeam.converter.tflite.writer import to_bytes, write
except ModuleNotFoundError as error:
    if error.name not in ("ai_edge_litert", "flatbuffers"):
        raise
    raise ConversionError(
        "A TFLite file was asked for",
        f"The package that knows the format, {error.name}, is not installed",
        "Install it with: pip install 'hornbeam[convert]'",
    ) from error

__all__ = ["to_bytes", "write"]
