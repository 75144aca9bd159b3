"""Bad input through the API: one clear error each, nothing run, nothing left, nothing lost."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import hornbeam
from hornbeam.errors import (
    HornbeamError,
    ModelFileError,
    ModelLoadError,
    OutputError,
    UnsupportedLayerError,
    UntrustedCodeError,
    UsageError,
)

pytestmark = [
    # Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]

FORMATS = ("onnx", "tflite")


def _small() -> Any:
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(3, name="y")(x), name="small")


def _refused(kind: type[HornbeamError], source: Any, folder: Path, **options: Any) -> HornbeamError:
    """Convert into both formats, expect the error, and see that nothing changed on the disk."""
    folder.mkdir()
    kept = folder / "model.onnx"
    kept.write_bytes(b"what was there before")
    with pytest.raises(kind) as caught:
        hornbeam.convert(source, *(folder / f"model.{name}" for name in FORMATS), **options)
    assert kept.read_bytes() == b"what was there before"
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]
    message = str(caught.value)
    assert caught.value.asked
    assert "Traceback" not in message
    assert "\n" not in message
    assert len(message) < 800, message
    return caught.value


# -- files that are no models --------------------------------------------------------------


def _missing(path: Path) -> None:
    del path


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def _text(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\nsize 12345\n")


def _truncated(path: Path) -> None:
    _small().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _folder(path: Path) -> None:
    path.mkdir()


def _weights_only(path: Path) -> None:
    weights = path.with_suffix(".weights.h5")
    _small().save_weights(weights)
    weights.rename(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    "make", [_missing, _empty, _noise, _text, _truncated, _folder, _weights_only]
)
def test_file_that_is_no_model_is_refused(
    make: Callable[[Path], None], suffix: str, tmp_path: Path
) -> None:
    source = tmp_path / f"broken{suffix}"
    make(source)
    error = _refused(ModelLoadError, source, tmp_path / "out")
    assert source.name in str(error)


@pytest.mark.parametrize(("real", "wrong"), [(".keras", ".h5"), (".h5", ".keras")])
def test_mislabelled_file_is_read_as_what_it_is(real: str, wrong: str, tmp_path: Path) -> None:
    source = tmp_path / f"model{real}"
    _small().save(source)
    hornbeam.convert(source.rename(tmp_path / f"renamed{wrong}"), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("name", ["model.pb", "model.txt", "model"])
def test_source_of_unknown_kind_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"something")
    _refused(ModelLoadError, tmp_path / name, tmp_path / "out")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("make", [_missing, _empty, _noise, _text])
def test_product_that_is_broken_is_refused(
    make: Callable[[Path], None], kind: str, tmp_path: Path
) -> None:
    file = tmp_path / f"broken.{kind}"
    make(file)
    with pytest.raises(ModelFileError, match=r"broken"):
        hornbeam.load(file)


@pytest.mark.parametrize("kind", FORMATS)
def test_product_that_is_cut_short_is_refused(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"model.{kind}"
    hornbeam.convert(_small(), file, verify=False)
    whole = file.read_bytes()
    for share in (0.2, 0.5, 0.9):
        file.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ModelFileError):
            hornbeam.load(file)


# -- models that cannot be expressed -------------------------------------------------------


class Sorter(layers.Layer):
    """A layer whose work no lowering knows."""

    def call(self, x: Any) -> Any:
        return ops.while_loop(lambda y: ops.max(y) > 1.0, lambda y: (y / 2.0,), (x,))[0]


def test_layer_without_lowering_is_refused_by_its_path(tmp_path: Path) -> None:
    inside = keras.Input((4,))
    inner = keras.Model(inside, Sorter(name="halver")(inside), name="inner")
    x = keras.Input((4,))
    error = _refused(UnsupportedLayerError, keras.Model(x, inner(x)), tmp_path / "out")
    assert "inner/halver" in error.asked
    assert error.advice


# -- code in files -------------------------------------------------------------------------


@keras.saving.register_keras_serializable("bad_models")
class Known(layers.Layer):
    """Registered, so that Keras would build it by itself."""

    def call(self, x: Any) -> Any:
        return x * 2.0


def _with_lambda(path: Path, marker: Path) -> None:
    """A model whose Lambda leaves a mark when it runs."""
    x = keras.Input((4,))
    code = f"lambda t: (open({str(marker)!r}, 'w').close(), t * 2.0)[1]"
    y = layers.Lambda(eval(code), output_shape=(4,), name="marks")(x)
    keras.Model(x, y).save(path)
    marker.unlink(missing_ok=True)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_is_never_run_without_trust(suffix: str, tmp_path: Path) -> None:
    source, marker = tmp_path / f"model{suffix}", tmp_path / "marker"
    _with_lambda(source, marker)
    error = _refused(UntrustedCodeError, source, tmp_path / "out")
    assert not marker.exists(), "the code in the file was run"
    assert "trust" in error.advice
    # It would have run with trust: the test can fail.
    hornbeam.convert(source, tmp_path / "trusted.onnx", trust=True)
    assert marker.exists()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_class_of_the_users_own_needs_to_be_given(suffix: str, tmp_path: Path) -> None:
    class Own(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + 1.0

    x = keras.Input((4,))
    source = tmp_path / f"model{suffix}"
    keras.Model(x, Own(name="own")(x)).save(source)
    error = _refused(ModelLoadError, source, tmp_path / "out")
    assert "Own" in str(error)
    hornbeam.convert(source, tmp_path / "given.onnx", custom_objects={"Own": Own})


# -- outputs -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_output_in_a_missing_folder_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder"):
        hornbeam.convert(_small(), tmp_path / "missing" / f"model.{kind}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", FORMATS)
def test_output_that_is_a_folder_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / f"model.{kind}").mkdir()
    with pytest.raises(OutputError):
        hornbeam.convert(_small(), tmp_path / f"model.{kind}")
    assert [path.name for path in tmp_path.iterdir()] == [f"model.{kind}"]


def test_output_that_is_a_device_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "model.onnx"
    link.symlink_to("/dev/full")
    with pytest.raises(OutputError):
        hornbeam.convert(_small(), link)
    assert link.is_symlink()


@pytest.mark.parametrize("kind", FORMATS)
def test_full_disk_is_said_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    x = keras.Input((300,))
    large = keras.Model(x, layers.Dense(300, name="wide")(x))
    target = tmp_path / f"model.{kind}"
    target.write_bytes(b"what was there before")
    with _files_no_larger_than(50_000), pytest.raises(OutputError) as caught:
        hornbeam.convert(large, target)
    assert "space" in str(caught.value)
    assert target.read_bytes() == b"what was there before"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_unknown_suffix_and_one_file_twice_are_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.onnx, \.tflite"):
        hornbeam.convert(_small(), tmp_path / "model.pt")
    with pytest.raises(UsageError, match="twice"):
        hornbeam.convert(_small(), tmp_path / "model.onnx", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@contextmanager
def _files_no_larger_than(size: int) -> Iterator[None]:
    """What a full disk does, without filling one: writing past ``size`` bytes fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
