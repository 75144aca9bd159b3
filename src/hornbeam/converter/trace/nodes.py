"""Keras's private node API, all of it that Hornbeam touches: reading nodes and recording them.

Supported: the newest Keras and two minors back. Everything else in the converter sees `Call`s.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree
from keras.src import backend
from keras.src.backend.common import global_state
from keras.src.backend.common.variables import AutocastScope, get_autocast_scope, is_float_dtype
from keras.src.layers.layer import CallContext
from keras.src.models.functional import Functional
from keras.src.ops.nn import AdaptiveAveragePool, AdaptiveMaxPool
from keras.src.ops.node import Node
from keras.src.ops.numpy import Arange

from hornbeam.converter.trace.dice import no_dice
from hornbeam.converter.trace.items import any_key
from hornbeam.converter.trace.portable import portable, replaced, tensors_take_over
from hornbeam.converter.trace.weights import weights_give_way

__all__ = [
    "Call",
    "Recording",
    "Walk",
    "build_shapes",
    "default_compute_mask",
    "input_dtype",
    "input_name",
    "is_quantized",
    "is_stateful",
    "mask_of",
    "masked_arguments",
    "output_names",
    "record",
    "set_mask",
    "supposes_dtype",
    "walk_of",
]


@dataclass(frozen=True)
class Call:
    """One recorded call of a Keras operation; tensors are `KerasTensor`s."""

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Any]


@dataclass(frozen=True)
class Walk:
    """A functional model as a list of calls: flat inputs, calls in order, structure of outputs."""

    inputs: list[Any]
    calls: list[Call]
    outputs: Any
    #: The inputs as the model wants them: one tensor, or a list or dictionary of them.
    structure: Any


@dataclass(frozen=True)
class Recording:
    """What a function written in ``keras.ops`` did when it was called with `KerasTensor`s."""

    calls: list[Call]
    outputs: Any


def walk_of(model: Any) -> Walk | None:
    """The calls inside a functional or sequential model, or None where ``call`` is not Keras's."""
    if isinstance(model, keras.Sequential) and type(model).call is keras.Sequential.call:
        model = model._functional
    if not isinstance(model, Functional) or type(model).call is not Functional.call:
        return None
    calls = [
        _call_of(node)
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
        if node.operation and not node.is_input
    ]
    return Walk(list(model._inputs), calls, model._outputs_struct, model._inputs_struct)


def record(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    moves: Callable[[int], bool],
) -> Recording:
    """Call ``function`` and record every operation inside it, leaving no trace of the calls.

    Where ``function`` is the ``call`` of a layer, it runs as ``Layer.__call__`` would run it: not
    training, and with the layer's autocast scope. ``moves`` tells which numbers stand in for free
    sizes: ``ops.arange`` of such a number is recorded, where Keras would compute it at once.
    """
    layer = getattr(function, "__self__", None)
    with ExitStack() as stack:
        nodes = stack.enter_context(_recorded_nodes())
        stack.enter_context(weights_give_way())
        stack.enter_context(_recorded_arange(moves))
        stack.enter_context(tensors_take_over())
        stack.enter_context(any_key())
        stack.enter_context(no_dice())
        if isinstance(layer, keras.Layer):
            stack.enter_context(_inside(layer))
            stack.enter_context(portable(layer))
            if "training" in inspect.signature(function).parameters:
                kwargs = {"training": False, **kwargs}
        outputs = function(*args, **kwargs)
        calls = [_call_of(node) for node in nodes]
    return Recording(calls, outputs)


def mask_of(tensor: Any) -> Any:
    """The Keras mask attached to a tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def masked_arguments(call: Call) -> dict[str, Any]:
    """The tensors whose own masks were handed to a layer, by the name of the mask's argument."""
    if not isinstance(call.operation, keras.Layer):
        return {}
    arguments = inspect.signature(call.operation.call).bind(*call.args, **call.kwargs).arguments
    first = next(iter(arguments.values()), None)
    owners = {
        name: first if name == "mask" else arguments.get(name.removesuffix("_mask"))
        for name in call.kwargs
        if name == "mask" or name.endswith("_mask")
    }
    return {
        name: tensor
        for name, tensor in owners.items()
        if (mask := mask_of(tensor)) is not None and call.kwargs[name] is mask
    }


def set_mask(tensor: Any, mask: Any) -> None:
    """Attach a Keras mask to a tensor."""
    tensor._keras_mask = mask


def default_compute_mask(layer: Any) -> bool:
    """Whether the layer passes masks through unchanged, as Keras layers do by default."""
    return type(layer).compute_mask is keras.Layer.compute_mask


