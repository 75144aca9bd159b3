"""Write the Keras 2 files beside this script, each with inputs and what Keras 2 computes.

Run where ``tensorflow`` and ``tf_keras`` are installed::

    python tests/converter/keras2_files/make.py

The tests only read the files. Weights are drawn from a fixed seed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

HERE = Path(__file__).parent
layers = keras.layers


def save(name, model, *inputs, archive=True, hdf5=True):
    """Draw the weights, and save the model with its inputs and outputs."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        drawn = random.normal(0, 0.3, weight.shape)
        if "variance" in weight.name:
            drawn = random.uniform(0.5, 1.5, weight.shape)
        weight.assign(drawn.astype(weight.dtype.as_numpy_dtype))
    for layer in model.layers:
        if hasattr(layer, "finalize_state") and layer.weights:
            layer.finalize_state()
    outputs = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
    if not isinstance(outputs, (list, tuple)):
        outputs = [outputs]
    arrays = {f"x{index}": value for index, value in enumerate(inputs)}
    arrays |= {f"y{index}": np.asarray(value) for index, value in enumerate(outputs)}
    np.savez_compressed(HERE / f"{name}.npz", **arrays)
    if hdf5:
        model.save(HERE / f"{name}.h5")
    if archive:
        model.save(HERE / f"{name}.keras")


def convolutions(image):
    """Slashes in names, arguments of Keras 2, layers that Keras 3 renamed, an old optimizer."""
    first = layers.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="block/conv")(first)
    x = layers.BatchNormalization(name="block/bn")(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.experimental.SyncBatchNormalization()(x)
    x = layers.LeakyReLU(0.2)(x)
    x = layers.SeparableConv2D(5, 3, padding="same")(x)
    x = layers.Conv2DTranspose(3, 2, strides=2)(x)
    x = layers.PReLU()(layers.UpSampling2D()(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(4, activation="hard_sigmoid")(x)
    model = keras.Model(first, layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.legacy.Adam(0.1, decay=0.1), "mse")
    save("convolutions", model, image)


def recurrent(sequence, state):
    """Recurrent layers with the old hard_sigmoid, and with initial states given."""
    stack = [
        layers.LSTM(3, return_sequences=True, recurrent_activation="hard_sigmoid"),
        layers.Bidirectional(layers.GRU(3, return_sequences=True)),
        layers.SimpleRNN(3, return_sequences=True),
        layers.GRU(2, reset_after=False),
    ]
    save("recurrent", keras.Sequential([layers.Input((5, 4)), *stack]), sequence)
    x, h, c = layers.Input((5, 4)), layers.Input((3,)), layers.Input((3,))
    lstm = layers.LSTM(3, return_state=True, return_sequences=True)
    model = keras.Model([x, h, c], lstm(x, initial_state=[h, c]))
    save("states", model, sequence, state, state[::-1].copy())


def sequential(image, ids, row):
    """Input shapes on the first layer; frozen layers, whose weights have another order."""
    first = layers.Conv2D(3, 3, input_shape=(8, 8, 3))
    model = keras.Sequential([first, layers.Flatten(), layers.Dense(2)])
    save("input_shape", model, image, archive=False)
    embedding = layers.Embedding(6, 4, input_length=5, mask_zero=True)
    model = keras.Sequential([embedding, layers.LSTM(3), layers.Dense(2)])
    save("embedding", model, ids, archive=False)
    stack = [layers.Dense(3, input_shape=(4,)), layers.BatchNormalization(), layers.Dense(2)]
    model = keras.Sequential(stack)
    stack[0].trainable = stack[1].trainable = False
    save("frozen", model, row, archive=False)


def attention(sequence):
    """A layer that is called with tensors among its keyword arguments."""
    query, value = layers.Input((5, 4)), layers.Input((5, 4))
    x = layers.MultiHeadAttention(2, 3)(query, value, attention_mask=None)
    x = layers.LayerNormalization()(layers.Add()([query, x]))
    save("attention", keras.Model([query, value], x), sequence, sequence[::-1].copy())


def nested(row):
    """Models in a model, one of them called twice, one a Sequential with a slash in its name."""
    stack = [layers.Dense(4, activation="relu", input_shape=(4,)), layers.BatchNormalization()]
    inner = keras.Sequential(stack, name="inner/stack")
    first = layers.Input((4,))
    shared = keras.Model(first, layers.Dense(4)(layers.Dense(3)(first)), name="shared")
    outer = layers.Input((4,))
    once = shared(inner(outer))
    both = layers.Concatenate()([once, shared(once)])
    save("nested", keras.Model(outer, layers.Dense(10)(both)), row)
    outer = layers.Input((4,))
    model = keras.Model(outer, shared(inner(layers.Dense(4)(outer))))
    save("nested_last", model, row, archive=False)


def operations(image):
    """TensorFlow functions among the layers."""
    first = layers.Input((8, 8, 3))
    x = 1.0 - ((first / 255.0) * 2.0 - 1.0)
    x = tf.nn.relu6(x + 0.5)
    a, b = x[:, 1:5, ::2, :], x[..., :2]
    a = tf.reshape(tf.image.resize(a, (4, 4)), (-1, 16, 3))
    a = tf.reduce_mean(a, axis=1)
    b = tf.math.reduce_max(tf.reshape(b, [-1, 64, 2]), axis=[1])
    x = tf.cast(tf.concat([a, b], axis=-1), "float32")
    x = tf.math.truediv(tf.squeeze(tf.expand_dims(x, 1), axis=1), 3.0)
    w = layers.Dense(5)(x)
    x = tf.math.maximum((x + w) * w, w)
    x = tf.nn.softmax(tf.clip_by_value(x, -1.0, 1.0))
    x = tf.stack([tf.nn.gelu(tf.transpose(x, [0, 1])), tf.nn.leaky_relu(w)], axis=1)
    x = tf.sqrt((-x) ** 2.0 + 1.0)
    x = tf.matmul(x, x, transpose_b=True)
    save("operations", keras.Model(first, x), np.abs(image) * 40, archive=False)


def preprocessing(image):
    """Preprocessing layers, one with statistics among the weights."""
    first = layers.Input((8, 8, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(first)
    x = layers.CenterCrop(4, 4)(layers.Resizing(6, 6)(x))
    x = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 2.0, 3.0])(x)
    adapted = layers.Normalization()
    adapted.adapt(image)
    x = adapted(layers.RandomFlip()(x))
    x = layers.GaussianNoise(0.1)(layers.RandomRotation(0.1)(x))
    save("preprocessing", keras.Model(first, x), image)


def mixed_precision(image):
    """A dtype policy, which Keras 2 wrote as a dict."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    first = layers.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(4, 3)(first))
    save("mixed", keras.Model(first, layers.Dense(2, dtype="float32")(x)), image)
    keras.mixed_precision.set_global_policy("float32")


def main():
    """Write all files."""
    random = np.random.default_rng(0)
    image = random.normal(size=(2, 8, 8, 3)).astype(np.float32)
    sequence = random.normal(size=(2, 5, 4)).astype(np.float32)
    row = random.normal(size=(2, 4)).astype(np.float32)
    ids = random.integers(0, 6, (2, 5)).astype(np.float32)
    convolutions(image)
    recurrent(sequence, row[:, :3].copy())
    sequential(image, ids, row)
    attention(sequence)
    nested(row)
    operations(image)
    preprocessing(image)
    mixed_precision(image)
    weights = keras.Sequential([layers.Dense(3, input_shape=(4,))])
    weights.save_weights(HERE / "weights_only.h5")


if __name__ == "__main__":
    main()
