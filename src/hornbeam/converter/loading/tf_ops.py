"""TensorFlow functions that Keras 2 saved as layers, as the operations Keras 3 has for them.

Where a Keras 2 model was built with ``x / 255.0`` or ``tf.nn.relu6(x)``, the file holds a
``TFOpLambda`` with the function's name and arguments. :data:`OPERATIONS` says for each such
function what its arguments are called and which Keras operation computes the same; the layer's
config is rewritten to that operation. Nothing is looked up in TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hornbeam.converter.loading.ledger import Config
from hornbeam.converter.loading.messages import refusal
from hornbeam.errors import ModelLoadError

__all__ = ["OPERATIONS", "replace"]

Call = tuple[list[Any], dict[str, Any]]


class _UnlikeKerasError(Exception):
    """The call has an argument that the Keras operation cannot express."""


@dataclass(frozen=True)
class Operation:
    """A Keras operation: where it lives, its name, how it is made and what it is called with."""

    path: str
    config: dict[str, Any]
    args: list[Any]

    @property
    def module(self) -> str:
        """Module of the operation's class."""
        return "keras.layers" if self.path == "Identity" else f"keras.src.ops.{self._place}"

    @property
    def _place(self) -> str:
        return self.path.split(".")[0]

    @property
    def class_name(self) -> str:
        """Name of the operation's class."""
        return self.path.rsplit(".", maxsplit=1)[-1]


Build = Callable[[dict[str, Any]], Operation]


def _elementwise(path: str, *names: str) -> tuple[tuple[str, ...], Build]:
    """Describe an operation whose arguments are all tensors or numbers."""
    return names, lambda given: Operation(path, {}, [given[name] for name in names])


def _with_options(
    path: str, names: str, /, **options: tuple[str, Any]
) -> tuple[tuple[str, ...], Build]:
    """Describe an operation on one tensor, and its options: TensorFlow's name and default."""
    order = tuple(names.split())

    def build(given: dict[str, Any]) -> Operation:
        config = {}
        for keras_name, (tf_name, default) in options.items():
            config[keras_name] = _plain(given.get(tf_name, default), tf_name)
        return Operation(path, config, [given[order[0]]])

    return order, build


def _plain(value: Any, name: str) -> Any:
    """Refuse a tensor where Keras needs a number that is known beforehand."""
    if isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(item, dict) for item in value)
    ):
        raise _UnlikeKerasError(f"its {name} is computed by the model")
    return value


def _matmul(given: dict[str, Any]) -> Operation:
    for flag in ("adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse"):
        if given.get(flag):
            raise _UnlikeKerasError(f"it is called with {flag}=True")
    tensors = [given["a"], given["b"]]
    left = "...ji" if given.get("transpose_a") else "...ij"
    right = "...kj" if given.get("transpose_b") else "...jk"
    if (left, right) == ("...ij", "...jk"):
        return Operation("numpy.Matmul", {}, tensors)
    return Operation("numpy.Einsum", {"subscripts": f"{left},{right}->...ik"}, tensors)


def _getitem(given: dict[str, Any]) -> Operation:
    spec = given["slice_spec"]
    if isinstance(spec, dict) and spec.get("class_name") == "__tuple__":
        spec = spec["items"]
    key = [_index(item) for item in (spec if isinstance(spec, list) else [spec])]
    return Operation("numpy.GetItem", {}, [given["tensor"], key])


