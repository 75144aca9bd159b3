"""What a model takes and gives, and the one check that inputs pass before they are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbeam.errors import InputError

__all__ = ["Array", "TensorInfo", "describe", "validate"]

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a model.

    ``shape`` has an int for each fixed dimension and, for each free one, its name or
    ``None``; free dimensions of one name have one size in every run. ``dtype`` is in
    native byte order. Strings are ``object``: they go in as str, and come out as str from
    onnxruntime and as bytes from LiteRT.
    """

    name: str
    shape: tuple[int | str | None, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.name}: {describe(self.dtype, self.shape)}"


def describe(dtype: np.dtype[Any], shape: Sequence[int | str | None]) -> str:
    """Write a dtype and shape the way every message does: ``float32 (batch, ?, 3)``."""
    sizes = ", ".join("?" if size is None else str(size) for size in shape)
    return f"{'string' if dtype.hasobject else dtype} ({sizes}{',' if len(shape) == 1 else ''})"


def validate(inputs: tuple[TensorInfo, ...], given: tuple[Any, ...]) -> list[Array]:
    """Turn what the caller gave into arrays that fit ``inputs``, in that order.

    ``given`` is one value per input, or a single mapping by name. The arrays returned
    have exactly the dtype of their input, native and C-contiguous; an array that is so
    already is passed on uncopied, and costs about a microsecond. Raises ``InputError``.
    """
    values = _in_order(inputs, given)
    arrays = []
    free: dict[str, tuple[int, str]] = {}
    for info, value in zip(inputs, values, strict=True):
        if not (
            type(value) is np.ndarray
            and value.dtype is info.dtype
            and not value.dtype.hasobject
            and value.flags.c_contiguous
        ):
            value = _converted(info, value)
        if value.shape != info.shape:
            _check_shape(info, value.shape, free)
        arrays.append(value)
    return arrays


def _in_order(inputs: tuple[TensorInfo, ...], given: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(given) == 1 and type(given[0]) is not np.ndarray and isinstance(given[0], Mapping):
        return _by_name(inputs, given[0])
    if len(given) == len(inputs):
        return given
    raise InputError(
        f"The model takes {_listed([info.name for info in inputs])}",
        f"Found {len(given)} array{'' if len(given) == 1 else 's'} for {len(inputs)}",
        "Give one array for each input in this order, or one dict by input name",
    )


def _by_name(inputs: tuple[TensorInfo, ...], given: Mapping[Any, Any]) -> tuple[Any, ...]:
    names = [info.name for info in inputs]
    missing = [name for name in names if name not in given]
    extra = [str(name) for name in given if name not in names]
    if missing or extra:
        complaints = [f"{_listed(missing)} missing"] if missing else []
        complaints += [f"{_listed(extra)} not among them"] if extra else []
        raise InputError(
            f"The model takes {_listed(names)}",
            f"Found {' and '.join(complaints)}",
            "Give exactly these names",
        )
    return tuple(given[name] for name in names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names) if names else "no input"


def _converted(info: TensorInfo, value: Any) -> Array:
    """The slow way in: whatever is not yet a native, contiguous array of the right dtype."""
    # Python's own numbers and lists have no dtype to disagree with.
    literal = not hasattr(value, "dtype")
    try:
        array = np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:  # ragged lists; tensors of others
        raise InputError(
            f"Input {_wanted(info)}",
            f"Found {type(value).__name__} that is no array: {error}",
            "Give a numpy array",
        ) from error
    if info.dtype == object:
        cast = _strings(array)
    elif array.dtype.newbyteorder("=") == info.dtype or _keeps_meaning(array, info, literal):
        cast = _cast(info, array)
    else:
        cast = None
    if cast is None:
        raise InputError(
            f"Input {_wanted(info)}",
            f"Found {describe(array.dtype, array.shape)}",
            _cast_advice(info, array),
        )
    # ascontiguousarray would make a scalar one-dimensional.
    return np.require(cast, requirements="C") if cast.ndim else cast


def _wanted(info: TensorInfo) -> str:
    return f'"{info.name}" must be {describe(info.dtype, info.shape)}'


def _keeps_meaning(array: Array, info: TensorInfo, literal: bool) -> bool:
    """Whether casting ``array`` to the dtype of ``info`` cannot surprise the caller.

    Floats become other floats. Integers become nothing else by themselves: an image of
    uint8 that a float model takes is as likely one that was never scaled. Literals lose
    no such information, so whole numbers may become any number that holds them.
    """
    have, want = array.dtype, info.dtype
    if have.kind == "f" and want.kind == "f":
        return True
    if not literal:
        return False
    if array.size == 0:
        return True
    if have.kind not in "iu" or want.kind not in "iuf":
        return False
    low, high = int(array.min()), int(array.max())
    if want.kind == "f":
        # Every whole number up to 2**(mantissa bits + 1) is a float of its own.
        limit = 2 ** (np.finfo(want).nmant + 1)
        return bool(-limit <= low and high <= limit)
    bounds = np.iinfo(want)
    return bool(bounds.min <= low and high <= bounds.max)


def _cast(info: TensorInfo, array: Array) -> Array:
    try:
        with np.errstate(over="raise"):
            return array.astype(info.dtype, copy=False)
    except FloatingPointError as error:
        raise InputError(
            f"Input {_wanted(info)}",
            f"Found {array.dtype} values beyond the largest {info.dtype}",
            "Scale the values, or clip them",
        ) from error


def _strings(array: Array) -> Array | None:
    if array.dtype.kind == "U":
        return array.astype(object)
    if array.dtype == object and all(isinstance(item, str) for item in array.flat):
        return array
    return None


def _cast_advice(info: TensorInfo, array: Array) -> str:
    if info.dtype == object:
        return "Give an array of str"
    if array.dtype == object or array.dtype.kind not in "biufc":
        return "Give an array of numbers"
    if info.dtype.kind in "iu" and array.dtype.kind == "f":
        return (
            f"If the values are whole numbers, cast them: x.astype(np.{info.dtype}); "
            "for a quantized input, quantize them first"
        )
    return f"If the values are what the model expects, cast them: x.astype(np.{info.dtype})"


def _check_shape(
    info: TensorInfo, shape: tuple[int, ...], free: dict[str, tuple[int, str]]
) -> None:
    if len(shape) != len(info.shape):
        raise InputError(
            f"Input {_wanted(info)}",
            f"Found {len(shape)} dimensions: {describe(info.dtype, shape)}",
            _rank_advice(info, shape),
        )
    for axis, (want, have) in enumerate(zip(info.shape, shape, strict=True)):
        if want == have or want is None:
            continue
        if isinstance(want, int):
            raise InputError(
                f"Input {_wanted(info)}",
                f"Found {have} where dimension {axis} must be {want}: "
                f"{describe(info.dtype, shape)}",
                "Give the array in the shape that the model was converted with",
            )
        size, first = free.setdefault(want, (have, info.name))
        if size != have:
            raise InputError(
                f'Dimension "{want}" must have one size in every input',
                f'Found {size} in "{first}" and {have} in "{info.name}"',
                "Give inputs that belong together",
            )


def _rank_advice(info: TensorInfo, shape: tuple[int, ...]) -> str:
    if len(shape) + 1 == len(info.shape):
        return "If this is one sample without its batch dimension, write x[np.newaxis]"
    return "Reshape it to the dimensions shown"
