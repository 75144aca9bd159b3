"""A whole model: named inputs and outputs, free sizes, and the walk from one to the other."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import tree

from hornbeam.converter import lowering
from hornbeam.converter.trace import nodes
from hornbeam.converter.trace.sizes import Sizes
from hornbeam.converter.trace.tracer import Tracer
from hornbeam.errors import ConversionError, ModelLoadError, UnsupportedLayerError
from hornbeam.graph import Dim, Graph, GraphError, Value
from hornbeam.graph.dims import symbol

__all__ = ["InputSpec", "signature_of", "trace"]

#: What the free axes of an input are called, by its rank; axis 0 is always the batch.
_AXIS_NAMES = {
    2: ("batch", "time"),
    3: ("batch", "time", "features"),
    4: ("batch", "height", "width", "channels"),
    5: ("batch", "depth", "height", "width", "channels"),
}


@dataclass(frozen=True)
class InputSpec:
    """One input of a model: its name, its shape with None where it is free, its Keras dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Signature:
    """The inputs of a model, flat, and the structure in which its ``call`` wants them."""

    inputs: tuple[InputSpec, ...]
    structure: Any
    output_names: tuple[str, ...] | None


def trace(model: Any, *, batch: int | None = None) -> Graph:
    """The graph of what ``model`` computes at inference.

    ``batch`` fixes the batch size, which is free otherwise. Raises `UnsupportedLayerError` where a
    layer has no lowering, `ConversionError` where the model cannot be called. The model is left as
    it was found.
    """
    lowering.load_all()
    signature = signature_of(model)
    try:
        return _trace(model, signature, batch, shared=False)
    except (GraphError, ValueError, UnsupportedLayerError) as error:
        # Inputs of one free length each may have to be equal (tokens and their mask); Keras does
        # not say, so try again with one symbol for the same axis of every input.
        if _free_axes(signature) < 2:
            raise _explained(model, error) from error
        try:
            return _trace(model, signature, batch, shared=True)
        except (GraphError, ValueError, UnsupportedLayerError):
            raise _explained(model, error) from error


def signature_of(model: Any) -> Signature:
    """The inputs that a model takes, from its graph or from how it was built."""
    walk = nodes.walk_of(model)
    if walk is not None:
        structure = walk.structure
        names = tuple(nodes.output_names(model)) or None
        specs = tuple(map(_spec, walk.inputs))
        if isinstance(model, keras.Sequential) and not nodes.is_stateful(model):
            # Without an Input, Keras remembers the batch that happened to come in first.
            specs = tuple(replace(spec, shape=(None, *spec.shape[1:])) for spec in specs)
        return Signature(specs, structure, names)
    shapes = nodes.build_shapes(model)
    if not shapes:
        raise ModelLoadError(
            f"Cannot convert the model '{getattr(model, 'name', model)}'",
            "It is a subclassed model that was never called, so its input shapes are unknown",
            "Call it once on an example (or model.build(shape)) before converting",
        )
    structure, specs = _specs_of(model, shapes)
    return Signature(specs, structure, None)


def _spec(tensor: Any) -> InputSpec:
    return InputSpec(nodes.input_name(tensor), tuple(tensor.shape), str(tensor.dtype))


def _specs_of(model: Any, shapes: dict[str, Any]) -> tuple[Any, tuple[InputSpec, ...]]:
    """Specs for a subclassed model, from the shapes that it was built with."""
    parameters = inspect.signature(model.call).parameters
    call_arguments = list(parameters)
    needed = [name for name, p in parameters.items() if p.default is p.empty and
              p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]  # fmt: skip
    if len(shapes) < len(needed):
        raise ModelLoadError(
            f"Cannot convert the model '{model.name}'",
            f"Its call takes {', '.join(needed)}, and Keras remembers the shape of the first only",
            "Convert a functional model around it: keras.Model([a, b], model(a, b))",
        )
    if len(shapes) == 1:
        (only,) = shapes.values()
        shapes = {call_arguments[0]: only}
    else:
        shapes = {name.removesuffix("_shape"): shape for name, shape in shapes.items()}

    def spec(path: tuple[Any, ...], shape: tuple[int | None, ...]) -> InputSpec:
        parts = [str(part) for part in path]
        name = parts[-1] if parts[-1].isidentifier() else "_".join(parts)
        dtype = nodes.input_dtype(model, name)
        return InputSpec(name, (None, *shape[1:]), dtype)

    structure = {name: _map_shapes(spec, (name,), shape) for name, shape in shapes.items()}
    return structure, tuple(tree.flatten(structure))


