"""Functions of ``keras.ops`` that make arrays, move elements, read and write by index."""

from __future__ import annotations

import numpy as np
from keras import ops
from ops_harness import Table, bools, floats, ints

CASES = case = Table()

_X = floats(3, 4, 5)
_I = ints(3, 4, low=-4, high=4)

# Arrays of one number, counted numbers
for name in ("zeros_like", "ones_like", "empty_like"):
    f = getattr(ops, name)
    case(name, getattr(ops, name), _X)
    case(f"{name}/dtype", lambda x, f=f: f(x, dtype="int32"), _X)
case("full_like", lambda x: ops.full_like(x, 2.5), _X)
case("full_like/int", lambda x: ops.full_like(x, 7, dtype="int32"), _X)
case("full", lambda x: x + ops.full((4, 5), 2.5), _X)
case("full/tensor", lambda x: ops.full((2, 3, 4), ops.reshape(x, (4,))), floats(4), fixed=True)
for name, f in {
    "zeros": lambda: ops.zeros((4, 5)), "ones": lambda: ops.ones((4, 5)),
    "empty": lambda: ops.zeros_like(ops.empty((4, 5))), "eye": lambda: ops.eye(4, 5, k=1),
    "identity": lambda: ops.identity(5), "tri": lambda: ops.tri(4, 5),
    "arange": lambda: ops.arange(5, dtype="float32"), "linspace": lambda: ops.linspace(0.0, 1.0, 5),
    "logspace": lambda: ops.logspace(0.0, 1.0, 5), "geomspace": lambda: ops.geomspace(1.0, 9.0, 5),
    "bartlett": lambda: ops.bartlett(5), "blackman": lambda: ops.blackman(5),
    "hamming": lambda: ops.hamming(5), "hanning": lambda: ops.hanning(5),
    "kaiser": lambda: ops.kaiser(5, 4.0),
}.items():  # fmt: skip
    case(name, lambda x, f=f: x + f(), floats(3, 5, 5) if name == "identity" else _X)
case("shape", lambda x: ops.reshape(x, (ops.shape(x)[0], -1)), _X, inside=True)
case("get_item/slice", lambda x: x[:], _X, inside=True)
case("size", lambda x: x * ops.cast(ops.size(x), "float32"), _X, coupled=True)
case("logspace/tensors", lambda x, y: ops.logspace(x, y, 4), floats(3), floats(3), fixed=True)
case(
    "geomspace/tensors",
    lambda x, y: ops.geomspace(ops.abs(x), ops.abs(y), 4),
    floats(3),
    floats(3),
    fixed=True,
)
case("linspace/tensors", lambda x, y: ops.linspace(x, y, 4, axis=-1), floats(3, 2), floats(3, 2))

# Shapes
case("reshape", lambda x: ops.reshape(x, (-1, 10, 2)), _X)
case("ravel", ops.ravel, _X, fixed=True)
case("transpose", lambda x: ops.transpose(x, (0, 2, 1)), _X)
case("swapaxes", lambda x: ops.swapaxes(x, 1, -1), _X)
case("moveaxis", lambda x: ops.moveaxis(x, -1, 1), _X)
case("moveaxis/two", lambda x: ops.moveaxis(x, (1, 2), (-1, 1)), _X)
case("expand_dims", lambda x: ops.expand_dims(x, (1, -1)), _X)
case("squeeze", lambda x: ops.squeeze(x, 1), floats(3, 1, 4))
case("broadcast_to", lambda x: ops.broadcast_to(x, (2, 3, 4)), floats(3, 1), fixed=True)
case("rearrange", lambda x: ops.rearrange(x, "b (h p) c -> b h (p c)", p=2), _X, inside=True)
case("meshgrid", lambda x, y: ops.meshgrid(x, y), floats(3), floats(4), fixed=True)
case("meshgrid/ij", lambda x, y, z: ops.meshgrid(x, y, z, indexing="ij"), floats(3), floats(4),
     floats(2), fixed=True)  # fmt: skip

