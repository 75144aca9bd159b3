"""Functions of ``keras.ops`` that fold axes, describe data, put it in order."""

from __future__ import annotations

import numpy as np
from keras import ops
from ops_harness import Table, bools, floats, ints, unit

CASES = case = Table()

_X = floats(3, 4, 5)
_HOLES = np.where(unit(3, 4, 5) < 0.3, np.nan, floats(3, 4, 5)).astype("float32")
_HOLES[1, 2] = np.nan

# Folds: the batch stays, or is folded, too
for name in (
    "sum",
    "mean",
    "max",
    "min",
    "amax",
    "amin",
    "prod",
    "var",
    "std",
    "ptp",
    "median",
    "logsumexp",
    "count_nonzero",
    "nansum",
    "nanprod",
    "nanmax",
    "nanmin",
    "nanmean",
    "nanvar",
    "nanstd",
    "nanmedian",
    "average",
    "argmax",
    "argmin",
):
    f = getattr(ops, name)
    x = _HOLES if name.startswith("nan") else _X
    case(name, lambda x, f=f: f(x, axis=-1), x)
    if name not in ("argmax", "argmin", "average"):
        case(f"{name}/axes", lambda x, f=f: f(x, axis=(1, 2)), x, tolerance=3e-5)
    case(f"{name}/whole", lambda x, f=f: ops.reshape(f(x), (1,)), x, fixed=True, tolerance=3e-5)
    if name not in ("count_nonzero", "average"):
        case(f"{name}/kept", lambda x, f=f: f(x, axis=1, keepdims=True), x, tolerance=3e-5)
    if name not in ("logsumexp",):
        case(f"{name}/int", lambda x, f=f: f(x, axis=-1), ints(3, 4, 5), tolerance=3e-5)
for name in ("sum", "prod", "max", "mean", "var", "any", "all", "count_nonzero", "argmax"):
    f = getattr(ops, name)
    case(f"{name}/bool", lambda x, f=f: f(x, axis=1), bools(3, 4, 2))
for name in ("any", "all"):
    f = getattr(ops, name)
    case(
        name,
        lambda x, f=f: f(x, axis=-1, keepdims=True),
        ints(3, 4, 2, low=0, high=2),
    )
for name in ("sum", "prod", "max", "min", "mean"):
    f = getattr(ops, name)
    case(f"{name}/uint8", lambda x, f=f: f(x, axis=1), ints(3, 4, low=0, high=6, dtype="uint8"))
for name in ("nanargmax", "nanargmin"):
    f = getattr(ops, name)
    case(name, lambda x, f=f: f(x, axis=-1), _HOLES)
    case(f"{name}/whole", lambda x, f=f: ops.reshape(f(x), (1,)), _HOLES, fixed=True)
case("moments", lambda x: ops.moments(x, axes=(1, 2)), _X)
case("moments/kept", lambda x: ops.moments(x, axes=[1], keepdims=True), _X)
case("average/weights", lambda x: ops.average(x, axis=1, weights=np.arange(1.0, 5.0)), _X)
case("average/tensor", lambda x, w: ops.average(x, axis=1, weights=w), _X, unit(3, 4, 5))
case("logsumexp/far", lambda x: ops.logsumexp(x * 100.0, axis=-1), _X)

# Running
for name in ("cumsum", "cumprod", "nancumsum", "nancumprod"):
    f = getattr(ops, name)
    x = _HOLES if name.startswith("nan") else _X
    case(name, lambda x, f=f: f(x, axis=1), x)
    case(f"{name}/flat", lambda x, f=f: f(x), x, fixed=True)
    case(f"{name}/int", lambda x, f=f: f(x, axis=-1), ints(3, 5, low=-3, high=4))
case("cumsum/dtype", lambda x: ops.cumsum(x, axis=1, dtype="float32"), ints(3, 4))
case("diff", lambda x: ops.diff(x, axis=-1), _X)
case("diff/twice", lambda x: ops.diff(x, n=2, axis=1), _X)
case("trapezoid", lambda x: ops.trapezoid(x, dx=0.5), _X)
case("trapezoid/x", lambda x: ops.trapezoid(x, x=np.array([0.0, 1.0, 3.0, 4.5]), axis=1), _X)

