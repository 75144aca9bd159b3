"""Numbers of eight bits with a point, kept as float32: what a cast to them rounds away.

With ``c = x * (2**s + 1)``, ``c - (c - x)`` is ``x`` without its last ``s`` bits, rounded to the
nearest (T. Dekker, A Floating-Point Technique for Extending the Available Precision, 1971). Below
the smallest normal number the steps are equal, and rounding is that of integers.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes

from hornbeam.converter.lowering.builder import Builder
from hornbeam.graph import Value

__all__ = ["to_float8"]

_FLOAT32_BITS = 24


def to_float8(b: Builder, x: Value, dtype: str) -> Value:
    """``x`` (in range) rounded to ``dtype``, such as ``float8_e4m3fn``, as float32."""
    limits: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    dropped = _FLOAT32_BITS - (limits.nmant + 1)
    wide = b.cast(x, "float32")
    scaled = b.binary("multiply", wide, float(2**dropped + 1))
    normal = b.binary("subtract", scaled, b.binary("subtract", scaled, wide))
    steps = float(2.0 ** (limits.nmant - limits.minexp))
    small = b.binary("multiply", b.unary("round", b.binary("multiply", wide, steps)), 1.0 / steps)
    is_small = b.compare("less", b.unary("abs", wide), float(2.0**limits.minexp))
    return b.select(is_small, small, normal)
