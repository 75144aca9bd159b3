"""Functions of ``keras.ops`` of networks: activations, losses, convolutions, attention, blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from ops_harness import Table, floats, ints, unit

CASES = case = Table()

_X = floats(3, 4, 6)
_P = unit(3, 5)
_LABELS = ints(3, low=0, high=5)
_ONE_HOT = np.eye(5, dtype="float32")[_LABELS]
_IMAGE = floats(3, 7, 8, 4)

# Activations
for name in (
    "relu",
    "relu6",
    "sigmoid",
    "softplus",
    "softsign",
    "silu",
    "swish",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "log_sigmoid",
    "selu",
    "elu",
    "celu",
    "gelu",
    "leaky_relu",
    "tanh_shrink",
    "soft_shrink",
    "hard_shrink",
    "squareplus",
    "glu",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "softmax",
    "log_softmax",
):
    f = getattr(ops, name)
    case(name, getattr(ops, name), _X)
    if name not in ("glu", "sparsemax", "softmax", "log_softmax"):
        case(f"{name}/far", lambda x, f=f: f(x * 40.0), _X)
case("elu/alpha", lambda x: ops.elu(x, 0.3), _X)
case("celu/alpha", lambda x: ops.celu(x, 0.3), _X)
case("leaky_relu/slope", lambda x: ops.leaky_relu(x, 0.4), _X)
case("gelu/exact", lambda x: ops.gelu(x, approximate=False), _X)
case("soft_shrink/threshold", lambda x: ops.soft_shrink(x, 1.3), _X)
case("hard_shrink/threshold", lambda x: ops.hard_shrink(x, 1.3), _X)
case("threshold", lambda x: ops.threshold(x, 0.5, -3.0), _X)
case("squareplus/b", lambda x: ops.squareplus(x, 0.0), _X)
case("glu/axis", lambda x: ops.glu(x, axis=1), _X)
case("sparsemax/axis", lambda x: ops.sparsemax(x, axis=1), _X)
case("softmax/axis", lambda x: ops.softmax(x, axis=1), _X)
case("softmax/axes", lambda x: ops.softmax(x, axis=(1, 2)), _X)
case("log_softmax/axis", lambda x: ops.log_softmax(x, axis=1), _X)
case("relu/int", ops.relu, ints(3, 4))
case("softmax/far", lambda x: ops.softmax(x * 100.0), _X)

# Losses and labels
case("binary_crossentropy", ops.binary_crossentropy, unit(3, 5), _P)
case(
    "binary_crossentropy/logits",
    lambda t, o: ops.binary_crossentropy(t, o, from_logits=True),
    unit(3, 5),
    floats(3, 5, scale=20.0),
)
case("binary_crossentropy/ends", ops.binary_crossentropy, _ONE_HOT, _ONE_HOT)
case("categorical_crossentropy", ops.categorical_crossentropy, _ONE_HOT, _P)
case(
    "categorical_crossentropy/logits",
    lambda t, o: ops.categorical_crossentropy(t, o, from_logits=True),
    _ONE_HOT,
    floats(3, 5),
)
case("sparse_categorical_crossentropy", ops.sparse_categorical_crossentropy, _LABELS, _P)
case(
    "sparse_categorical_crossentropy/logits",
    lambda t, o: ops.sparse_categorical_crossentropy(t, o, from_logits=True),
    _LABELS[:, None],
    floats(3, 5),
)
case(
    "psnr",
    lambda x, y: ops.reshape(ops.psnr(x, y, 2.0), (1,)),
    floats(3, 5),
    floats(3, 5),
    fixed=True,
)
case("depth_to_space", lambda x: ops.depth_to_space(x, 2), floats(3, 2, 3, 8))
case(
    "depth_to_space/first",
    lambda x: ops.depth_to_space(x, 2, data_format="channels_first"),
    floats(3, 8, 2, 3),
)
case("space_to_depth", lambda x: ops.space_to_depth(x, 2), floats(3, 4, 6, 3))
case(
    "space_to_depth/first",
    lambda x: ops.space_to_depth(x, 2, data_format="channels_first"),
    floats(3, 3, 4, 6),
)
case("unfold", lambda x: ops.unfold(x, (2, 3)), floats(3, 2, 5, 6))
case(
    "unfold/all",
    lambda x: ops.unfold(x, 2, dilation=2, padding=(1, 2), stride=(2, 1)),
    floats(3, 2, 5, 6),
)
case("fold", lambda x: ops.fold(x, (5, 6), (2, 3)), floats(3, 12, 16))
case("fold/all", lambda x: ops.fold(x, (5, 6), 2, padding=(1, 2), stride=(2, 1)), floats(3, 8, 27))

# Convolutions and pools
_KERNEL = floats(3, 3, 4, 5)
_TRANSPOSED = floats(3, 3, 5, 4)
_DEPTHWISE, _POINTWISE = floats(3, 3, 4, 2), floats(1, 1, 8, 5)
for padding in ("valid", "same"):
    case(
        f"conv/{padding}",
        lambda x, p=padding: ops.conv(
            x, _KERNEL, strides=2, padding=p, data_format="channels_last"
        ),
        _IMAGE,
    )
    case(
        f"max_pool/{padding}",
        lambda x, p=padding: ops.max_pool(x, 3, 2, padding=p, data_format="channels_last"),
        _IMAGE,
    )
    case(
        f"average_pool/{padding}",
        lambda x, p=padding: ops.average_pool(x, 3, 2, padding=p, data_format="channels_last"),
        _IMAGE,
    )
case("conv", lambda x: ops.conv(x, _KERNEL, data_format="channels_first"), floats(3, 4, 6, 7))
case(
    "conv/dilated",
    lambda x: ops.conv(x, _KERNEL, dilation_rate=2, data_format="channels_last"),
    _IMAGE,
)
case("conv/1d", lambda x: ops.conv(x, _KERNEL[0], data_format="channels_last"), floats(3, 9, 4))
case(
    "depthwise_conv",
    lambda x: ops.depthwise_conv(x, _DEPTHWISE, data_format="channels_last"),
    _IMAGE,
)
case(
    "separable_conv",
    lambda x: ops.separable_conv(x, _DEPTHWISE, _POINTWISE, data_format="channels_last"),
    _IMAGE,
)
case(
    "conv_transpose",
    lambda x: ops.conv_transpose(x, _TRANSPOSED, 2, "valid", data_format="channels_last"),
    _IMAGE,
    inside=True,
)
case("max_pool", lambda x: ops.max_pool(x, 2, 2, data_format="channels_first"), floats(3, 4, 6, 8))
case(
    "average_pool",
    lambda x: ops.average_pool(x, 2, 2, data_format="channels_last"),
    floats(3, 6, 4),
)
for name in ("adaptive_average_pool", "adaptive_max_pool"):
    f = getattr(ops, name)
    case(name, lambda x, f=f: f(x, (3, 5), data_format="channels_last"), _IMAGE)
    case(
        f"{name}/1d",
        lambda x, f=f: f(x, (3,), data_format="channels_first"),
        floats(3, 4, 7),
    )

# Normalization and attention
_SIX = [unit(6), unit(6)]
_FOUR = [unit(4) for _ in range(4)]
case(
    "batch_normalization", lambda x: ops.batch_normalization(x, *_FOUR[:2], -1, *_FOUR[2:]), _IMAGE
)
case(
    "batch_normalization/axis", lambda x: ops.batch_normalization(x, *_FOUR[:2], 1), floats(3, 4, 6)
)
case(
    "batch_normalization/computed",
    lambda x: ops.batch_normalization(x, *ops.moments(x, (0, 1)), -1),
    _X,
    fixed=True,
)
case("layer_normalization", lambda x: ops.layer_normalization(x, *_SIX), _X)
case("rms_normalization", lambda x: ops.rms_normalization(x, _SIX[0]), _X)
_QKV = [floats(3, 5, 2, 4) for _ in range(3)]
case("dot_product_attention", ops.dot_product_attention, *_QKV)
case(
    "dot_product_attention/causal",
    lambda *x: ops.dot_product_attention(*x, is_causal=True, scale=0.3),
    *_QKV,
)
case(
    "dot_product_attention/bias",
    lambda q, k, v, b: ops.dot_product_attention(q, k, v, bias=b),
    *_QKV,
    floats(3, 2, 5, 5),
)
case(
    "dot_product_attention/mask",
    lambda q, k, v: ops.dot_product_attention(q, k, v, mask=np.tri(5, dtype=bool)[None, None]),
    *_QKV,
)
case("dot_product_attention/grouped", ops.dot_product_attention, floats(3, 5, 4, 4), *_QKV[1:])

# Others
case(
    "ctc_decode",
    lambda x, n: ops.ctc_decode(x, n),
    floats(3, 9, 4),
    np.array([9, 4, 7], np.int32),
    fixed=True,
)
case(
    "ctc_decode/blank",
    lambda x, n: ops.ctc_decode(x, n, mask_index=3, merge_repeated=False),
    floats(3, 9, 4),
    np.array([9, 4, 7], np.int32),
    fixed=True,
)


def _doubled(x: Any) -> Any:
    return x * 2.0, lambda *_, upstream: upstream


case("custom_gradient", lambda x: ops.custom_gradient(_doubled)(x), _X, inside=True)
