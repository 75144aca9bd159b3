"""Walks calls of Keras layers and operations and finds a lowering for each, or goes a level deeper.

For each call: a lowering registered for the operation is applied; else a functional model is
walked call by call; else the ``call`` of a layer is recorded with stand-in tensors and the
operations inside take its place; else an error names the layer and what can be done. Keras masks
are carried beside the values by Keras's own rules.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import tree

from hornbeam.converter.lowering import registry
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.trace import nodes
from hornbeam.converter.trace.keys import key_of, layer_key
from hornbeam.converter.trace.merge import Merger
from hornbeam.converter.trace.sizes import Sizes, UnknownSizeError
from hornbeam.errors import UnsupportedLayerError
from hornbeam.graph import Graph, Value
from hornbeam.graph.types import is_float

__all__ = ["Tracer"]

#: What code that needs numbers raises where it gets tensors that have none.
_RAISED_BY_CALLS = (
    ArithmeticError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


class Tracer:
    """Lowers calls into ``graph``; `Builder` reaches it as its Keras side."""

    def __init__(self, graph: Graph, sizes: Sizes) -> None:
        self.graph = graph
        self.sizes = sizes
        self.builder = Builder(graph, self)
        self._masks: dict[Value, Value] = {}
        #: Values whose mask a layer has taken off.
        self._bare: set[Value] = set()

    # The Keras side of the builder

    def call(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Lower one call; tensors among the arguments and results are values."""
        if isinstance(operation, keras.Layer):
            return self._layer(operation, tuple(args), dict(kwargs))
        lowering = registry.find(key_of(operation))
        if lowering is None:
            raise _unsupported(self.builder.path or self.graph.name, key_of(operation))
        return self._apply(lowering, operation, args, kwargs)

    def function(self, function: Any, args: Sequence[Any]) -> Any:
        """Lower a call of a plain function, such as an activation."""
        if isinstance(function, keras.Operation):
            return self.call(function, args, {})
        lowering = registry.find(key_of(function))
        if lowering is not None:
            return self._apply(lowering, function, args, {})
        return self._record(function, tuple(args), {})

    def mask(self, value: Value) -> Value | None:
        """The Keras mask that travels with a value."""
        return self._masks.get(value)

    def set_mask(self, value: Value, mask: Value) -> None:
        """Let a Keras mask travel with a value."""
        self._masks[value] = mask

    def variable(self, variable: Any) -> tuple[str, npt.NDArray[Any]]:
        """The path and the data of a Keras variable."""
        # numpy sees the memory of a JAX or TensorFlow array without a copy, which Keras would make;
        # a torch parameter has to be detached first.
        torch = keras.backend.backend() == "torch"
        value = keras.ops.convert_to_numpy(variable.value) if torch else variable.value
        return variable.path, np.asarray(value)

    def result_type(self, *dtypes: str | type) -> str:
        """Keras's rule for the dtype of mixed arguments."""
        return str(keras.backend.result_type(*dtypes))

    # Layers

    def _layer(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outer = self.builder.path
        path = f"{outer}/{layer.name}" if outer else layer.name
        with self.builder.at(path, _compute_dtype(layer)):
            args, kwargs = self._autocast(layer, args, kwargs)
            arguments = _tensor_arguments(layer, args, kwargs)
            self._fill_masks(layer, arguments, kwargs)
            first = next(iter(arguments.values()), None)
            mask = kwargs.get("mask")
            previous = mask if mask is not None else tree.map_structure(self.mask_or_none, first)
            outputs = self._layer_body(layer, args, kwargs)
            if isinstance(outputs, Value):
                # (of the body of a loop, while one is traced)
                self.builder.graph.layers.setdefault(path, outputs)
            if layer.supports_masking and nodes.walk_of(layer) is None:
                self._mask_outputs(layer, first, outputs, previous)
            return outputs

    def mask_or_none(self, thing: Any) -> Value | None:
        """The mask of a value; None for anything else."""
        return self._masks.get(thing) if isinstance(thing, Value) else None

    def _layer_body(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if nodes.is_quantized(layer):
            return self._record(layer.quantized_call, args, kwargs)
        lowering = registry.find(layer_key(layer))
        if lowering is not None:
            return self._apply(lowering, layer, args, kwargs)
        walk = nodes.walk_of(layer)
        if walk is not None:
            inputs = args[0] if args else kwargs["inputs"]
            masks = tree.flatten(kwargs.get("mask"))
            for value, mask in zip(tree.flatten(inputs), masks, strict=False):
                if isinstance(mask, Value):
                    self.set_mask(value, mask)
            return self.walk(walk, tree.flatten(inputs))
        return self._record(layer.call, args, kwargs)

    def _apply(
        self,
        lowering: registry.Lowering,
        operation: Any,
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> Any:
        takes = lowering.parameters
        if "kwargs" not in takes:
            ignored = {"training", "mask"} - takes
            kwargs = {key: value for key, value in kwargs.items() if key not in ignored}
        if lowering.channels and getattr(operation, "data_format", "") == "channels_first":
            x, *rest = args
            last = self.builder.transpose(x, (0, *range(2, x.rank), 1))
            y = lowering.function(self.builder, operation, last, *rest, **kwargs)
            return self.builder.transpose(y, (0, y.rank - 1, *range(1, y.rank - 1)))
        return lowering.function(self.builder, operation, *args, **kwargs)

    def _autocast(
        self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Float tensors in the compute dtype of the layer, as ``Layer.__call__`` converts them."""
        dtype = keras.backend.standardize_dtype(layer.input_dtype)
        if not (layer.autocast and layer._convert_input_args and is_float(dtype)):
            return args, kwargs

        def convert(x: Any) -> Any:
            if not isinstance(x, Value) or not is_float(x.dtype) or x.dtype == dtype:
                return x
            result = self.builder.cast(x, dtype)
            if (mask := self.mask(x)) is not None:
                self.set_mask(result, mask)
            return result

        return tree.map_structure(convert, args), tree.map_structure(convert, kwargs)

    # Masks

    def _fill_masks(self, layer: Any, arguments: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Hand masks to the layers that ask for them, by Keras's rules."""
        asked = inspect.signature(layer.call).parameters
        names = (
            {"mask": next(iter(arguments.values()))}
            if len(arguments) == 1
            else {f"{name}_mask": value for name, value in arguments.items()}
        )
        for name, value in names.items():
            if name in asked and kwargs.get(name) is None:
                mask = tree.map_structure(self.mask_or_none, value)
                if any(leaf is not None for leaf in tree.flatten(mask)):
                    kwargs[name] = mask

    def _mask_outputs(self, layer: Any, inputs: Any, outputs: Any, previous: Any) -> None:
        values = [value for value in tree.flatten(outputs) if isinstance(value, Value)]
        if all(value in self._masks for value in values):
            return
        if nodes.default_compute_mask(layer):
            masks = previous
        else:
            masks = self._record(layer.compute_mask, (inputs, previous), {})
        for value, mask in zip(values, tree.flatten(masks), strict=False):
            if isinstance(mask, Value) and value not in self._masks:
                self.set_mask(value, mask)

    # Whole models

    def root(self, model: Any, arguments: dict[str, Any]) -> Any:
        """Lower a model that is not functional, by recording its ``call``."""
        return self._record(model.call, (), dict(arguments))

    def walk(self, walk: nodes.Walk, inputs: Sequence[Any]) -> Any:
        """Lower the calls of a functional model on the given flat inputs."""
        values: dict[int, Any] = {}
        for tensor, value in zip(walk.inputs, inputs, strict=True):
            values[id(tensor)] = None if value is None else self._fit(value, tensor)

        def fill(thing: Any) -> Any:
            return values[id(thing)] if isinstance(thing, keras.KerasTensor) else thing

        for call in walk.calls:
            tensors = tree.flatten((call.args, call.kwargs))
            if any(isinstance(x, keras.KerasTensor) and id(x) not in values for x in tensors):
                continue
            args, kwargs = tree.map_structure(fill, (call.args, call.kwargs))
            outputs = tree.flatten(self.call(call.operation, args, kwargs))
            for tensor, value in zip(call.outputs, outputs, strict=True):
                values[id(tensor)] = self._typed(value, tensor, call.operation)
        return tree.map_structure(fill, walk.outputs)

    def _fit(self, value: Value, tensor: Any) -> Value:
        """An input of a functional model in the dtype and rank that the model declares."""
        fitted = self.builder.cast(value, tensor.dtype)
        rank = len(tensor.shape)
        if fitted.rank == rank + 1 and fitted.shape[-1] == 1:
            fitted = self.builder.reshape(fitted, fitted.shape[:-1])
        elif fitted.rank == rank - 1 and tensor.shape[-1] == 1:
            fitted = self.builder.reshape(fitted, (*fitted.shape, 1))
        if fitted is not value and (mask := self.mask(value)) is not None:
            self.set_mask(fitted, mask)
        return fitted

    def _typed(self, value: Any, tensor: Any, operation: Any = None) -> Value:
        """The result of an operation, in the dtype that Keras says it has.

        Not where Keras only supposes it, as of a layer that passes integers through; and numbers of
        eight bits with a point stay in float32, rounded.
        """
        result = self.builder.value(value)
        supposed = nodes.supposes_dtype(operation) and not is_float(result.dtype)
        if supposed or tensor.dtype.startswith("float8"):
            return result
        return self.builder.cast(result, tensor.dtype)

    # Going a level deeper

    def _record(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Record a Python function twice with stand-ins, and lower what it did."""
        first = self._stand_ins(args, kwargs, 0)
        second = self._stand_ins(args, kwargs, 1)
        values: dict[int, Value] = {id(tensor): value for tensor, value in first.tensors}
        recordings = [
            self._recorded(function, run, which) for which, run in enumerate((first, second))
        ]
        for tensor, value in first.tensors:
            # Keras's attention layers take the masks off their inputs, for whoever comes next.
            if nodes.mask_of(tensor) is None:
                self._masks.pop(value, None)
                self._bare.add(value)
        merger = Merger(self.builder, self.sizes, lambda tensor: values[id(tensor)])
        needed = _needed(recordings[0])
        try:
            for index, pair in enumerate(zip(*(r.calls for r in recordings), strict=True)):
                if index in needed:
                    self._recorded_call(merger, pair, values)
            outputs = merger.merge(*(recording.outputs for recording in recordings))
        except UnknownSizeError as error:
            raise UnsupportedLayerError(
                f"Cannot convert '{self.builder.path}' ({_name_of(function)})",
                f"It computes {error}",
                "Give the model a fixed size there, or write it with keras.ops on tensors",
            ) from error
        return tree.map_structure(
            lambda x: x if x is None or isinstance(x, Value) else self.builder.value(x), outputs
        )

    def _recorded(
        self, function: Callable[..., Any], run: _StandIns, which: int
    ) -> nodes.Recording:
        moves = partial(self.sizes.moves, which=which)
        try:
            return nodes.record(function, run.args, run.kwargs, moves)
        except _RAISED_BY_CALLS as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise UnsupportedLayerError(
                f"Cannot convert '{self.builder.path}' ({_name_of(function)})",
                f"Its code cannot run on tensors without numbers: {reason}",
                "Write it with keras.ops on tensors, not with numpy, JAX, TensorFlow or torch",
            ) from error

    def _recorded_call(
        self, merger: Merger, pair: tuple[nodes.Call, ...], values: dict[int, Value]
    ) -> None:
        a, b = pair
        operation = merger.operation(a.operation, b.operation)
        args, kwargs = merger.merge((a.args, a.kwargs), (b.args, b.kwargs))
        for name, tensor in nodes.masked_arguments(a).items():
            # While recording, nobody took the mask off; when it runs, an earlier layer has.
            if values.get(id(tensor)) in self._bare:
                del kwargs[name]
        results = tree.flatten(self.call(operation, args, kwargs))
        for tensor, other, result in zip(a.outputs, b.outputs, results, strict=True):
            value = self._typed(result, tensor)
            self._agree(operation, value, (tensor.shape, other.shape))
            values[id(tensor)] = value
            self.sizes.learn(value.shape)
            mask = nodes.mask_of(tensor)
            if mask is not None and id(mask) in values and value not in self._masks:
                self.set_mask(value, values[id(mask)])

    def _agree(self, operation: Any, value: Value, shapes: tuple[Any, Any]) -> None:
        found = tuple(self.sizes.shape(value.shape, which) for which in (0, 1))
        if found != tuple(map(tuple, shapes)):
            raise UnsupportedLayerError(
                f"Cannot convert {key_of(operation)} in '{self.builder.path}'",
                f"Keras says its result has shape {shapes[0]}, its lowering makes {found[0]}",
                "This is a defect in Hornbeam: please report it with the layer's arguments",
            )

    def _stand_ins(self, args: tuple[Any, ...], kwargs: dict[str, Any], which: int) -> _StandIns:
        run = _StandIns((), {}, [])

        def tensor_of(value: Value) -> Any:
            tensor = keras.KerasTensor(self.sizes.shape(value.shape, which), value.dtype)
            run.tensors.append((tensor, value))
            return tensor

        made: dict[Value, Any] = {}

        def stand_in(thing: Any) -> Any:
            if not isinstance(thing, Value):
                return thing
            self.sizes.learn(thing.shape)
            if thing not in made:
                made[thing] = tensor_of(thing)
                if (mask := self.mask(thing)) is not None:
                    nodes.set_mask(made[thing], stand_in(mask))
            return made[thing]

        run.args, run.kwargs = tree.map_structure(stand_in, (args, kwargs))
        return run


class _StandIns:
    """Arguments with a `KerasTensor` in the place of each value."""

    def __init__(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[tuple[Any, Value]]
    ) -> None:
        self.args, self.kwargs, self.tensors = args, kwargs, tensors


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def _needed(recording: nodes.Recording) -> set[int]:
    """The calls that the outputs depend on; a function may also compute what nobody reads."""
    wanted = {id(x) for x in tree.flatten(recording.outputs)}
    needed: set[int] = set()
    for index in reversed(range(len(recording.calls))):
        call = recording.calls[index]
        if wanted.isdisjoint(map(id, call.outputs)):
            continue
        needed.add(index)
        for x in tree.flatten((call.args, call.kwargs)):
            wanted.add(id(x))
            mask = nodes.mask_of(x)
            if mask is not None:
                wanted.add(id(mask))
    return needed


def _tensor_arguments(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``layer.call`` that are, or hold, tensors: Keras masks go by their names."""
    bound = inspect.signature(layer.call).bind(*args, **kwargs)
    return {
        name: value
        for name, value in bound.arguments.items()
        if any(isinstance(leaf, Value) for leaf in tree.flatten(value))
        and name != "mask"
        and not name.endswith("_mask")
    }


def _compute_dtype(layer: Any) -> str | None:
    dtype = layer.compute_dtype
    return str(dtype) if dtype is not None and is_float(str(dtype)) else None


def _unsupported(path: str, key: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"Cannot convert '{path}'",
        f"There is no lowering for keras.{key}",
        "Replace it by other keras.ops, or add a lowering (docs/architecture.md, ten lines)",
    )
