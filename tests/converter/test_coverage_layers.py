"""All of ``keras.layers``: each class converts to both formats, or is listed with a reason."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras
import pytest
from layer_cases import CASES, model_of, samples_of
from proof import assert_carries, quick_initializers, randomize

from hornbeam.converter import lowering
from hornbeam.converter.coverage import NO_LAYERS, REFUSED
from hornbeam.converter.lowering.registry import registered
from hornbeam.converter.trace import trace
from hornbeam.errors import UnsupportedLayerError

pytestmark = [
    # Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # MixUp draws numbers at inference, too, in a dtype that JAX has not got.
    pytest.mark.filterwarnings("ignore:.*Explicitly requested dtype int64:UserWarning"),
]

#: Compiling them in Keras takes longer than five seconds.
SLOW = {
    "ConvLSTM2D", "ConvLSTM3D", "ContrastLimitedAdaptiveHistogramEqualization", "MelSpectrogram",
    "MixUp", "StackedRNNCells",
}  # fmt: skip

#: Layers that others build, and that are not public themselves.
HIDDEN = {"ConvLSTMCell"}


def _public() -> dict[str, type]:
    found = {name: getattr(keras.layers, name) for name in dir(keras.layers)}
    return {name: thing for name, thing in found.items() if inspect.isclass(thing)}


def test_every_layer_is_tested_or_refused_with_a_reason() -> None:
    tested = {getattr(keras.layers, name) for name in CASES}
    listed = {*REFUSED, *NO_LAYERS}
    missing = [name for name, cls in _public().items() if cls not in tested and name not in listed]
    assert not missing, "add a case to layer_cases.py, or a reason to converter/coverage.py"
    both = [name for name in CASES if name in listed]
    assert not both, "these convert, and are said not to"


def test_every_lowering_of_a_layer_is_of_a_layer_that_keras_has() -> None:
    lowering.load_all()
    classes = {cls.__name__ for cls in _public().values()}
    named = {entry.key.removeprefix("layers.") for entry in registered()
             if entry.key.startswith("layers.")}  # fmt: skip
    wrong = named - classes - set(REFUSED) - HIDDEN
    assert not wrong, "a misspelt key never serves a layer"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in CASES]
)
def test_layer_carries(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    with quick_initializers():
        model = randomize(model_of(case))
    assert_carries(
        model,
        samples_of(case),
        tmp_path,
        tolerance=case.tolerance,
        eager=True,
        coupled=case.coupled,
    )


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JaxLayer is for Keras on JAX")
def test_jax_layer_is_refused_with_the_reason() -> None:
    def twice(inputs: Any) -> Any:
        return inputs * 2

    layer = keras.layers.JaxLayer(twice, name="foreign")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(UnsupportedLayerError, match="function of JAX") as caught:
        trace(model)
    assert "foreign" in caught.value.asked