def _index(item: Any) -> Any:
    if isinstance(item, dict) and {"start", "stop", "step"} <= item.keys():
        for bound in ("start", "stop", "step"):
            _plain(item[bound], "slice")
        config = {bound: item[bound] for bound in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": config}
    if item is Ellipsis or (isinstance(item, dict) and item.get("class_name") == "__ellipsis__"):
        return {"class_name": "__ellipsis__", "config": {}}
    return _plain(item, "index")


def _resize(given: dict[str, Any]) -> Operation:
    method = str(given.get("method") or "bilinear").lower()
    if method not in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"):
        raise _UnlikeKerasError(f"its method is {method!r}")
    if given.get("preserve_aspect_ratio"):
        raise _UnlikeKerasError("it preserves the aspect ratio")
    config = {
        "size": _plain(given["size"], "size"),
        "interpolation": method,
        "antialias": bool(given.get("antialias")),
        "data_format": "channels_last",
    }
    return Operation("image.Resize", config, [given["images"]])


def _pad(given: dict[str, Any]) -> Operation:
    mode = str(given.get("mode") or "CONSTANT").lower()
    value = _plain(given.get("constant_values") or 0, "constant_values")
    config = {"pad_width": _plain(given["paddings"], "paddings"), "mode": mode}
    padded = [given["tensor"]] if mode != "constant" else [given["tensor"], value]
    return Operation("numpy.Pad", config, padded)


def _gelu(given: dict[str, Any]) -> Operation:
    # TensorFlow's default is the exact one, that of the Keras operation the approximation.
    config = {"approximate": bool(given.get("approximate", False))}
    return Operation("nn.Gelu", config, [given["features"]])


def _same(given: dict[str, Any]) -> Operation:
    return Operation("Identity", {}, [given["input"]])


_BINARY = {
    "add": "Add",
    "divide": "TrueDivide",
    "equal": "Equal",
    "floordiv": "FloorDivide",
    "floormod": "Mod",
    "greater": "Greater",
    "greater_equal": "GreaterEqual",
    "less": "Less",
    "less_equal": "LessEqual",
    "logical_and": "LogicalAnd",
    "logical_or": "LogicalOr",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "mod": "Mod",
    "mul": "Multiply",
    "multiply": "Multiply",
    "not_equal": "NotEqual",
    "pow": "Power",
    "realdiv": "TrueDivide",
    "sub": "Subtract",
    "subtract": "Subtract",
    "truediv": "TrueDivide",
}
_UNARY = {
    "abs": "numpy.Absolute",
    "ceil": "numpy.Ceil",
    "cos": "numpy.Cos",
    "exp": "numpy.Exp",
    "floor": "numpy.Floor",
    "log": "numpy.Log",
    "logical_not": "numpy.LogicalNot",
    "neg": "numpy.Negative",
    "negative": "numpy.Negative",
    "reciprocal": "numpy.Reciprocal",
    "rsqrt": "math.Rsqrt",
    "sigmoid": "nn.Sigmoid",
    "sign": "numpy.Sign",
    "sin": "numpy.Sin",
    "softplus": "nn.Softplus",
    "sqrt": "numpy.Sqrt",
    "square": "numpy.Square",
    "tanh": "numpy.Tanh",
}
_NN = {
    "elu": "nn.Elu",
    "relu": "nn.Relu",
    "relu6": "nn.Relu6",
    "selu": "nn.Selu",
    "silu": "nn.Silu",
    "softsign": "nn.Softsign",
    "swish": "nn.Silu",
}
_REDUCE = {
    "reduce_max": "Max",
    "reduce_mean": "Mean",
    "reduce_min": "Min",
    "reduce_prod": "Prod",
    "reduce_sum": "Sum",
}

OPERATIONS: dict[str, tuple[tuple[str, ...], Build]] = {
    **{name: _elementwise(f"numpy.{cls}", "x", "y") for name, cls in _BINARY.items()},
    **{name: _elementwise(path, "x") for name, path in _UNARY.items()},
    **{name: _elementwise(path, "features") for name, path in _NN.items()},
    **{
        name: _with_options(
            f"numpy.{cls}",
            "input_tensor axis keepdims",
            axis=("axis", None),
            keepdims=("keepdims", False),
        )
        for name, cls in _REDUCE.items()
    },
    "bias_add": _elementwise("numpy.Add", "value", "bias"),
    "cast": _with_options("core.Cast", "x dtype", dtype=("dtype", "float32")),
    "clip_by_value": _with_options(
        "numpy.Clip",
        "t clip_value_min clip_value_max",
        x_min=("clip_value_min", None),
        x_max=("clip_value_max", None),
    ),
    "concat": _with_options("numpy.Concatenate", "values axis", axis=("axis", 0)),
    "expand_dims": _with_options("numpy.ExpandDims", "input axis", axis=("axis", None)),
    "gelu": (("features", "approximate"), _gelu),
    "getitem": (("tensor", "slice_spec"), _getitem),
    "identity": (("input",), _same),
    "leaky_relu": _with_options("nn.LeakyRelu", "features alpha", negative_slope=("alpha", 0.2)),
    "log_softmax": _with_options("nn.LogSoftmax", "logits axis", axis=("axis", -1)),
    "matmul": (("a", "b"), _matmul),
    "pad": (("tensor", "paddings", "mode", "constant_values"), _pad),
    "reshape": _with_options("numpy.Reshape", "tensor shape", newshape=("shape", None)),
    "resize": (("images", "size", "method"), _resize),
    "softmax": _with_options("nn.Softmax", "logits axis", axis=("axis", -1)),
    "squeeze": _with_options("numpy.Squeeze", "input axis", axis=("axis", None)),
    "stack": _with_options("numpy.Stack", "values axis", axis=("axis", 0)),
    "stop_gradient": (("input",), _same),
    "tile": _with_options("numpy.Tile", "input multiples", repeats=("multiples", None)),
    "transpose": _with_options("numpy.Transpose", "a perm", axes=("perm", None)),
}
"""By the last part of the function's name: the order of its arguments, and the operation."""

_NAMESPACES = ("", "__operators__", "compat.v1", "compat.v1.nn", "image", "linalg", "math", "nn")


def replace(layer: Config, calls: list[Call], source: str) -> str:
    """Rewrite one such layer to a Keras operation, in place, and return what was done.

    ``calls`` holds the inputs and keyword arguments of each use. Raises ``ModelLoadError``
    naming the layer and the function where there is no equal operation.
    """
    config = layer["config"]
    default = "__operators__.getitem" if layer["class_name"] == "SlicingOpLambda" else ""
    function = str(config.get("function") or config.get("symbol") or default)
    namespace, _, short = function.removeprefix("tf.").rpartition(".")
    name = str(layer.get("name") or config.get("name"))
    if short not in OPERATIONS or namespace not in _NAMESPACES:
        raise _unsupported(source, name, function, "which has no equal operation in Keras here")
    names, build = OPERATIONS[short]
    try:
        made = [build(_bind(names, call)) for call in calls]
    except (_UnlikeKerasError, KeyError) as error:
        why = str(error) if isinstance(error, _UnlikeKerasError) else f"it lacks {error}"
        raise _unsupported(source, name, function, f"and {why}") from error
    if not made or any(each.config != made[0].config for each in made):
        raise _unsupported(source, name, function, "used with different arguments")
    layer["class_name"], layer["module"] = made[0].class_name, made[0].module
    layer["registered_name"] = None if made[0].path == "Identity" else made[0].class_name
    layer.pop("build_config", None)
    layer["config"] = {**made[0].config, "name": name}
    layer["inbound_nodes"] = [{"args": each.args, "kwargs": {}} for each in made]
    return (
        f"tf.{function} read as {made[0].module.removeprefix('keras.src.')}.{layer['class_name']}"
    )


def _bind(names: tuple[str, ...], call: Call) -> dict[str, Any]:
    inputs, kwargs = call
    given = {key: value for key, value in kwargs.items() if value is not None and key != "name"}
    if names[0] not in given and inputs:
        given[names[0]] = inputs[0] if len(inputs) == 1 and names[0] != "values" else inputs
    return given


def _unsupported(source: str, name: str, function: str, why: str) -> ModelLoadError:
    return refusal(
        f"{source} was to be loaded",
        f"layer {name!r} calls the TensorFlow function tf.{function}, {why}",
        "Rebuild that step with a Keras layer or keras.ops, and save the model again",
    )
