"""SavedModels for the tests, written by the TensorFlow that is installed.

Run as a program with the folder to write into: the tests themselves never import TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import tensorflow as tf


class Svd(tf.Module):
    """Operations that neither format has."""

    @tf.function(input_signature=[tf.TensorSpec((None, 8), tf.float32, name="x")])
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Singular values of each sample, and how often the first features are 0, 1, 2."""
        counts = tf.raw_ops.Bincount(arr=tf.cast(x[:, 0], tf.int32), size=3, weights=tf.zeros((0,)))
        return {"y": tf.linalg.svd(tf.reshape(x, (-1, 2, 4)), compute_uv=False), "counts": counts}


class Unshared(tf.Module):
    """Inputs without samples in common: a table, a scale, and one that nothing reads."""

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, 4), tf.float32, name="table"),
            tf.TensorSpec((), tf.float32, name="scale"),
            tf.TensorSpec((2,), tf.int32, name="idle"),
        ]
    )
    def serve(self, table: tf.Tensor, scale: tf.Tensor, idle: tf.Tensor) -> dict[str, tf.Tensor]:
        """The scaled table and its sums."""
        del idle
        return {"scaled": table * scale, "sums": tf.reduce_sum(table, axis=0)}


class Reader(tf.Module):
    """Reads a file of the machine."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    def serve(self, x: tf.Tensor) -> tf.Tensor:
        """The sizes of a file beside the input."""
        return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


class Rankless(tf.Module):
    """Does not say what shape it takes."""

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])
    def serve(self, x: tf.Tensor) -> tf.Tensor:
        """Twice the input."""
        return 2.0 * x


def recurrent() -> keras.Model:
    """An LSTM, which TFLiteConverter does not convert with a free batch."""
    inputs = keras.Input((7, 3), name="steps")
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(4)(inputs)))


def write(folder: Path) -> None:
    """Write each model into a folder of its own in ``folder``."""
    for module in (Svd(), Unshared(), Reader(), Rankless()):
        name = type(module).__name__.lower()
        tf.saved_model.save(module, folder / name, signatures=module.serve.get_concrete_function())
    recurrent().export(folder / "recurrent", format="tf_saved_model", verbose=False)
    fixed = [keras.InputSpec(shape=(2, 7, 3), dtype="float32", name="steps")]
    recurrent().export(
        folder / "batched", format="tf_saved_model", verbose=False, input_signature=fixed
    )
    tf.saved_model.save(tf.Module(), folder / "nothing")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
