"""``keras.ops`` that compare: losses, ratios, distances; and labels as vectors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from hornbeam.converter.lowering.compose import as_float, composes

__all__: list[str] = []


def _probability(x: Any) -> Any:
    """Between epsilon and 1 - epsilon, the bounds as the dtype rounds them."""
    epsilon = keras.config.epsilon()
    return ops.clip(x, epsilon, 1.0 - epsilon)


@composes("BinaryCrossentropy")
def _binary_crossentropy(operation: Any, target: Any, output: Any) -> Any:
    target, output = as_float(target), as_float(output)
    if operation.from_logits:
        positive, negative = ops.log_sigmoid(output), ops.log_sigmoid(-output)
        return -target * positive - (1.0 - target) * negative
    output = _probability(output)
    return -(target * ops.log(output) + (1.0 - target) * ops.log(1.0 - output))


def _log_probability(operation: Any, output: Any) -> Any:
    output = as_float(output)
    if operation.from_logits:
        return ops.log_softmax(output, axis=operation.axis)
    total = ops.sum(output, axis=operation.axis, keepdims=True)
    return ops.log(_probability(output / total))


@composes("CategoricalCrossentropy")
def _categorical_crossentropy(operation: Any, target: Any, output: Any) -> Any:
    logs = _log_probability(operation, output)
    return -ops.sum(as_float(target) * logs, axis=operation.axis)


@composes("SparseCategoricalCrossentropy")
def _sparse_crossentropy(operation: Any, target: Any, output: Any) -> Any:
    logs = _log_probability(operation, output)
    target = ops.cast(target, "int32")
    if len(target.shape) == len(logs.shape) and target.shape[-1] == 1:
        target = ops.squeeze(target, -1)
    classes = int(logs.shape[operation.axis])
    return -ops.sum(ops.one_hot(target, classes, axis=operation.axis) * logs, axis=operation.axis)


@composes("MultiHot")
def _multi_hot(operation: Any, inputs: Any) -> Any:
    if getattr(operation, "sparse", False):
        raise ValueError("multi_hot with sparse=True: the formats have dense tensors only")
    hot = ops.one_hot(
        ops.cast(inputs, "int32"), operation.num_classes, axis=operation.axis, dtype=operation.dtype
    )
    return ops.max(hot, axis=1 if len(inputs.shape) > 1 else 0)


@composes("PSNR")
def _psnr(operation: Any, x1: Any, x2: Any) -> Any:
    error = ops.mean(ops.square(x1 - x2))
    return 20.0 * float(np.log10(operation.max_val)) - 10.0 * ops.log10(error)


@composes("CDist")
def _distance(_: Any, x: Any, y: Any) -> Any:
    difference = ops.expand_dims(x, -2) - ops.expand_dims(y, -3)
    return ops.sqrt(ops.sum(ops.square(difference), axis=-1))


@composes("Normalize")
def _normalize(operation: Any, x: Any) -> Any:
    """Over the norm of an order, which is at least epsilon."""
    x = as_float(x)
    order, axis = operation.order, operation.axis
    epsilon = 1e-12 if operation.epsilon is None else float(operation.epsilon)
    if order == 2:
        square = ops.sum(ops.square(x), axis=axis, keepdims=True)
        return x * ops.rsqrt(ops.maximum(square, epsilon**2))
    norm = ops.norm(x, ord=order, axis=axis, keepdims=True)
    return x / ops.maximum(norm, epsilon)


@composes("CTCDecode")
def _ctc_decode(operation: Any, inputs: Any, sequence_lengths: Any) -> tuple[Any, Any]:
    """The most likely label of each step; repeated ones and blanks fall away, -1 fills the rest."""
    if operation.strategy != "greedy":
        raise ValueError(
            f"ctc_decode with strategy='{operation.strategy}': a search keeps a set of paths of "
            "changing length; only 'greedy' converts"
        )
    x, length = as_float(inputs), int(inputs.shape[1])
    blank = operation.mask_index if operation.mask_index is not None else int(x.shape[-1]) - 1
    steps = np.arange(length, dtype="int32")
    past = ops.greater_equal(steps, ops.expand_dims(ops.cast(sequence_lengths, "int32"), 1))
    labels = ops.where(past, blank, ops.argmax(x, axis=-1))
    scores = ops.where(past, 0.0, ops.max(x, axis=-1))
    if operation.merge_repeated:
        again = ops.equal(labels[:, 1:], labels[:, :-1])
        first = ops.not_equal(labels[:, :1], labels[:, :1])
        labels = ops.where(ops.concatenate([first, again], axis=1), blank, labels)
    gone = ops.equal(labels, blank)
    order = ops.argsort(ops.where(gone, length, steps), axis=-1)
    kept = ops.take_along_axis(ops.where(gone, -1, labels), order, axis=-1)
    return ops.expand_dims(kept, 0), -ops.sum(scores, axis=1, keepdims=True)
