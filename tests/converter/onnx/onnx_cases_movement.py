"""The cases of operations that move elements, or make values out of sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx_harness import BATCH, IMAGE, SEQUENCE, Arg, Array, Case, literals, weight
from onnx_references import resize_bilinear, resize_nearest

from hornbeam.graph import Shape
from hornbeam.graph import operations as op


def reshapes() -> Iterator[Case]:
    def reshape(name: str, before: Shape, after: Shape) -> Case:
        def reference(x: Array) -> Array:
            batch = x.shape[before.index(BATCH)]
            return x.reshape([batch if dim == BATCH else -1 if not isinstance(dim, int) else dim
                              for dim in after])  # fmt: skip

        return Case(f"reshape-{name}", op.Reshape(after), (Arg(before),), reference)

    yield reshape("flatten", IMAGE, (BATCH, 120))
    yield reshape("tokens", IMAGE, (BATCH, 30, 4))
    yield reshape("grid", SEQUENCE, (BATCH, 7, 1, 4))
    yield reshape("split-channels", IMAGE, (BATCH, 5, 6, 2, 2))
    yield reshape("squeeze", (BATCH, 1, 1, 4), (BATCH, 4))
    yield reshape("unsqueeze", (BATCH, 4), (BATCH, 1, 1, 4))
    yield reshape("trivial", (BATCH, 1, 1, 4), (BATCH, 1, 4))
    yield reshape("into-space", (BATCH, 1, 1, 24), (BATCH, 2, 3, 4))
    yield reshape("out-of-space", (BATCH, 2, 3, 4), (BATCH, 1, 1, 24))
    yield reshape("merge-batch", IMAGE, (BATCH * 5, 6, 4))
    yield reshape("all", IMAGE, (BATCH * 120,))
    yield reshape("swap-free", (BATCH, 6), (6, BATCH))
    for axes in ((0, 3, 1, 2), (0, 2, 3, 1), (0, 2, 1, 3), (3, 0, 2, 1), (0, 1, 2, 3)):
        yield Case(
            f"transpose-{axes}", op.Transpose(axes), (Arg(IMAGE),),
            lambda x, axes=axes: x.transpose(axes),
        )  # fmt: skip


def movement() -> Iterator[Case]:
    def expand(x: Array, *sized: Array) -> Array:
        return np.broadcast_to(x, (len(sized[0] if sized else x), 5, 6, 4))

    batch = Arg((BATCH,))
    for kind in ("float32", "bool", "int8"):
        gate = Arg((BATCH, 1, 1, 4), kind)
        yield Case(f"broadcast-gate-{kind}", op.Broadcast(IMAGE), (gate,), expand)
        for name, shape in (("vector", (4,)), ("plane", (5, 1, 4)), ("number", ())):
            small = Arg(shape, kind)
            yield Case(
                f"broadcast-{name}-{kind}", op.Broadcast(IMAGE), (small,), expand, sizes=(batch,)
            )
        yield Case(
            f"tile-{kind}", op.Tile((1, 2, 1, 3)), (Arg(IMAGE, kind),),
            lambda x: np.tile(x, (1, 2, 1, 3)),
        )  # fmt: skip
        for axis in (1, 2, 3):
            other = Arg((BATCH, *(3 if i == axis else d for i, d in enumerate((5, 6, 4), 1))), kind)
            yield Case(
                f"concat-{axis}-{kind}", op.Concat(axis), (Arg(IMAGE, kind), other),
                lambda a, b, axis=axis: np.concatenate([a, b], axis),
            )  # fmt: skip
            whole = (5, 6, 4)[axis - 1]
            yield Case(
                f"split-{axis}-{kind}", op.Split(axis, (1, whole - 1)), (Arg(IMAGE, kind),),
                lambda x, axis=axis: tuple(np.split(x, [1], axis)),
            )  # fmt: skip
        yield from pads(kind)
    yield Case(
        "concat-constant", op.Concat(2), (Arg((3, 5, 4)), weight(3, 5, 2)),
        lambda a, b: np.concatenate([a, b], 2),
    )  # fmt: skip
    yield from slices()
    yield from lookups()


def pads(kind: str) -> Iterator[Case]:
    amounts = ((0, 0), (1, 2), (0, 1), (0, 0))
    for mode in literals(op.Pad, "mode"):
        yield Case(
            f"pad-{mode}-{kind}", op.Pad(amounts, mode), (Arg(IMAGE, kind),),
            lambda x, mode=mode: np.pad(x, amounts, mode),
        )  # fmt: skip
    if kind != "bool":
        yield Case(
            f"pad-ones-{kind}", op.Pad(amounts, value=1), (Arg(IMAGE, kind),),
            lambda x: np.pad(x, amounts, constant_values=1),
        )  # fmt: skip


def slices() -> Iterator[Case]:
    for name, begin, sizes, strides, index in (
        ("nothing", (0, 0, 0, 0), IMAGE, (1, 1, 1, 1), np.s_[:]),
        ("middle", (0, 1, 2, 0), (BATCH, 3, 2, 4), (1, 1, 1, 1), np.s_[:, 1:4, 2:4]),
        ("end", (0, 2, 0, 1), (BATCH, 3, 6, 3), (1, 1, 1, 1), np.s_[:, 2:, :, 1:]),
        ("steps", (0, 0, 1, 0), (BATCH, 3, 2, 4), (1, 2, 3, 1), np.s_[:, ::2, 1:6:3]),
        ("back", (0, 4, 5, 0), (BATCH, 5, 3, 4), (1, -1, -2, 1), np.s_[:, ::-1, ::-2]),
        ("partly-back", (0, 3, 4, 0), (BATCH, 3, 2, 4), (1, -1, -2, 1), np.s_[:, 3:0:-1, 4:1:-2]),
        ("last-of-batch", (BATCH - 1, 0, 0, 0), (1, 5, 6, 4), (1, 1, 1, 1), np.s_[-1:]),
        ("batch-back", (BATCH - 1, 0, 0, 0), IMAGE, (-1, 1, 1, 1), np.s_[::-1]),
        ("all-but-one", (0, 0, 0, 0), (BATCH - 1, 5, 6, 4), (1, 1, 1, 1), np.s_[:-1]),
    ):
        yield Case(
            f"slice-{name}", op.Slice(begin, sizes, strides), (Arg(IMAGE),),
            lambda x, index=index: x[index],
        )  # fmt: skip
    for axes in ((1,), (1, 3), ()):
        yield Case(
            f"reverse-{axes}", op.Reverse(axes), (Arg(IMAGE),), lambda x, a=axes: np.flip(x, a)
        )


def lookups() -> Iterator[Case]:
    for kind in ("int32", "int64", "uint8"):
        yield Case(
            f"embedding-{kind}", op.Gather(0), (weight(9, 4), Arg((BATCH, 5), kind, 0, 8)),
            lambda table, i: table[i],
        )  # fmt: skip
        yield Case(
            f"one-hot-{kind}", op.OneHot(4, "float32"),
            (Arg((BATCH, 5), kind, -1, 4),), lambda i: (i[..., None] == np.arange(4)) * 1.0,
        )  # fmt: skip
    for axis in (1, 2, 3):
        for name, indices in (
            ("vector", np.array([2, 0, 1])), ("number", np.array(1)), ("grid", np.array([[0, 3]])),
        ):  # fmt: skip
            yield Case(
                f"gather-{name}-{axis}", op.Gather(axis), (Arg(IMAGE), indices),
                lambda x, i, axis=axis: np.take(x, i, axis),
            )  # fmt: skip
    yield Case(
        "one-hot-image", op.OneHot(3, "int32"), (Arg((BATCH, 2, 3, 2), "int32", 0, 2),),
        lambda i: (i[..., None] == np.arange(3)).astype("int32"),
    )  # fmt: skip
    for size in ((10, 12), (15, 6), (8, 9), (3, 2), (5, 13)):
        yield Case(
            f"nearest-{size}", op.Resize(size, "nearest"), (Arg(IMAGE),), resize_nearest(size)
        )
        yield Case(
            f"bilinear-{size}", op.Resize(size, "bilinear"), (Arg(IMAGE),), resize_bilinear(size)
        )


def sizes() -> Iterator[Case]:
    batch = (Arg((BATCH, 2)),)
    for kind in ("int32", "float32", "int64"):
        for name, dim, value in (
            ("free", BATCH, lambda n: n), ("sum", 3 * BATCH + 2, lambda n: 3 * n + 2),
            ("product", BATCH * BATCH - BATCH, lambda n: n * n - n),
            ("quotient", (BATCH + 1) // 2, lambda n: (n + 1) // 2),
        ):  # fmt: skip
            yield Case(
                f"size-{name}-{kind}", op.DimensionOf(dim, kind), (),
                lambda x, value=value, kind=kind: np.asarray(value(len(x)), kind), sizes=batch,
            )  # fmt: skip
        yield Case(
            f"range-free-{kind}", op.Range(2, -3, 2 * BATCH, kind), (),
            lambda x, kind=kind: (2 - 3 * np.arange(2 * len(x))).astype(kind), sizes=batch,
        )  # fmt: skip
        yield Case(
            f"range-known-{kind}", op.Range(1, 2, 5, kind), (),
            lambda _, kind=kind: np.arange(1, 11, 2).astype(kind), sizes=batch,
        )  # fmt: skip
