"""Bring the config of an older Keras model up to date before Keras reads it.

:func:`repair` walks the config. To every Keras layer in it each function in :data:`REPAIRS` is
applied: one small rewrite that changes the layer's config in place and says what it did, or
returns ``None``. What concerns several layers at once (names, inputs, connections) is in
``graph``. Nothing from the file is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hornbeam.converter.loading import graph, keras1, keras_internals
from hornbeam.converter.loading.ledger import Config, Ledger

__all__ = ["REPAIRS", "is_keras_object", "repair"]

Repair = Callable[[Config], "str | None"]


def repair(config: Config, source: str, keras_version: str) -> Ledger:
    """Repair a model's config in place, and return what was done.

    ``keras_version`` is the version that wrote the file; an archive that Keras 3 wrote needs
    no repair. Raises ``ModelLoadError`` naming a layer or an operation that
    has no counterpart in Keras 3.
    """
    ledger = Ledger()
    major = _major(keras_version)
    repairs = REPAIRS
    if major < 2:
        repairs = (keras1.upgrade, *REPAIRS)
    elif major >= 3:
        if "module" in config:
            return ledger
        repairs = (operation_without_module,)
    _walk(config, source, repairs, ledger)
    return ledger


def _major(version: str) -> int:
    head = version.split(".", maxsplit=1)[0]
    return int(head) if head.isdigit() else 2


def _walk(value: Any, source: str, repairs: tuple[Repair, ...], ledger: Ledger) -> None:
    if isinstance(value, list):
        for item in value:
            _walk(item, source, repairs, ledger)
    elif isinstance(value, dict):
        if is_keras_object(value):
            _repair_object(value, source, repairs, ledger)
        for item in list(value.values()):
            _walk(item, source, repairs, ledger)


def is_keras_object(value: Config) -> bool:
    """Tell whether a dict describes an instance of one of Keras's own classes."""
    module = value.get("module")
    return (
        isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), (dict, list))
        and (module is None or str(module).split(".")[0] in ("keras", "tf_keras"))
    )


def _repair_object(layer: Config, source: str, repairs: tuple[Repair, ...], ledger: Ledger) -> None:
    class_name = str(layer["class_name"])
    if class_name in graph.MODELS and operation_without_module not in repairs:
        graph.repair_model(layer, source, ledger)
    name = _name(layer)
    for each in repairs:
        if isinstance(layer["config"], dict) and (done := each(layer)):
            ledger.note(class_name, name, done)
    if layer["class_name"] != class_name:
        ledger.old_classes[name] = class_name


def _name(layer: Config) -> str:
    config = layer["config"]
    inner = config.get("name") if isinstance(config, dict) else None
    return str(layer.get("name") or inner or layer["class_name"])


_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "DTypePolicyV1": "DTypePolicy",
    "SyncBatchNormalization": "BatchNormalization",
}

_ANY = object()
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
_TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_RANDOM = ("Brightness", "Contrast", "Crop", "Flip", "Rotation", "Translation", "Zoom")

_DROPPED: tuple[tuple[tuple[str, ...], str, Any], ...] = (
    # classes, argument, the values with which nothing is lost
    (_DEPTHWISE, "groups", _ANY),  # a depthwise kernel has one group for each channel
    (_TRANSPOSED, "groups", (1,)),
    (_DEPTHWISE[2:], "kernel_initializer", _ANY),  # they have a depthwise and a pointwise one
    (_DEPTHWISE[2:], "kernel_regularizer", _ANY),
    (_DEPTHWISE[2:], "kernel_constraint", _ANY),
    (_DEPTHWISE[:2], "kernel_initializer", _ANY),
    (_DEPTHWISE[:2], "kernel_regularizer", _ANY),
    (_DEPTHWISE[:2], "kernel_constraint", _ANY),
    (_DEPTHWISE[:2], "filters", (None,)),
    (_RECURRENT, "time_major", (False, None)),
    ((*_RECURRENT, "LSTMCell", "GRUCell"), "implementation", _ANY),
    (("Embedding",), "input_length", _ANY),
    (("InputLayer",), "ragged", (False, None)),
    (("BatchNormalization",), "fused", _ANY),
    (("BatchNormalization",), "renorm", (False, None)),
    (("BatchNormalization",), "renorm_clipping", (None,)),
    (("BatchNormalization",), "renorm_momentum", _ANY),
    (("BatchNormalization",), "virtual_batch_size", (None,)),
    (("BatchNormalization",), "adjustment", (None,)),
    (("Attention", "AdditiveAttention"), "causal", (False, None)),
    (("MultiHeadAttention",), "query_shape", _ANY),
    (("MultiHeadAttention",), "key_shape", _ANY),
    (("MultiHeadAttention",), "value_shape", _ANY),
    (("MultiHeadAttention",), "softmax_robust_masking", _ANY),
    (tuple("Random" + kind for kind in _RANDOM), "rng_type", _ANY),
)