# Joins and cuts
case("concatenate", lambda x, y: ops.concatenate([x, y], axis=1), _X, ints(3, 2, 5))
case("stack", lambda x, y: ops.stack([x, y], axis=-1), _X, floats(3, 4, 5))
case("append", lambda x, y: ops.append(x, y, axis=1), _X, floats(3, 2, 5))
case("append/flat", lambda x, y: ops.append(x, y), floats(3), floats(2, 2), fixed=True)
case("hstack", lambda x, y: ops.hstack([x, y]), _X, floats(3, 2, 5))
case("vstack", lambda x, y: ops.vstack([x, y]), floats(4), floats(4), fixed=True)
case("dstack", lambda x, y: ops.dstack([x, y]), floats(3, 4), floats(3, 4))
case("split", lambda x: ops.split(x, 2, axis=1), _X)
case("split/places", lambda x: ops.split(x, [1, 3], axis=-1), _X)
case("array_split", lambda x: ops.array_split(x, 2, axis=1), _X)
case("array_split/unequal", lambda x: ops.array_split(x, 3, axis=-1), _X)
case("hsplit", lambda x: ops.hsplit(x, 2), _X)
case("dsplit", lambda x: ops.dsplit(x, [2]), _X)
case("vsplit", lambda x: ops.vsplit(x, 3), _X, fixed=True)
case("unstack", lambda x: ops.unstack(x, axis=1), _X)
case("tile", lambda x: ops.tile(x, (1, 2, 1)), _X)
case("tile/rank", lambda x: ops.tile(x, (2, 1, 2)), floats(3, 4), fixed=True)
case("repeat", lambda x: ops.repeat(x, 2, axis=1), _X)
case("repeat/each", lambda x: ops.repeat(x, np.array([1, 0, 2, 3]), axis=1), _X)
for mode in ("constant", "reflect", "symmetric", "edge", "wrap", "maximum", "mean"):
    case(f"pad/{mode}", lambda x, m=mode: ops.pad(x, [(0, 0), (1, 2), (2, 0)], mode=m), _X)
case("pad", lambda x: ops.pad(x, [(0, 0), (1, 2), (0, 1)], constant_values=3.0), _X)
case("pad/int", lambda x: ops.pad(x, [(0, 0), (1, 2)], constant_values=3), ints(3, 4))

# Movements
case("roll", lambda x: ops.roll(x, 2, axis=1), _X)
case("roll/two", lambda x: ops.roll(x, (1, -7), axis=(1, 2)), _X)
case("roll/flat", lambda x: ops.roll(x, 3), _X, fixed=True)
for k in (1, 2, 3):
    case(f"rot90/{k}", lambda x, k=k: ops.rot90(x, k=k, axes=(1, 2)), _X)
case("rot90", ops.rot90, floats(3, 4), fixed=True)
case("flip", lambda x: ops.flip(x, axis=(1, 2)), _X)
case("fliplr", ops.fliplr, _X)
case("flipud", ops.flipud, _X, coupled=True)
for name in ("tril", "triu"):
    f = getattr(ops, name)
    case(name, getattr(ops, name), _X)
    case(f"{name}/k", lambda x, f=f: f(x, k=-1), ints(3, 4, 5))
    case(f"{name}/free", getattr(ops, name), floats(3, 5), coupled=True)
case("diagonal", lambda x: ops.diagonal(x, axis1=1, axis2=2), _X)
for offset in (2, -1):
    case(f"diagonal/{offset}", lambda x, k=offset: ops.diagonal(x, k, axis1=2, axis2=1), _X)
case("trace", lambda x: ops.trace(x, axis1=1, axis2=2), _X)
case("trace/int", lambda x: ops.trace(x, offset=1, axis1=1, axis2=2), ints(3, 4, 4))
case("diag", lambda x: ops.diag(x), floats(4), fixed=True)
case("diag/k", lambda x: ops.diag(x, k=-2), floats(4), fixed=True)
case("diag/matrix", lambda x: ops.diag(x, k=1), floats(3, 4), fixed=True)
case("diagflat", lambda x: ops.diagflat(x, k=1), floats(2, 2), fixed=True)