def _map_shapes(function: Any, path: tuple[Any, ...], shapes: Any) -> Any:
    if isinstance(shapes, dict):
        return {key: _map_shapes(function, (*path, key), item) for key, item in shapes.items()}
    if shapes and isinstance(shapes[0], (list, tuple, dict)):
        return [_map_shapes(function, (*path, i), item) for i, item in enumerate(shapes)]
    return function(path, tuple(shapes))


def _trace(model: Any, signature: Signature, batch: int | None, *, shared: bool) -> Graph:
    graph = Graph(str(model.name))
    values = [_add_input(graph, spec, batch, signature, shared) for spec in signature.inputs]
    tracer = Tracer(graph, Sizes(graph.symbols))
    walk = nodes.walk_of(model)
    if walk is not None:
        outputs = tracer.walk(walk, values)
    else:
        by_spec = dict(zip(map(id, signature.inputs), values, strict=True))
        arguments = tree.map_structure(lambda spec: by_spec[id(spec)], signature.structure)
        outputs = tracer.root(model, arguments)
    named = _named(graph, outputs, signature.output_names)
    graph.outputs = {
        name: tracer.builder.cast(value, _outside(value.dtype)) for name, value in named.items()
    }
    for begin, end in tracer.builder.states.values():
        graph.states[begin.name] = f"{begin.name}_out"
        graph.outputs[f"{begin.name}_out"] = end
    graph.prune()
    graph.check()
    return graph


def _add_input(
    graph: Graph, spec: InputSpec, batch: int | None, signature: Signature, shared: bool
) -> Value:
    names = _AXIS_NAMES.get(len(spec.shape), ("batch",))
    dims: list[Dim] = []
    free: dict[str, int] = {}
    for axis, size in enumerate(spec.shape):
        if axis == 0 and size is None and batch is not None:
            dims.append(batch)
        elif size is not None:
            dims.append(size)
        else:
            name = names[axis] if axis < len(names) else f"axis_{axis}"
            if axis and len(signature.inputs) > 1:
                name = f"axis_{axis}" if shared else f"{spec.name}_{name}"
            dims.append(symbol(name))
            free[name] = axis
    value = graph.add_input(spec.name, tuple(dims), _outside(spec.dtype))
    for name, axis in free.items():
        graph.symbols.setdefault(name, (value, axis))
    return value


def _outside(dtype: str) -> str:
    """The dtype of an input or output: numpy has no bfloat16, so files give and take float32."""
    return "float32" if dtype == "bfloat16" else dtype


def _free_axes(signature: Signature) -> int:
    return sum(size is None for spec in signature.inputs for size in spec.shape[1:])


def _named(graph: Graph, outputs: Any, names: Sequence[str] | None) -> dict[str, Value]:
    """Outputs by the names that the Keras model gives: its own, dictionary keys, or positions."""
    flat = tree.flatten_with_path(outputs)
    values = [value for _, value in flat]
    if any(not isinstance(value, Value) for value in values) or not values:
        raise ConversionError(
            f"Cannot convert the model '{graph.name}'",
            "It returns no tensor" if not values else f"It returns {outputs!r}",
            "A model must return at least one tensor that it computes",
        )
    if isinstance(outputs, dict) and not isinstance(next(iter(outputs.values())), (dict, list)):
        names = [str(path[-1]) for path, _ in flat]
    elif names is None or len(names) != len(values):
        names = [f"output_{i}" for i in range(len(values))]
    named: dict[str, Value] = {}
    for name, value in zip(names, values, strict=True):
        key, count = name, 1
        while key in named:
            key, count = f"{name}_{count}", count + 1
        named[key] = value
    return named


def _explained(model: Any, error: Exception) -> ConversionError:
    if isinstance(error, UnsupportedLayerError):
        return error
    return UnsupportedLayerError(
        f"Cannot convert the model '{model.name}'",
        str(error).partition("\n")[0],
        "If Keras itself runs the model, this is a defect in Hornbeam: please report it",
    )
