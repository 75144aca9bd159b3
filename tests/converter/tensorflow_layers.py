"""Layers whose code calls TensorFlow, in a module of their own, so that a child finds them."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class Frames(keras.layers.Layer):
    """Overlapping windows over time, by TensorFlow itself."""

    def call(self, x: Any) -> Any:
        """(batch, time, features) to (batch, windows, 4, features)."""
        return tf.abs(tf.signal.frame(x, 4, 2, axis=1))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of what `call` returns."""
        batch, time, features = shape
        return batch, (time or 0) // 2 - 1, 4, features


def model(*, recurrent: bool = False) -> keras.Model:
    """A small model with such a layer in the middle."""
    inputs = keras.Input((16, 3), name="sound")
    hidden = Frames(name="frames")(keras.layers.Dense(3, activation="tanh")(inputs))
    if recurrent:
        hidden = keras.layers.LSTM(5)(keras.layers.Reshape((7, 12))(hidden))
    else:
        hidden = keras.layers.Flatten()(hidden)
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(hidden), name="heard")