def module_of_today(layer: Config) -> str | None:
    """Name the module that Keras 3 exports the class from, instead of one long moved."""
    module = layer.get("module")
    if not isinstance(module, str):
        return None
    current = module
    if layer["class_name"] in ("Functional", "Model", "Sequential"):
        if module.startswith("keras.src.models") or module in ("keras", "keras.models"):
            return None
        current = "keras.src.models." + str(layer["class_name"]).lower()
    elif module.startswith(("keras.layers.experimental", "tf_keras.", "keras.src.engine")):
        current = "keras.layers"
    if current == module:
        return None
    layer["module"], layer["registered_name"] = current, None
    if current.startswith("keras.src."):
        layer["registered_name"] = layer["class_name"]
    return f"read from {current} instead of {module}"


def class_of_today(layer: Config) -> str | None:
    """Use the class that took the place of an older one for inference."""
    old = str(layer["class_name"])
    bare = old.rsplit(".", maxsplit=1)[-1].rsplit(">", maxsplit=1)[-1]
    new = bare if old.startswith(("experimental.", "keras.layers.")) else old
    new = _RENAMED.get(new, new)
    if new == old:
        return None
    layer["class_name"] = new
    layer["config"].pop("synchronized", None)
    return f"read as {new}"


def unknown_arguments(layer: Config) -> str | None:
    """Drop arguments that Keras 3 refuses, where their value changes nothing."""
    config, dropped = layer["config"], []
    for classes, argument, harmless in _DROPPED:
        if layer["class_name"] not in classes or argument not in config:
            continue
        if harmless is _ANY or config[argument] in harmless:
            value = config.pop(argument)
            short = f"={value!r}" if isinstance(value, (int, float, str)) else ""
            dropped.append(argument + short)
    if not dropped:
        return None
    return f"dropped argument{'s' if len(dropped) > 1 else ''} {', '.join(dropped)}"


def leaky_relu_slope(layer: Config) -> str | None:
    """Rename LeakyReLU's ``alpha`` to ``negative_slope``."""
    if layer["class_name"] != "LeakyReLU" or "alpha" not in layer["config"]:
        return None
    layer["config"]["negative_slope"] = layer["config"].pop("alpha")
    return "alpha renamed to negative_slope"


def single_axis(layer: Config) -> str | None:
    """Write BatchNormalization's ``axis=[3]`` as a plain number."""
    axis = layer["config"].get("axis")
    if layer["class_name"] != "BatchNormalization" or not isinstance(axis, list):
        return None
    if len(axis) != 1:
        return None
    layer["config"]["axis"] = axis[0]
    return f"axis={axis} written as {axis[0]}"


def preprocessing_arguments(layer: Config) -> str | None:
    """Rename arguments of preprocessing layers from their experimental time."""
    config = layer["config"]
    for class_name, old, new in (
        ("CategoryEncoding", "max_tokens", "num_tokens"),
        ("Discretization", "bins", "bin_boundaries"),
    ):
        if layer["class_name"] == class_name and old in config and new not in config:
            config[new] = config.pop(old)
            return f"{old} renamed to {new}"
    return None


