"""Nothing in a model file runs as code unless the caller says that it may."""

from __future__ import annotations

import codecs
import json
import marshal
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hornbeam.converter.load import ensure_backend, load
from hornbeam.converter.loading import trust
from hornbeam.errors import ModelLoadError, UntrustedCodeError

ensure_backend()
import keras  # noqa: E402 - the backend is chosen before

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*HDF5.*"),
    pytest.mark.filterwarnings("ignore:.*lambda.*"),
]
ROW = np.array([[1.0, -2.0, 3.0, -4.0]], np.float32)


class Doubled(keras.layers.Layer):
    """A custom layer with a weight, which nobody registered."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        return 2.0 * x * self.scale


@keras.saving.register_keras_serializable(package="shop")
class Registered(Doubled):
    """A custom layer that is registered under shop>Registered."""


class OwnModel(keras.Model):
    """A subclassed model."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


def tripled(x: Any) -> Any:
    return 3.0 * x


def with_lambda() -> Any:
    return keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2.0, name="own")])


def with_function() -> Any:
    return keras.Sequential([keras.Input((4,)), keras.layers.Lambda(tripled, name="own")])


def with_layer() -> Any:
    return keras.Sequential([keras.Input((4,)), Doubled(name="own")])


def with_registered() -> Any:
    return keras.Sequential([keras.Input((4,)), Registered(name="own")])


def with_activation() -> Any:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, tripled, name="own")])


def wrapped() -> Any:
    inner = keras.layers.TimeDistributed(Doubled(name="own"))
    return keras.Sequential([keras.Input((1, 4)), inner])


def buried() -> Any:
    inner = keras.Sequential([keras.Input((4,)), Doubled(name="own")])
    first = keras.Input((4,))
    return keras.Model(first, keras.layers.Dense(2)(inner(first)))


def subclassed() -> Any:
    model = OwnModel(name="own")
    model(ROW)
    return model


EVERY = (
    with_lambda,
    with_function,
    with_layer,
    with_registered,
    with_activation,
    wrapped,
    buried,
    subclassed,
)


@pytest.mark.parametrize("build", EVERY)
def test_code_is_refused_and_the_layer_is_named(tmp_path: Path, build: Callable[[], Any]) -> None:
    build().save(tmp_path / "model.keras")
    with pytest.raises(UntrustedCodeError) as caught:
        load(tmp_path / "model.keras")
    assert "'own'" in caught.value.found, str(caught.value)
    assert "--trust" in caught.value.advice, str(caught.value)


@pytest.mark.parametrize("build", [each for each in EVERY if each is not with_lambda])
def test_the_callers_own_code_passes_by_its_name(tmp_path: Path, build: Callable[[], Any]) -> None:
    model = build()
    model.save(tmp_path / "model.keras")
    own = {each.__name__: each for each in (Doubled, Registered, OwnModel, tripled)}
    loaded = load(tmp_path / "model.keras", custom_objects=own).model
    x = ROW[:, None] if build is wrapped else ROW
    np.testing.assert_allclose(np.asarray(loaded(x)), np.asarray(model(x)), rtol=1e-6)


@pytest.mark.parametrize("build", [with_lambda, with_registered])
def test_trust_lets_the_file_have_its_way(tmp_path: Path, build: Callable[[], Any]) -> None:
    model = build()
    model.save(tmp_path / "model.keras")
    loaded = load(tmp_path / "model.keras", trust=True).model
    np.testing.assert_array_equal(np.asarray(loaded(ROW)), np.asarray(model(ROW)))


def test_custom_class_that_is_nowhere_is_a_clear_error_even_with_trust(tmp_path: Path) -> None:
    with_layer().save(tmp_path / "model.keras")
    with pytest.raises(ModelLoadError, match="Doubled"):
        load(tmp_path / "model.keras", trust=True)


def test_custom_objects_do_not_open_the_way_for_bytecode(tmp_path: Path) -> None:
    with_lambda().save(tmp_path / "model.keras")
    with pytest.raises(UntrustedCodeError, match="bytecode"):
        load(tmp_path / "model.keras", custom_objects={"tripled": tripled, "own": tripled})


# -- HDF5 ----------------------------------------------------------------------------------


def keras2_lambda(path: Path, function: list[Any] | str, kind: str) -> None:
    """Write what Keras 2 wrote for a Lambda: its bytecode, or its name, among the arguments."""
    first = {"name": "x", "batch_input_shape": [None, 4], "dtype": "float32", "sparse": False}
    own = {
        "name": "own",
        "trainable": True,
        "dtype": "float32",
        "function": function,
        "function_type": kind,
        "module": "__main__",
        "output_shape": None,
        "output_shape_type": "raw",
        "output_shape_module": None,
        "arguments": {},
    }
    stack = [
        {"class_name": "InputLayer", "config": first},
        {"class_name": "Lambda", "config": own},
    ]
    config = {"class_name": "Sequential", "config": {"name": "old", "layers": stack}}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.9.0"
        file.attrs["model_config"] = json.dumps(config)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"x", b"own"]
        for name in ("x", "own"):
            weights.create_group(name).attrs["weight_names"] = np.zeros(0, "S1")


def bytecode(function: Callable[..., Any]) -> list[Any]:
    code = codecs.encode(marshal.dumps(function.__code__), "base64").decode("ascii")
    return [code, None, None]


