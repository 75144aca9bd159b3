"""Functions of ``keras.ops`` that multiply, solve and transform."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from ops_harness import Table, floats, ints

CASES = case = Table()

_SQUARE = floats(3, 4, 4)
_SAFE = _SQUARE + 6.0 * np.eye(4, dtype=np.float32)
_POSITIVE = _SQUARE @ _SQUARE.transpose(0, 2, 1) + np.eye(4, dtype=np.float32)
_LOWER = np.linalg.cholesky(_POSITIVE)

# Products
case("matmul", ops.matmul, floats(3, 4, 5), floats(3, 5, 2))
case("matmul/int", ops.matmul, ints(3, 4, 5), ints(3, 5, 2))
case("matmul/vector", lambda x: ops.matmul(x, np.arange(5.0, dtype="float32")), floats(3, 4, 5))
case("dot", lambda x: ops.dot(x, np.ones((5, 2), "float32")), floats(3, 4, 5))
case("dot/tensors", ops.dot, floats(3, 4), floats(4, 2), fixed=True)
case("inner", ops.inner, floats(3, 4), floats(2, 4), fixed=True)
case("vdot", ops.vdot, floats(3, 4), floats(3, 4), fixed=True)
case("outer", ops.outer, floats(3), ints(4), fixed=True)
case("kron", ops.kron, floats(3, 2), floats(2, 4), fixed=True)
case("cross", ops.cross, floats(3, 4, 3), floats(3, 4, 3))
case("cross/plane", ops.cross, floats(3, 2), floats(3, 2))
case("cross/mixed", lambda x: ops.cross(x, np.array([1.0, 2.0, -1.0], "float32")), floats(3, 2))
case(
    "tensordot",
    lambda x, y: ops.tensordot(x, y, axes=[[2, 1], [0, 1]]),
    floats(3, 4, 5),
    floats(5, 4, 2),
    fixed=True,
)
case(
    "tensordot/two",
    lambda x: ops.tensordot(x, np.ones((4, 5, 2), "float32"), axes=2),
    floats(3, 4, 5),
)
case("einsum", lambda x, y: ops.einsum("bij,bkj->bik", x, y), floats(3, 4, 5), floats(3, 2, 5))
case("vander", lambda x: ops.vander(x, 4), floats(3))
case("vander/increasing", lambda x: ops.vander(x, increasing=True), floats(3), fixed=True)
for mode in ("valid", "same", "full"):
    case(
        f"correlate/{mode}",
        lambda x, y, m=mode: ops.correlate(x, y, mode=m),
        floats(7),
        floats(4),
        fixed=True,
    )
    case(
        f"correlate/{mode}/short",
        lambda x, y, m=mode: ops.correlate(x, y, mode=m),
        floats(3),
        floats(6),
        fixed=True,
    )
case("cdist", ops.cdist, floats(3, 4, 5), floats(3, 2, 5))

# Norms
for order in (None, 1, 2, 3, 0, -1, np.inf, -np.inf):
    case(
        f"norm/vector {order}",
        lambda x, o=order: ops.norm(x, ord=o, axis=-1),
        floats(3, 4, 5),
        inside=True,
    )
for order in (None, "fro", 1, -1, np.inf, -np.inf):
    case(
        f"norm/matrix {order}",
        lambda x, o=order: ops.norm(x, ord=o, axis=(1, 2), keepdims=True),
        floats(3, 4, 5),
    )
for order in (1, 2, 3):
    case(
        f"normalize/{order}", lambda x, o=order: ops.normalize(x, axis=1, order=o), floats(3, 4, 5)
    )
case("norm", ops.norm, floats(3, 4), fixed=True)

# Systems and decompositions
case("det", ops.det, _SQUARE)
case("det/small", ops.det, floats(3, 2, 2))
case("slogdet", ops.slogdet, _SQUARE)
case("logdet", ops.logdet, _POSITIVE)
case("inv", ops.inv, _SAFE)
case("solve", ops.solve, _SQUARE, floats(3, 4, 2), tolerance=1e-4)
case("solve/vector", ops.solve, floats(4, 4), floats(4), fixed=True, tolerance=1e-4)
for lower in (True, False):
    case(
        f"solve_triangular/{lower}",
        lambda a, b, w=lower: ops.solve_triangular(a, b, lower=w),
        _SAFE,
        floats(3, 4, 2),
    )
case("lu_factor", ops.lu_factor, _SQUARE, inside=True)
for upper in (False, True):
    case(f"cholesky/{upper}", lambda x, u=upper: ops.cholesky(x, upper=u), _POSITIVE)
    factor = _LOWER[0].T.copy() if upper else _LOWER[0]
    case(
        f"cholesky_inverse/{upper}",
        lambda x, u=upper: ops.cholesky_inverse(x, upper=u),
        factor,
        fixed=True,
        tolerance=1e-4,
    )
for mode in ("reduced", "complete"):
    case(f"qr/{mode}", lambda x, m=mode: ops.qr(x, mode=m), floats(3, 5, 3))
case("qr/wide", ops.qr, floats(3, 3, 5))
case("qr/done", ops.qr, np.triu(_SQUARE))

case("lstsq", lambda b: ops.lstsq(_SQUARE[0], b), floats(4, 2), fixed=True, tolerance=1e-3)

# Fourier
_PAIR = (floats(3, 4, 6), floats(3, 4, 6))
_LONG = floats(2, 600)


def _joined(f: Any, **options: Any) -> Any:
    return lambda re, im: f((re, im), **options)


case("fft", _joined(ops.fft), *_PAIR)
case("fft/long", _joined(ops.fft), _LONG, _LONG[::-1].copy())
case("fft2", _joined(ops.fft2), *_PAIR)
case("ifft2", _joined(ops.ifft2), *_PAIR)
case("rfft", ops.rfft, floats(3, 7))
case("rfft/padded", lambda x: ops.rfft(x, fft_length=10), floats(3, 7))
case("rfft/cut", lambda x: ops.rfft(x, fft_length=4), floats(3, 7))
case("rfft/long", ops.rfft, floats(2, 1024))
case("irfft", _joined(ops.irfft), floats(3, 5), floats(3, 5))
case("irfft/odd", _joined(ops.irfft, fft_length=9), floats(3, 5), floats(3, 5))
_STFT = {"sequence_length": 8, "sequence_stride": 3, "fft_length": 10}
case("stft", lambda x: ops.stft(x, **_STFT), floats(3, 40))
case("stft/plain", lambda x: ops.stft(x, **_STFT, window=None, center=False), floats(3, 40))
case("istft", _joined(ops.istft, **_STFT), floats(3, 7, 6), floats(3, 7, 6))
case(
    "istft/length",
    _joined(ops.istft, **_STFT, length=20, window="hamming"),
    floats(3, 7, 6),
    floats(3, 7, 6),
)
case("extract_sequences", lambda x: ops.extract_sequences(x, 6, 4), floats(3, 2, 20))