# By index
case("take", lambda x: ops.take(x, [1, -1, 0], axis=1), _X)
case(
    "take/tensor",
    lambda x, i: ops.take(x, i, axis=-1),
    floats(3, 4),
    ints(2, 3, low=-4, high=4),
    fixed=True,
)
case("take/flat", lambda x: ops.take(x, [[5, 1]]), _X, fixed=True)
case("take_along_axis", lambda x, i: ops.take_along_axis(x, i, axis=1), floats(3, 4), _I)
case(
    "take_along_axis/last",
    lambda x, i: ops.take_along_axis(x, i, axis=-1),
    _X,
    ints(3, 4, 2, low=-5, high=5),
)
case(
    "take_along_axis/known",
    lambda x: ops.take_along_axis(x, np.array([[[1], [3], [0], [-1]]]), axis=2),
    _X,
)
case(
    "take_along_axis/flat",
    lambda x, i: ops.take_along_axis(x, i, axis=None),
    _X,
    ints(6, low=0, high=60),
    fixed=True,
)
case("one_hot", lambda x: ops.one_hot(x, 6), ints(3, 4, low=-1, high=7))
case("one_hot/axis", lambda x: ops.one_hot(x, 5, axis=1, dtype="int32"), ints(3, 4, low=0, high=5))
case(
    "multi_hot",
    lambda x: ops.multi_hot(x, 6, dtype="float32"),
    ints(3, 4, low=0, high=6),
    inside=True,
)
case("unravel_index", lambda x: ops.unravel_index(x, (4, 5)), ints(3, low=0, high=20))
case("get_item", lambda x: ops.get_item(x, (slice(None), slice(1, None, 2), -1)), _X)
case("get_item/new", lambda x: x[..., None, 1:3], _X)
case("get_item/backwards", lambda x: x[:, ::-1, 4:0:-2], _X)
case(
    "get_item/tensor",
    lambda x, i: x[:, i[0]],
    _X,
    ints(3, 2, low=-4, high=4),
    fixed=True,
    inside=True,
)
case("get_item/two", lambda x: x[:, np.array([0, 2]), np.array([1, -1])], _X, inside=True)
case(
    "get_item/apart",
    lambda x: x[np.array([0, 2]), :, np.array([1, -1])],
    _X,
    fixed=True,
    inside=True,
)
case("get_item/grid", lambda x: x[:, np.array([[0], [2]]), np.array([1, 4, 0])], _X, inside=True)
case("get_item/mask", lambda x: x[:, np.array([True, False, True, True])], _X, inside=True)
case("slice", lambda x: ops.slice(x, (0, 1, 2), (3, 2, 2)), _X, fixed=True)
case(
    "slice/tensor",
    lambda x, i: ops.slice(x, (0, i[0], i[1]), (3, 2, 2)),
    _X,
    np.array([3, 1], np.int32),
    fixed=True,
)
case(
    "slice_update", lambda x, u: ops.slice_update(x, (0, 1, 2), u), _X, floats(3, 2, 2), fixed=True
)
case("slice_update/tensor", lambda x, u, i: ops.slice_update(x, (0, i[0], i[1]), u), _X,
     floats(3, 2, 2), np.array([3, 1], np.int32), fixed=True)  # fmt: skip
_AT = np.array([[0, 1], [2, 3], [0, 1], [1, 0]], np.int32)
case("scatter", lambda i, v: ops.scatter(i, v, (3, 4)), _AT, floats(4), fixed=True)
case("scatter/rows", lambda i, v: ops.scatter(i, v, (3, 2)), _AT[:, :1], floats(4, 2), fixed=True)
case("scatter/known", lambda v: ops.scatter(_AT, v, (3, 4)), floats(4), fixed=True)
case(
    "scatter_update",
    lambda x, i, v: ops.scatter_update(x, i, v),
    floats(3, 4),
    _AT[[0, 1, 3]],
    floats(3),
    fixed=True,
)
case(
    "scatter_update/int",
    lambda x, i, v: ops.scatter_update(x, i, v),
    ints(3, 4),
    _AT[[0, 1, 3]],
    ints(3),
    fixed=True,
)
case(
    "scatter_update/bool",
    lambda x, v: ops.scatter_update(x, _AT[:2], v),
    bools(3, 4),
    bools(2),
    fixed=True,
)
for reduction in ("add", "max", "min", "mul"):
    case(f"scatter_update/{reduction}",
         lambda x, i, v, r=reduction: ops.scatter_update(x, i, v, reduction=r),
         floats(3, 4), _AT, floats(4), fixed=True)  # fmt: skip