def dtype_policy(layer: Config) -> str | None:
    """Write a dtype policy of Keras 2, a dict, as the name that it stands for."""
    policy = layer["config"].get("dtype")
    if not isinstance(policy, dict) or not isinstance(policy.get("config"), dict):
        return None
    if str(policy.get("class_name")) not in ("Policy", "PolicyV1", "DTypePolicyV1"):
        return None
    name = policy["config"].get("name")
    if layer["class_name"] == "InputLayer" and name in ("mixed_float16", "mixed_bfloat16"):
        name = "float32"
    layer["config"]["dtype"] = name
    return f"dtype policy written as {name!r}"


def initializer_dtype(layer: Config) -> str | None:
    """Drop the ``dtype`` that initializers carried in the days of TensorFlow 1."""
    found = False
    for key, value in layer["config"].items():
        if key.endswith("_initializer") and isinstance(value, dict):
            inner = value.get("config")
            if isinstance(inner, dict) and inner.pop("dtype", None) is not None:
                found = True
    return "dropped dtype of its initializers" if found else None


def old_hard_sigmoid(layer: Config) -> str | None:
    """Keep the ``hard_sigmoid`` of Keras 2, whose slope is 0.2; that of Keras 3 is 1/6."""
    found = False
    for key, value in layer["config"].items():
        name = value.get("config") if isinstance(value, dict) else value
        if key.endswith("activation") and name == "hard_sigmoid":
            layer["config"][key] = _function("hard_sigmoid_keras2")
            found = True
    return "hard_sigmoid kept as Keras 2 defined it, clip(0.2 x + 0.5, 0, 1)" if found else None


def _function(name: str) -> Config:
    """Describe a function that is looked up by its name among the custom objects."""
    return {
        "module": "builtins",
        "class_name": "function",
        "config": name,
        "registered_name": name,
    }


def old_gru_bias(layer: Config) -> str | None:
    """Give a GRU from before ``reset_after`` the layout of its time."""
    if layer["class_name"] not in ("GRU", "GRUCell") or "reset_after" in layer["config"]:
        return None
    layer["config"]["reset_after"] = False
    return "reset_after=False, the only layout of its time"


def lambda_of_today(layer: Config) -> str | None:
    """Describe a Lambda's function as Keras 3 does. Whether it may run is decided elsewhere."""
    config = layer["config"]
    if layer["class_name"] != "Lambda" or "function_type" not in config:
        return None
    for argument in ("module", "function_type", "output_shape_module"):
        config.pop(argument, None)
    if config.pop("output_shape_type", "raw") != "raw":
        config.pop("output_shape", None)  # a function too; Keras finds the shape by a call
    function = config.get("function")
    if isinstance(function, list) and len(function) == 3:
        code = dict(zip(("code", "defaults", "closure"), function, strict=True))
        config["function"] = {"class_name": "__lambda__", "config": code}
    elif isinstance(function, str):
        config["function"] = _function(function)
    return "its function described as Keras 3 does"


def operation_without_module(layer: Config) -> str | None:
    """Name the module of an operation; Keras 3 leaves it out in HDF5, and cannot load it then.

    An operation often has the name of a layer (Add, Softmax), but no ``trainable`` argument.
    """
    config = layer["config"]
    if "module" in layer or "inbound_nodes" not in layer or "trainable" in config:
        return None
    module = keras_internals.operation_module(str(layer["class_name"]))
    if module is None:
        return None
    layer["module"], layer["registered_name"] = module, layer["class_name"]
    return f"read as the operation of {module.removeprefix('keras.src.')}"


REPAIRS: tuple[Repair, ...] = (
    module_of_today,
    class_of_today,
    unknown_arguments,
    leaky_relu_slope,
    single_axis,
    preprocessing_arguments,
    dtype_policy,
    initializer_dtype,
    old_hard_sigmoid,
    old_gru_bias,
    lambda_of_today,
)
"""Applied in this order to every Keras layer of a config."""
