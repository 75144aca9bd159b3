"""Argument names of Keras 1, in the words of today.

The tables follow the conversions that Keras 2 itself made for one release
(``keras/legacy/interfaces.py`` of Keras 2.0). Layers whose weights had another layout then are
refused, since their numbers would be read in the wrong order.
"""

from __future__ import annotations

from hornbeam.converter.loading.ledger import Config
from hornbeam.converter.loading.messages import refusal

__all__ = ["upgrade"]

_CLASSES = {
    "Convolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
}

_ARGUMENTS = {
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "bias": "use_bias",
    "border_mode": "padding",
    "depthwise_init": "depthwise_initializer",
    "init": "kernel_initializer",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pointwise_init": "pointwise_initializer",
    "subsample": "strides",
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
}

_BY_CLASS = {
    "AveragePooling1D": {"pool_length": "pool_size", "stride": "strides"},
    "BatchNormalization": {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
    "Embedding": {"output_dim": "output_dim", "init": "embeddings_initializer"},
    "MaxPooling1D": {"pool_length": "pool_size", "stride": "strides"},
    "UpSampling1D": {"length": "size"},
}

_UNUSED = ("input_dim", "input_dtype", "input_length", "mode", "activity_regularizer")
_OTHER_LAYOUT = ("Convolution1D", "AtrousConvolution1D", "LSTM", "GRU", "Highway", "MaxoutDense")


def upgrade(layer: Config) -> str | None:
    """Rename a layer's class and arguments from Keras 1 to Keras 2."""
    config, class_name = layer["config"], str(layer["class_name"])
    asked = f"A Keras 1 file with the layer {config.get('name', class_name)!r} was to be loaded"
    advice = "Load and save it with Keras 2 once, then convert that file"
    if class_name in _OTHER_LAYOUT or class_name == "Merge":
        raise refusal(asked, f"Keras 1 kept a {class_name} differently", advice)
    if config.get("dim_ordering", "tf") == "th":
        raise refusal(asked, "its images have their channels first", advice)
    before = dict(config)
    if config.pop("dim_ordering", None) is not None:
        config["data_format"] = "channels_last"
    if "nb_row" in config and "nb_col" in config:
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    if class_name == "BatchNormalization" and config.get("mode") not in (None, 0):
        raise refusal(asked, f"it normalizes in mode {config['mode']}", advice)
    for unused in _UNUSED:
        if class_name != "Embedding" or unused != "input_dim":
            config.pop(unused, None)
    for old, new in (_ARGUMENTS | _BY_CLASS.get(class_name, {})).items():
        if old in config and old != new:
            config[new] = config.pop(old)
    layer["class_name"] = _CLASSES.get(class_name, class_name)
    if config == before and layer["class_name"] == class_name:
        return None
    return "arguments of Keras 1 renamed"
