"""The one check of inputs: what passes untouched, what is cast, what is refused and how."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam.errors import InputError
from hornbeam.runtime.tensors import TensorInfo, validate


def _info(dtype: Any, *shape: int | str | None, name: str = "x") -> TensorInfo:
    return TensorInfo(name, shape, np.dtype(dtype))


def _check(info: TensorInfo, value: Any) -> np.ndarray:
    (array,) = validate((info,), (value,))
    assert array.dtype == info.dtype
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    return array


def _refused(info: TensorInfo, value: Any) -> str:
    with pytest.raises(InputError) as caught:
        validate((info,), (value,))
    assert caught.value.asked
    assert caught.value.found
    assert caught.value.advice
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i4", "i8", "?"])
def test_an_array_that_fits_is_passed_on_uncopied(dtype: str) -> None:
    x = np.zeros((2, 3), dtype)
    assert _check(_info(dtype, "batch", 3), x) is x


@pytest.mark.parametrize(
    ("want", "have"),
    [("f4", "f8"), ("f4", "f2"), ("f8", "f4"), ("f2", "f4"), ("f4", ">f4"), ("i4", ">i4")],
)
def test_other_floats_and_other_byte_orders_are_cast(want: str, have: str) -> None:
    x = np.arange(6).astype(have).reshape(2, 3)
    np.testing.assert_array_equal(_check(_info(want, None, 3), x), x)


@pytest.mark.parametrize(
    ("want", "have", "cast"),
    [
        ("f4", "u1", "x.astype(np.float32)"),
        ("f4", "i8", "x.astype(np.float32)"),
        ("f4", "?", "x.astype(np.float32)"),
        ("i4", "i8", "x.astype(np.int32)"),
        ("i8", "i4", "x.astype(np.int64)"),
        ("i8", "u4", "x.astype(np.int64)"),
        ("u1", "i1", "x.astype(np.uint8)"),
        ("i8", "f4", "x.astype(np.int64)"),
        ("i1", "f4", "quantize them first"),
        ("?", "u1", "x.astype(np.bool)"),
        ("f4", "c8", "x.astype(np.float32)"),
        ("f4", "U3", "array of numbers"),
        ("f4", "O", "array of numbers"),
    ],
)
def test_other_dtypes_are_refused_with_the_cast_to_write(want: str, have: str, cast: str) -> None:
    x = np.zeros((2, 3), have)
    text = _refused(_info(want, "batch", 3), x)
    assert cast in text
    assert f"{np.dtype(want)} (batch, 3)" in text
    assert f"{'string' if have == 'O' else np.dtype(have)} (2, 3)" in text


@pytest.mark.parametrize(
    ("want", "value"),
    [
        ("f4", [1, 2]),
        ("f4", [0.5, 0.1]),
        ("f4", [2**24, -(2**24)]),
        ("f2", [2048, 0]),
        ("i1", [-128, 127]),
        ("u1", (0, 255)),
        ("i8", [2**62, 0]),
        ("?", [True, False]),
        ("f4", [np.float32(1), np.float32(2)]),
    ],
)
def test_plain_numbers_take_the_dtype_where_they_keep_their_value(want: str, value: Any) -> None:
    np.testing.assert_array_equal(
        _check(_info(want, 2), value), np.asarray(value).astype(np.dtype(want))
    )


@pytest.mark.parametrize(
    ("want", "value"),
    [
        ("f4", [2**24 + 1, 0]),
        ("f2", [4096, 0]),
        ("i1", [-129, 0]),
        ("u1", [256, 0]),
        ("u1", [-1, 0]),
        ("i4", [0.5, 1.0]),
        ("i4", [1.0, 2.0]),
        ("i4", [2**70, 0]),
        ("f4", [True, False]),
        ("?", [0, 1]),
        ("f4", ["1", "2"]),
        ("f4", [None, 1]),
        ("f4", [1j, 0]),
    ],
)
def test_plain_values_that_would_change_are_refused(want: str, value: Any) -> None:
    _refused(_info(want, 2), value)


@pytest.mark.filterwarnings("default")  # numpy before 1.24 warns, and makes objects
def test_a_ragged_list_is_refused() -> None:
    _refused(_info("f4", None, None), [[1.0, 2.0], [3.0]])


def test_scalars_fit_inputs_without_dimensions() -> None:
    info = _info("f4")
    for value in (1.5, np.float32(1.5), np.float64(1.5), np.array(1.5, "f4")):
        array = _check(info, value)
        assert array.shape == ()
        assert array == 1.5
    assert _check(info, 2) == 2
    assert "0 dimensions" in _refused(_info("f4", 1), 1.5)


def test_a_value_beyond_float32_is_no_infinity() -> None:
    if np.lib.NumpyVersion(np.__version__) < "1.24.0":
        pytest.skip("numpy tells of overflow in a cast from 1.24 on")
    assert "beyond the largest float32" in _refused(_info("f4", 1), np.array([1e300]))
    assert np.isinf(_check(_info("f4", 1), np.array([np.inf])))


def test_arrays_of_other_libraries_come_in_by_their_dtype() -> None:
    class Tensor:
        dtype = "theirs"

        def __init__(self, dtype: str) -> None:
            self._array = np.ones(2, dtype)

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return self._array

    _check(_info("f4", 2), Tensor("f4"))
    _refused(_info("f4", 2), Tensor("i4"))


def test_an_array_that_cannot_be_had_is_refused() -> None:
    class OnDevice:
        dtype = "f4"

        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            raise TypeError("copy it to the host first")

    assert "copy it to the host first" in _refused(_info("f4", 2), OnDevice())


@pytest.mark.parametrize("value", [["a", "bc"], np.array(["a", "bc"]), np.array(["a", "bc"], "O")])
def test_strings_go_in_as_lists_and_arrays(value: Any) -> None:
    assert _check(_info(object, 2), value).tolist() == ["a", "bc"]


@pytest.mark.parametrize("value", [[1, 2], np.array([b"a", b"b"]), np.array(["a", 1], "O")])
def test_what_is_no_string_is_refused_for_a_string(value: Any) -> None:
    text = _refused(_info(object, 2), value)
    assert "string (2,)" in text
    assert "array of str" in text


def test_a_missing_batch_dimension_is_recognized() -> None:
    text = _refused(_info("f4", "batch", 4), np.zeros(4, "f4"))
    assert "float32 (batch, 4)" in text
    assert "float32 (4,)" in text
    assert "x[np.newaxis]" in text


def test_a_wrong_fixed_dimension_is_named() -> None:
    text = _refused(_info("f4", None, 4, "time"), np.zeros((2, 5, 6), "f4"))
    assert "5 where dimension 1 must be 4" in text
    assert "(?, 4, time)" in text


def test_dimensions_of_one_name_have_one_size() -> None:
    infos = (_info("f4", "batch", "n", name="a"), _info("f4", "batch", None, name="b"))
    validate(infos, (np.zeros((2, 3), "f4"), np.zeros((2, 7), "f4")))
    with pytest.raises(InputError, match=r'"batch".*Found 2 in "a" and 3 in "b"'):
        validate(infos, (np.zeros((2, 3), "f4"), np.zeros((3, 7), "f4")))
    with pytest.raises(InputError, match='"n"'):
        validate((_info("f4", "n", "n"),), (np.zeros((2, 3), "f4"),))


def test_a_mapping_is_taken_by_name_in_any_order() -> None:
    infos = (_info("f4", 1, name="a"), _info("i4", 1, name="b"))
    a, b = np.zeros(1, "f4"), np.ones(1, "i4")
    for given in ({"b": b, "a": a}, {"a": a, "b": b}):
        first, second = validate(infos, (given,))
        assert first is a
        assert second is b


def test_missing_and_extra_names_are_told_together() -> None:
    infos = (_info("f4", 1, name="a"), _info("f4", 1, name="b"))
    with pytest.raises(InputError) as caught:
        validate(infos, ({"a": 0, "c": 0, 7: 0},))
    assert '"b" missing and "c", "7" not among them' in str(caught.value)


def test_a_model_without_inputs_takes_nothing() -> None:
    assert validate((), ()) == []
    assert validate((), ({},)) == []
    with pytest.raises(InputError, match="no input"):
        validate((), (1,))