# Quantiles
for name in ("quantile", "nanquantile", "percentile", "nanpercentile"):
    f, full = getattr(ops, name), 100.0 if "percentile" in name else 1.0
    x = _HOLES if name.startswith("nan") else _X
    # (A single axis becomes a list, which JAX then cannot take: Keras itself fails on it.)
    case(name, lambda x, f=f, s=full: f(x, 0.3 * s, axis=(-1,)), x)
    case(
        f"{name}/several",
        lambda x, f=f, s=full: f(x, np.array([0.0, 0.41, 1.0], "float32") * s, axis=(1, 2)),
        x,
        fixed=True,
    )
    case(f"{name}/kept", lambda x, f=f, s=full: f(x, 0.77 * s, axis=(1,), keepdims=True), x)
for method in ("lower", "higher", "midpoint", "nearest"):
    case(f"percentile/{method}", lambda x, m=method: ops.percentile(x, 40.0, axis=-1, method=m), _X)
case("quantile/int", lambda x: ops.quantile(x, 0.3, axis=(-1,)), ints(3, 6))
case("median/even", lambda x: ops.median(x, axis=1), _X)

# Order
_TIES = ints(3, 7, low=0, high=4)
for dtype in ("float32", "int32"):
    case(f"sort/{dtype}", lambda x: ops.sort(x, axis=-1), _TIES.astype(dtype))
    case(f"argsort/{dtype}", lambda x: ops.argsort(x, axis=-1), _TIES.astype(dtype))
case("sort", lambda x: ops.sort(x, axis=1), _X)
case("argsort", lambda x: ops.argsort(x, axis=1), _X)
case("argsort/batch", lambda x: ops.argsort(x, axis=0), _X, coupled=True)
case("sort/flat", lambda x: ops.sort(x, axis=0), floats(9), coupled=True)
case(
    "argpartition",
    lambda x: ops.take_along_axis(x, ops.argpartition(x, 2, axis=-1)[..., 2:3], -1),
    _X,
)
case("top_k", lambda x: ops.top_k(x, 3), _X)
case("top_k/int", lambda x: ops.top_k(x, 3), _TIES)
case("in_top_k", lambda t, p: ops.in_top_k(t, p, k=2), ints(3, low=0, high=5), floats(3, 5))
_EDGES = np.array([-2.0, -0.5, 0.1, 0.1, 1.7], np.float32)
for side in ("left", "right"):
    case(
        f"searchsorted/{side}",
        lambda x, s=side: ops.searchsorted(_EDGES, x, side=s),
        np.concatenate([floats(3, 4), np.full((3, 1), 0.1, "float32")], 1),
    )
case("searchsorted", lambda a, v: ops.searchsorted(a, v), np.sort(floats(5)), floats(7), fixed=True)
case("digitize", lambda x: ops.digitize(x, _EDGES), floats(3, 4))
case("digitize/falling", lambda x: ops.digitize(x, _EDGES[::-1].copy()), floats(3, 4))
case("digitize/int", lambda x: ops.digitize(x, np.array([-3, 0, 4])), ints(3, 4))
case("isin", lambda x: ops.isin(x, [1, 3]), _TIES)
case("isin/not", lambda x: ops.isin(x, [1, 3], invert=True), _TIES)
case(
    "unique",
    lambda x: ops.unique(x, size=6, return_index=True, return_inverse=True, return_counts=True),
    _TIES,
    fixed=True,
)
case("unique/filled", lambda x: ops.unique(x, size=6, fill_value=-1), _TIES, fixed=True)
case("histogram", lambda x: ops.histogram(x, bins=4), floats(9), fixed=True, inside=True)
case(
    "histogram/range",
    lambda x: ops.histogram(x, bins=5, range=(-1.0, 2.0)),
    floats(9),
    fixed=True,
    inside=True,
)
case("corrcoef", ops.corrcoef, floats(3, 6), fixed=True)

# Segments
_ID = np.array([2, 0, 2, 1, 0], np.int32)
for name in ("segment_sum", "segment_max", "segment_min", "segment_prod"):
    f = getattr(ops, name)
    case(name, lambda x, i, f=f: f(x, i, num_segments=4), floats(5, 3), _ID, coupled=True)
    case(f"{name}/int", lambda x, i, f=f: f(x, i, num_segments=4), ints(5), _ID, coupled=True)
case(
    "segment_sum/known", lambda x: ops.segment_sum(x, _ID, num_segments=3), floats(5, 3), fixed=True
)
case(
    "segment_sum/outside",
    lambda x: ops.segment_sum(x, np.array([0, 7, 1, 0, 1]), num_segments=2),
    floats(5, 3),
    fixed=True,
)
