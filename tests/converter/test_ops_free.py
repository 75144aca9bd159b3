"""``keras.ops`` along axes of free size: one file for every length, or an error that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from ops_harness import Array, floats, results_of, same_results
from proof import convert_unproved

import hornbeam
from hornbeam.errors import ConversionError

_CARRIED: dict[str, Callable[[Any], Any]] = {
    "argsort": lambda x: ops.argsort(x, axis=1),
    "cumprod": lambda x: ops.cumprod(x, axis=1),
    "cumsum": lambda x: ops.cumsum(x, axis=1),
    "diff": lambda x: ops.diff(x, axis=1),
    "extract_sequences": lambda x: ops.extract_sequences(x[:, :, 0], 4, 2),
    "flip": lambda x: ops.flip(x, axis=1),
    "logsumexp": lambda x: ops.logsumexp(x, axis=1),
    "moments": lambda x: ops.moments(x, axes=(1,)),
    "nanmean": lambda x: ops.nanmean(x, axis=1),
    "outer": lambda x: ops.kron(x, np.ones((1, 2, 1), "float32")),
    "pad": lambda x: ops.pad(x, [(0, 0), (2, 1), (0, 0)], mode="reflect"),
    "rearrange": lambda x: ops.rearrange(x, "b t (h d) -> b h t d", h=2),
    "roll": lambda x: ops.roll(x, 2, axis=1),
    "roll far": lambda x: ops.roll(x, -8, axis=1),
    "rot90": lambda x: ops.rot90(x, axes=(1, 2)),
    "sort": lambda x: ops.sort(x, axis=1),
    "sparsemax": lambda x: ops.sparsemax(x, axis=1),
    "stft": lambda x: ops.stft(x[:, :, 0], 4, 2, 4),
    "take_along_axis": lambda x: ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1),
    "tensordot": lambda x: ops.tensordot(x, np.ones((4, 2), "float32"), axes=1),
    "tril": ops.tril,
    "zeros_like": lambda x: ops.where(x > 0, x, ops.full_like(x, 3.0)),
}

_REFUSED: dict[str, Callable[[Any], Any]] = {
    "correlate": lambda x: ops.correlate(x[0, :, 0], np.ones(9, "float32")),
    "fft": lambda x: ops.fft((ops.swapaxes(x, 1, 2), ops.swapaxes(x, 1, 2)))[0],
    "lu_factor": lambda x: ops.lu_factor(ops.swapaxes(x, 1, 2))[0],
    "median": lambda x: ops.median(x, axis=1),
    "qr": lambda x: ops.qr(ops.swapaxes(x, 1, 2))[1],
    "vander": lambda x: ops.vander(x[0, :, 0]),
}


class _Inside(keras.Layer):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__(name="inside")
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)

    def compute_output_spec(self, x: Any) -> Any:  # noqa: ARG002
        results = keras.tree.flatten(self.function(np.ones((3, 7, 4), "float32")))
        return [
            keras.KerasTensor((None,) * len(r.shape), keras.backend.standardize_dtype(r.dtype))
            for r in map(ops.convert_to_tensor, results)
        ]


def _model(function: Callable[[Any], Any]) -> Any:
    inputs = keras.Input((None, 4), name="input_0")
    return keras.Model(inputs, _Inside(function)(inputs))


@pytest.mark.parametrize("name", sorted(_CARRIED))
def test_one_file_for_every_length(name: str, tmp_path: Path) -> None:
    function = _CARRIED[name]
    files = convert_unproved(_model(function), tmp_path)
    inputs: list[Array] = [floats(3, 7, 4), floats(1, 5, 4), floats(2, 12, 4)]
    for file in files.values():
        with hornbeam.load(file) as session:
            for x in inputs:
                expected = keras.tree.flatten(function(ops.convert_to_tensor(x)))
                wanted = [np.asarray(ops.convert_to_numpy(y)) for y in expected]
                same_results(wanted, results_of(session, [x]), f"{name} {file.suffix} {x.shape}")


@pytest.mark.parametrize("name", sorted(_REFUSED))
def test_what_needs_to_know_the_length_says_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"free|size|length|must be known"):
        hornbeam.convert(_model(_REFUSED[name]), tmp_path / "model.onnx", verify=False)