def _call_of(node: Node) -> Call:
    arguments = node.arguments
    return Call(node.operation, tuple(arguments.args), dict(arguments.kwargs), list(node.outputs))


@contextmanager
def _recorded_nodes() -> Iterator[list[Node]]:
    """Every node made meanwhile; then the operations forget them, and names are free again."""
    nodes: list[Node] = []
    original = Node.__init__

    def init(self: Node, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if type(self.operation) in _MISTAKEN or any(None in x.shape for x in self.outputs):
            _know_shapes(self)
        nodes.append(self)

    counters = global_state.get_global_attribute("object_name_uids") or {}
    counted = dict(counters)
    Node.__init__ = init
    try:
        yield nodes
    finally:
        Node.__init__ = original
        counters.clear()
        counters.update(counted)
        for node in reversed(nodes):
            node.operation._inbound_nodes.remove(node)
            for tensor in node.arguments.keras_tensors:
                producer = tensor._keras_history.operation
                if producer is not None and node in producer._outbound_nodes:
                    producer._outbound_nodes.remove(node)


#: Operations whose ``compute_output_spec`` is wrong (Keras 3.15: one axis too many).
_MISTAKEN = (AdaptiveAveragePool, AdaptiveMaxPool)


def _know_shapes(node: Node) -> None:
    """Shapes from what an operation computes, where its ``compute_output_spec`` does not know them.

    EinsumDense remembers the free sizes that it was built with.
    """
    arguments = node.arguments
    specs = backend.compute_output_spec(node.operation.call, *arguments.args, **arguments.kwargs)
    for tensor, spec in zip(node.outputs, tree.flatten(specs), strict=True):
        tensor._shape = spec.shape


@contextmanager
def _recorded_arange(moves: Callable[[int], bool]) -> Iterator[None]:
    """``ops.arange`` of a free size as a recorded operation."""
    plain = keras.ops.arange

    def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
        if any(isinstance(x, int) and moves(x) for x in (start, stop)):
            return Arange(dtype=dtype).symbolic_call(start, stop, step=step)
        return plain(start, stop, step=step, dtype=dtype)

    with replaced("arange", arange):
        yield


@contextmanager
def _inside(layer: Any) -> Iterator[None]:
    """The surroundings that ``Layer.__call__`` gives to ``layer.call``."""
    before = global_state.get_global_attribute("current_call_ctx")
    context = CallContext(entry_layer=layer)
    context.set_value("training", False)
    global_state.set_global_attribute("current_call_ctx", context)
    try:
        with ExitStack() as stack:
            if get_autocast_scope() is not None or layer.compute_dtype != layer.variable_dtype:
                casts = layer.autocast and is_float_dtype(layer.compute_dtype)
                stack.enter_context(AutocastScope(layer.compute_dtype if casts else None))
            yield
    finally:
        global_state.set_global_attribute("current_call_ctx", before)


def input_name(tensor: Any) -> str:
    """The name of an input: that of its ``InputLayer``, which a file keeps, if it has one."""
    operation = getattr(getattr(tensor, "_keras_history", None), "operation", None)
    return str(operation.name if isinstance(operation, keras.layers.InputLayer) else tensor.name)


def is_quantized(layer: Any) -> bool:
    """Whether Keras calls the layer's ``quantized_call`` in the place of its ``call``."""
    return layer.dtype_policy.quantization_mode is not None


def supposes_dtype(operation: Any) -> bool:
    """Whether Keras takes the result of a layer to have its compute dtype, without looking."""
    return (
        isinstance(operation, keras.Layer)
        and type(operation).compute_output_spec is keras.Layer.compute_output_spec
        and type(operation).compute_output_shape is not keras.Layer.compute_output_shape
    )


def is_stateful(model: Any) -> bool:
    """Whether a layer keeps its state from call to call, which ties the model to one batch size."""
    return any(getattr(layer, "stateful", False) for layer in model._flatten_layers())


def build_shapes(model: Any) -> dict[str, Any]:
    """The input shapes that a subclassed model was built with, by argument of ``build``."""
    shapes = getattr(model, "_build_shapes_dict", None)
    return dict(shapes) if shapes else {}


def input_dtype(model: Any, name: str) -> str:  # noqa: ARG001
    """The dtype of an input of a subclassed model: Keras only remembers shapes."""
    return str(model.input_dtype)


def output_names(model: Any) -> list[str]:
    """The names of a functional model's outputs; a sequential model keeps one inside."""
    inner = getattr(model, "_functional", None) or model
    return [str(name) for name in getattr(inner, "output_names", ())]