def test_bytecode_in_hdf5_never_runs_without_trust(tmp_path: Path) -> None:
    mark = tmp_path / "it_ran"
    source = f"lambda x: (__import__('pathlib').Path({str(mark)!r}).touch(), x * 2.0)[1]"
    keras2_lambda(tmp_path / "model.h5", bytecode(eval(source)), "lambda")
    with pytest.raises(UntrustedCodeError, match=r"'own' \(Lambda\) holds a Python function"):
        load(tmp_path / "model.h5")
    assert not mark.exists(), "code from the file ran without trust"
    loaded = load(tmp_path / "model.h5", trust=True)
    np.testing.assert_array_equal(np.asarray(loaded.model(ROW)), 2.0 * ROW)
    assert mark.exists(), "with trust the function of the file is the one that runs"


def test_named_function_in_hdf5_is_the_callers(tmp_path: Path) -> None:
    keras2_lambda(tmp_path / "model.h5", "tripled", "function")
    with pytest.raises(UntrustedCodeError, match="calls the Python function 'tripled'"):
        load(tmp_path / "model.h5")
    loaded = load(tmp_path / "model.h5", custom_objects={"tripled": tripled})
    np.testing.assert_array_equal(np.asarray(loaded.model(ROW)), 3.0 * ROW)


@pytest.mark.parametrize("build", [with_layer, with_registered, buried])
def test_custom_layer_in_hdf5(tmp_path: Path, build: Callable[[], Any]) -> None:
    model = build()
    model.save(tmp_path / "model.h5")
    with pytest.raises(UntrustedCodeError, match="'own'"):
        load(tmp_path / "model.h5")
    own = {"Doubled": Doubled, "Registered": Registered, "shop>Registered": Registered}
    loaded = load(tmp_path / "model.h5", custom_objects=own).model
    np.testing.assert_array_equal(np.asarray(loaded(ROW)), np.asarray(model(ROW)))


# -- configs that somebody wrote by hand ---------------------------------------------------


def rewritten(path: Path, change: Callable[[Any], None]) -> None:
    """Save a small model, with its config changed, as an attacker would."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="own")])
    model.save(path.with_suffix(".tmp.keras"))
    with (
        zipfile.ZipFile(path.with_suffix(".tmp.keras")) as old,
        zipfile.ZipFile(path, "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config["config"]["layers"][1])
                data = json.dumps(config).encode()
            new.writestr(name, data)


def function(name: str, module: str | None) -> dict[str, Any]:
    return {
        "class_name": "function",
        "config": name,
        "module": module,
        "registered_name": name,
    }


@pytest.mark.parametrize(
    "value",
    [
        function("system", "os"),
        function("get_file", "keras.utils"),
        function("load_model", "keras.saving"),
        function("load_model", "keras.models"),
        {"class_name": "load_model", "config": {}, "module": "keras.models"},
        function("eval", "builtins"),
        function("nothing_known", None),
        {"class_name": "__lambda__", "config": {"value": bytecode(lambda x: x)}},
        {"class_name": "Popen", "config": {"args": "id"}, "module": "subprocess"},
        {"class_name": "TFSMLayer", "config": {"filepath": "/"}, "module": "keras.layers"},
        {"class_name": "TorchModuleWrapper", "config": {}, "module": "keras.layers"},
        {"class_name": "ReLU", "config": {}, "module": None, "registered_name": "shop>ReLU"},
        {
            "class_name": "ReLU",
            "config": {},
            "module": "keras.layers",
            "registered_name": "shop>Registered",
        },
        "a_function_of_somebody",
    ],
    ids=lambda value: value if isinstance(value, str) else str(value["config"])[:20],
)
@pytest.mark.parametrize("key", ["activation", "kernel_regularizer"])
def test_code_hidden_in_an_argument_is_found(tmp_path: Path, value: Any, key: str) -> None:
    if isinstance(value, str) and key != "activation":
        pytest.skip("a plain string is looked up as a function only where one is expected")

    def hide(layer: Any) -> None:
        layer["config"][key] = value

    path = tmp_path / "model.keras"
    rewritten(path, hide)
    with pytest.raises(UntrustedCodeError):
        load(path)


def test_compile_config_is_not_even_looked_at(tmp_path: Path) -> None:
    def hide(layer: Any) -> None:
        layer["compile_config"] = {"loss": function("system", "os")}

    rewritten(tmp_path / "model.keras", hide)
    assert load(tmp_path / "model.keras").model.layers[0].name == "own"


def test_layers_and_functions_of_keras_pass() -> None:
    layers = keras.layers
    first = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="swish", kernel_initializer="he_normal")(first)
    x = layers.Conv2D(4, 1, activation=layers.LeakyReLU(0.2), kernel_constraint="max_norm")(x)
    x = layers.Activation(keras.activations.gelu)(keras.ops.relu6(x)[:, 1:])
    x = layers.Dense(2, kernel_regularizer=keras.regularizers.L1L2(), dtype="mixed_float16")(x)
    config = keras.saving.serialize_keras_object(keras.Model(first, x))
    trust.check(config, "model.keras", {})


def test_a_vocabulary_path_in_a_file_reads_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a\nb\n", encoding="utf-8")

    def point(layer: Any) -> None:
        layer["class_name"] = "StringLookup"
        layer["config"] = {"name": "own", "vocabulary": os.fspath(secret)}

    rewritten(tmp_path / "model.keras", point)
    with pytest.raises(ModelLoadError, match="'own' is a StringLookup"):
        load(tmp_path / "model.keras", trust=True)
