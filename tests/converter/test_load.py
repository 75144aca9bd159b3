"""Loading: files of Keras 3, model objects, and what loading leaves as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam.converter.load import ensure_backend, load
from hornbeam.errors import ModelLoadError

ensure_backend()
import keras  # noqa: E402 - the backend is chosen before

KERAS2 = Path(__file__).parent / "keras2_files"
# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1 when they are saved.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def outputs_of(model: Any, *inputs: Any) -> list[np.ndarray]:
    result = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
    results = result if isinstance(result, (list, tuple)) else [result]
    return [np.asarray(each, dtype=np.float32) for each in results]


def random_weights(model: Any, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    for weight in model.weights:
        low, high = (0.5, 1.5) if "variance" in weight.name else (-1.0, 1.0)
        weight.assign(random.uniform(low, high, weight.shape).astype(weight.dtype))
    return model


# -- files of Keras 3 ----------------------------------------------------------------------


def sequential() -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3, activation="hard_sigmoid"),
        ]
    )


def nested() -> Any:
    shared = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)], name="shared")
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    joined = keras.layers.Concatenate()([shared(first), shared(shared(second))])
    both = keras.ops.tanh(joined * 2.0)[:, 1:]
    return keras.Model([first, second], [keras.layers.Dense(2)(both), joined])


def recurrent() -> Any:
    layers = keras.layers
    stack = [
        layers.Embedding(10, 4, mask_zero=True),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.GRU(2),
    ]
    return keras.Sequential([keras.Input((6,), dtype="int32"), *stack])


def normalized() -> Any:
    layer = keras.layers.Normalization()
    layer.adapt(np.arange(12.0, dtype=np.float32).reshape(6, 2))
    return keras.Sequential([keras.Input((2,)), layer])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("build", [sequential, nested, recurrent, normalized])
@pytest.mark.filterwarnings("ignore:.*HDF5.*")
def test_keras3_file_computes_what_the_model_computed(
    tmp_path: Path, build: Any, suffix: str
) -> None:
    model = build() if build is normalized else random_weights(build())
    random = np.random.default_rng(1)
    inputs = [
        random.integers(0, 9, (3, *given.shape[1:]))
        if given.dtype == "int32"
        else random.normal(size=(3, *given.shape[1:])).astype(np.float32)
        for given in model.inputs
    ]
    path = tmp_path / f"model{suffix}"
    model.save(path)
    loaded = load(str(path))
    for expected, actual in zip(
        outputs_of(model, *inputs), outputs_of(loaded.model, *inputs), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    if suffix == ".keras" or build is not nested:
        assert loaded.repairs == (), "a file of Keras 3 needs no repair"


def test_compiled_model_loads_without_what_it_was_trained_with(tmp_path: Path) -> None:
    model = sequential()

    def loss_of_somebody(truth: Any, guess: Any) -> Any:
        return keras.ops.mean(truth - guess)

    model.compile("adam", loss_of_somebody)
    model.save(tmp_path / "model.keras")
    assert not load(tmp_path / "model.keras").model.compiled


# -- how it loads --------------------------------------------------------------------------


def test_no_initializer_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_weights(sequential())
    model.save(tmp_path / "model.keras")

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("an initializer ran while a model was loaded")

    for name in ("GlorotUniform", "Zeros", "Ones"):
        monkeypatch.setattr(getattr(keras.initializers, name), "__call__", never)
    loaded = load(tmp_path / "model.keras").model
    for expected, actual in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))


def state_of_keras() -> tuple[Any, ...]:
    from keras.src.backend.common import global_state
    from keras.src.saving import serialization_lib

    return (
        keras.layers.Layer.add_weight,
        "assign" in keras.Variable.__dict__,
        serialization_lib.in_safe_mode(),
        dict(global_state.get_global_attribute("custom_objects_scope_dict", {})),
        global_state.get_global_attribute("use_legacy_config", None),
    )


@pytest.mark.parametrize("name", ["convolutions.h5", "convolutions.keras", "weights_only.h5"])
def test_keras_is_left_as_it_was(name: str) -> None:
    before = state_of_keras()
    try:
        load(KERAS2 / name)
    except ModelLoadError:
        assert name == "weights_only.h5"
    # Keras creates its scope dicts on first use: an empty one and none are the same.
    after = state_of_keras()
    assert after[:4] == before[:4]
    assert not after[4]


def test_loading_in_several_threads_gives_each_its_own_model() -> None:
    names = ["convolutions", "recurrent", "nested", "attention"] * 2
    results: list[Any] = [None] * len(names)

    def work(index: int) -> None:
        results[index] = load(KERAS2 / f"{names[index]}.h5").model

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, model in zip(names, results, strict=True):
        arrays = np.load(KERAS2 / f"{name}.npz")
        inputs = [arrays[key] for key in arrays if key.startswith("x")]
        np.testing.assert_allclose(outputs_of(model, *inputs)[0], arrays["y0"], atol=2e-6)


def test_state_that_files_do_not_hold_is_initialized(tmp_path: Path) -> None:
    class Counted(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1],), initializer="ones")
            self.seen = keras.metrics.Mean()

        def call(self, x: Any) -> Any:
            return x * self.kernel

    model = keras.Sequential([keras.Input((2,)), Counted(), keras.layers.Dropout(0.5)])
    model.save(tmp_path / "model.keras")
    loaded = load(tmp_path / "model.keras", custom_objects={"Counted": Counted}).model
    np.testing.assert_array_equal(np.asarray(loaded.layers[0].kernel), [1.0, 1.0])
    assert float(loaded.layers[0].seen.result()) == 0.0
    loaded(np.ones((1, 2), np.float32), training=True)  # draws from the seed's state


def test_weights_without_values_are_an_error(tmp_path: Path) -> None:
    """A layer that keeps its variables to itself leaves them unwritten in the file."""

    class Forgetful(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1],), initializer="normal")

        def call(self, x: Any) -> Any:
            return x * self.kernel

        def save_own_variables(self, store: Any) -> None:
            pass

        def load_own_variables(self, store: Any) -> None:
            pass

    keras.Sequential([keras.Input((2,)), Forgetful()]).save(tmp_path / "model.keras")
    with pytest.raises(ModelLoadError, match="no values for 1 of the model's weights"):
        load(tmp_path / "model.keras", custom_objects={"Forgetful": Forgetful})


def test_model_object_is_returned_as_it_is() -> None:
    model = sequential()
    loaded = load(model)
    assert loaded.model is model
    assert (loaded.repairs, loaded.source) == ((), "Sequential")


@pytest.mark.parametrize("wrong", [None, 3, [1.0], np.zeros(3)])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(ModelLoadError, match="The argument is a"):
        load(wrong)


# -- in a process of its own ---------------------------------------------------------------


def run_python(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KERAS_BACKEND", "JAX_PLATFORMS", "TF_CPP_MIN_LOG_LEVEL")
    }
    inherited |= {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=inherited,
        timeout=300,
        check=False,
    )


def test_tensorflow_is_never_asked_for() -> None:
    result = run_python(
        f"""
        import importlib.abc, sys
        from pathlib import Path

        class Watch(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in ("tensorflow", "torch"):
                    print("asked for", name)
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Watch())
        from hornbeam.converter.load import load
        folder = Path({str(KERAS2)!r})
        for name in ("convolutions.h5", "convolutions.keras", "recurrent.h5", "preprocessing.h5"):
            print("loaded", load(folder / name).source)
        """
    )
    assert result.returncode == 0, result.stderr
    assert "asked for" not in result.stdout, result.stdout
    assert result.stdout.count("loaded") == 4
    assert result.stderr == "", "loading writes to stderr"


@pytest.mark.parametrize(
    ("missing", "chosen", "says"),
    [
        ((), None, "jax cpu"),
        (("jax", "tensorflow", "torch"), None, "pip install 'hornbeam[convert]'"),
        (("keras",), None, "Keras is not installed"),
        ((), "torchless", "KERAS_BACKEND is set to 'torchless', which is not installed"),
    ],
)
def test_backend_is_one_that_is_installed(
    missing: tuple[str, ...], chosen: str | None, says: str
) -> None:
    result = run_python(
        f"""
        import os, sys
        for name in {missing!r}:
            sys.modules[name] = None
        if "keras" in {missing!r}:
            del sys.modules["keras"]
            import importlib.util
            find = importlib.util.find_spec
            importlib.util.find_spec = lambda name: None if name == "keras" else find(name)
        from hornbeam.converter.load import ensure_backend
        from hornbeam.errors import ModelLoadError
        try:
            print(ensure_backend(), os.environ.get("JAX_PLATFORMS"))
        except ModelLoadError as error:
            print(error)
        """,
        KERAS_BACKEND=chosen,
    )
    assert result.returncode == 0, result.stderr
    assert says in result.stdout, result.stdout


def test_what_the_user_set_is_kept() -> None:
    result = run_python(
        """
        import os
        from hornbeam.converter.load import ensure_backend
        print(ensure_backend(), os.environ.get("JAX_PLATFORMS"))
        """,
        KERAS_BACKEND="jax",
        JAX_PLATFORMS="cuda,cpu",
    )
    assert result.stdout.split() == ["jax", "cuda,cpu"], result.stderr


def test_archive_members_are_read_where_they_are_compressed(tmp_path: Path) -> None:
    model = random_weights(sequential())
    model.save(tmp_path / "stored.keras")
    with (
        zipfile.ZipFile(tmp_path / "stored.keras") as old,
        zipfile.ZipFile(tmp_path / "deflated.keras", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    loaded = load(tmp_path / "deflated.keras").model
    np.testing.assert_array_equal(np.asarray(loaded.weights[0]), np.asarray(model.weights[0]))
