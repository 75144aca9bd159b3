"""ONNX by tf2onnx, and what has to be asked of its file: it may be broken without an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import tf2onnx
from tf2onnx import constants
from tf2onnx.tf_utils import map_tf_dtype

from hornbeam.errors import ConversionError, UnsupportedFormatError, UsageError

__all__ = ["check", "convert", "write"]

_OLDEST_OPSET = 13
_NEWEST_OPSET = max(constants.OPSET_TO_IR_VERSION)
#: Domains that onnxruntime runs without an extension.
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_ASKED = "An ONNX file was asked of tf2onnx"
_ADVICE = "Try TFLite, or write that part of the model with keras.ops"


class _Ready:
    """A concrete function where tf2onnx wants one that it can make concrete."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def get_concrete_function(self, *_: Any) -> Any:
        return self._function


def convert(function: Any, opset: int | None) -> onnx.ModelProto:
    """The model that tf2onnx makes of a concrete function; ``opset`` is by default its newest."""
    chosen = _NEWEST_OPSET if opset is None else opset
    if not _OLDEST_OPSET <= chosen <= _NEWEST_OPSET:
        raise UsageError(
            f"An ONNX file of opset {opset} was asked for",
            f"This model goes through tf2onnx {tf2onnx.__version__}, which writes opsets "
            f"{_OLDEST_OPSET} to {_NEWEST_OPSET}",
            f"Leave it out for {_NEWEST_OPSET}",
        )
    model, _ = tf2onnx.convert.from_function(_Ready(function), input_signature=(), opset=chosen)
    _put_back_idle_inputs(model, function)
    return model


def _put_back_idle_inputs(model: onnx.ModelProto, function: Any) -> None:
    """Inputs that nothing reads are none for tf2onnx, but belong to the model's signature."""
    there = {value.name for value in model.graph.input}
    _, specs = function.structured_input_signature
    for name in sorted(specs.keys() - there):
        dtype, shape = map_tf_dtype(specs[name].dtype), specs[name].shape.as_list()
        model.graph.input.append(onnx.helper.make_tensor_value_info(name, dtype, shape))


def check(model: onnx.ModelProto, inputs: list[str], outputs: list[str]) -> None:
    """Raise `ConversionError` where the file could not be run, and say why."""
    unknown = Counter(node.op_type for node in _foreign(model))
    if unknown:
        raise UnsupportedFormatError(
            _ASKED,
            f"It left {', '.join(sorted(unknown))} as TensorFlow has it, which ONNX does not know",
            _ADVICE,
        )
    weights = {tensor.name for tensor in model.graph.initializer}
    found = {value.name for value in model.graph.input} - weights
    if extra := sorted(found - set(inputs)):
        raise _broken(f"its file asks for inputs that the model does not have: {', '.join(extra)}")
    gives = [value.name for value in model.graph.output]
    if sorted(gives) != sorted(outputs):
        raise _broken(f"its file gives {', '.join(gives)} instead of {', '.join(outputs)}")


def write(
    model: onnx.ModelProto,
    path: Path,
    axes: Mapping[str, list[int | str | None]],
    metadata: Mapping[str, str],
) -> None:
    """Write ``model``, if onnx accepts it."""
    _name_axes(model, axes)
    for key, text in metadata.items():
        model.metadata_props.add(key=f"hornbeam.{key}", value=text)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise _broken(f"onnx refuses its file: {_line(error)}") from error
    path.write_bytes(model.SerializeToString())


def _name_axes(model: onnx.ModelProto, axes: Mapping[str, list[int | str | None]]) -> None:
    """Give each input its sizes, which tf2onnx calls unk__1, unk__2 where they are free."""
    values = {value.name: value for value in model.graph.input}
    for name, sizes in axes.items():
        shape = values[name].type.tensor_type.shape
        shape.ClearField("dim")
        for size in sizes:
            dim = shape.dim.add()
            if isinstance(size, int):
                dim.dim_value = size
            elif size is not None:
                dim.dim_param = size
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param.startswith("unk__"):
                dim.ClearField("dim_param")


def _foreign(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Nodes that are no ONNX operations of the model's version."""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    own = {(function.domain, function.name) for function in model.functions}
    for node in _nodes(model.graph):
        domain = node.domain
        if (domain, node.op_type) in own:
            continue
        if domain not in _DOMAINS or not onnx.defs.has(
            node.op_type, versions.get(domain, 1), "" if domain == "ai.onnx" else domain
        ):
            yield node


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body)


def _broken(found: str) -> ConversionError:
    return ConversionError(_ASKED, f"It wrote one that is broken: {found}", _ADVICE)


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
