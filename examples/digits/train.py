"""Trains the digits model of the example, and writes it beside the digits it has never seen.

Run it from the project's environment::

    python examples/digits/train.py

It rewrites ``digits.keras`` and ``heldout.npz`` in its own folder and prints the accuracy
on both splits. The data are scikit-learn's bundled digits, 1797 pictures of 8×8 pixels
with values 0..16. A quarter of them, 450 drawn by a fixed seed with every digit equally
often, is **held out**: never trained on. Width and distortion were chosen by
cross-validation among the other pictures.

The writers are the same in both splits, as in most figures published for these data. How
the network does on hands that it has never seen shows with ``--by-order``: it holds out the
last 450 pictures, since those of one writer mostly stand together, and writes nothing.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
SEED = 8
HELD_OUT = 450
EPOCHS = 60
BATCH = 64
LEARNING_RATE = 4e-3

Images = NDArray[np.uint8]  # (count, 8, 8), values 0..16
Labels = NDArray[np.uint8]  # (count,), values 0..9


def read_splits(by_order: bool = False) -> tuple[Images, Labels, Images, Labels]:
    """Gives training images and labels, then held-out images and labels."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    drawing = {"shuffle": False} if by_order else {"stratify": labels, "random_state": SEED}
    split = train_test_split(images, labels, test_size=HELD_OUT, **drawing)
    train_images, held_images, train_labels, held_labels = split
    return train_images, train_labels, held_images, held_labels


def build_model() -> keras.Model:
    """Builds the network: float32 pictures (8, 8, 1) with values 0..16 in, ten probabilities out.

    The first layers of many networks on small devices are all here: a convolution, a
    depthwise-separable residual block, pooling, a separable convolution, dropout and softmax.
    """
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Rescaling(1 / 16, name="rescale")(image)

    x = layers.Conv2D(20, 3, padding="same", use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_norm")(x)
    stem = layers.ReLU(name="stem_relu")(x)

    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="block_depthwise")(stem)
    x = layers.BatchNormalization(name="block_depthwise_norm")(x)
    x = layers.ReLU(name="block_depthwise_relu")(x)
    x = layers.Conv2D(20, 1, use_bias=False, name="block_pointwise")(x)
    x = layers.BatchNormalization(name="block_pointwise_norm")(x)
    x = layers.Add(name="block_add")([stem, x])
    x = layers.ReLU(name="block_relu")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)

    x = layers.SeparableConv2D(36, 3, padding="same", use_bias=False, name="separable")(x)
    x = layers.BatchNormalization(name="separable_norm")(x)
    x = layers.ReLU(name="separable_relu")(x)

    x = layers.Conv2D(36, 3, use_bias=False, name="head_conv")(x)
    x = layers.BatchNormalization(name="head_norm")(x)
    x = layers.ReLU(name="head_relu")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(0.2, seed=SEED, name="dropout")(x)
    digit = layers.Dense(10, activation="softmax", name="digit")(x)
    return keras.Model(image, digit, name="digits")


def distort(images: Images, random: np.random.Generator) -> Images:
    """Turns, stretches, slants and shifts each picture a little, as another hand would."""
    distorted = np.empty_like(images)
    centre = np.array([3.5, 3.5])
    for index, image in enumerate(images):
        angle = random.normal(0, 0.05)
        slant = random.normal(0, 0.05)
        rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = rotate @ np.array([[1, 0], [slant, 1]]) @ np.diag(random.normal(1, 0.03, 2))
        offset = centre - matrix @ centre + random.normal(0, 0.16, 2)
        moved = ndimage.affine_transform(image.astype(np.float32), matrix, offset, order=1)
        distorted[index] = np.clip(np.rint(moved), 0, 16)
    return distorted


def as_input(images: Images) -> NDArray[np.float32]:
    """Gives the pictures the shape and dtype that the model takes."""
    return images[..., np.newaxis].astype(np.float32)


def train(images: Images, labels: Labels) -> keras.Model:
    """Trains for a fixed number of epochs; nothing is selected along the way."""
    keras.utils.set_random_seed(SEED)
    random = np.random.default_rng(SEED)
    model = build_model()
    steps = EPOCHS * -(-len(images) // BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    # Softened labels keep the probabilities off 0 and 1, where a comparison would see nothing.
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile(keras.optimizers.Adam(schedule), loss)
    targets = np.eye(10, dtype=np.float32)[labels]
    for _ in range(EPOCHS):
        model.fit(as_input(distort(images, random)), targets, batch_size=BATCH, verbose=0)
    return model


def accuracy(model: keras.Model, images: Images, labels: Labels) -> float:
    """The share of pictures whose most probable digit is the right one."""
    predicted = model.predict(as_input(images), verbose=0).argmax(axis=-1)
    return float((predicted == labels).mean())


def save(model: keras.Model, path: Path) -> None:
    """Writes the model without its optimizer, whose state would be twice the weights."""
    bare = build_model()
    bare.set_weights(model.get_weights())
    bare.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--by-order", action="store_true", help="hold out unseen hands; only print")
    by_order = parser.parse_args().by_order
    train_images, train_labels, held_images, held_labels = read_splits(by_order)
    model = train(train_images, train_labels)
    if not by_order:
        save(model, HERE / "digits.keras")
        np.savez_compressed(HERE / "heldout.npz", images=held_images, labels=held_labels)
    print(f"parameters  {model.count_params()}")
    print(f"training    {accuracy(model, train_images, train_labels):.4f} of {len(train_labels)}")
    print(f"held out    {accuracy(model, held_images, held_labels):.4f} of {len(held_labels)}")


if __name__ == "__main__":
    main()
