"""Repairs that concern a model's layers together: names, inputs and connections.

In older configs a connection is a list ``[layer, node, tensor, keyword arguments]``. Keras 3
still reads the plain ones, but loses tensors among the keyword arguments (attention, initial
states of a recurrent layer) and miscounts the calls of a nested Sequential. Those are written
here in the form that Keras 3 writes itself.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from hornbeam.converter.loading import tf_ops
from hornbeam.converter.loading.ledger import Config, Ledger

__all__ = ["MODELS", "repair_model"]

MODELS = ("Functional", "Model", "Sequential")
_OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty")
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM2D")


def repair_model(model: Config, source: str, ledger: Ledger) -> None:
    """Repair what only the model that holds the layers can see, in place."""
    if isinstance(model["config"], list):  # a Sequential until Keras 2.2
        model["config"] = {
            "name": model.get("name") or "sequential",
            "layers": model["config"],
        }
        ledger.note(str(model["class_name"]), "sequential", "list of layers given a name")
    config: Config = model["config"]
    layers = [layer for layer in config.get("layers") or () if _is_layer(layer)]
    _rename_self(model, ledger)
    renamed = _rename_layers(layers, ledger)
    if model["class_name"] == "Sequential":
        _sequential_input(config, ledger)
        return
    for layer in layers:
        _input_shape(layer, ledger)
        layer.pop("build_config", None)  # it is built by its call; old shapes mislead Keras 3
    if not _has_lists(layers):
        return
    for key in ("input_layers", "output_layers"):
        if key in config:
            config[key] = _renamed(config[key], renamed)
    _reconnect(layers, config, renamed, source, ledger)


def _is_layer(layer: Any) -> bool:
    return isinstance(layer, dict) and isinstance(layer.get("config"), (dict, list))


def _has_lists(layers: list[Config]) -> bool:
    """Tell whether any connection is written in the old way."""
    return any(isinstance(node, list) for layer in layers for node in _nodes(layer))


def _nodes(layer: Config) -> list[Any]:
    nodes = layer.get("inbound_nodes")
    return nodes if isinstance(nodes, list) else []


def _rename_self(model: Config, ledger: Ledger) -> None:
    name = model["config"].get("name")
    if isinstance(name, str) and "/" in name:
        model["config"]["name"] = name.replace("/", "_")
        ledger.note(model["class_name"], name, "slashes in the name replaced")


def _rename_layers(layers: list[Config], ledger: Ledger) -> dict[str, str]:
    """Take the slashes out of layer names, and return the new name of each old one."""
    taken = {_layer_name(layer) for layer in layers}
    renamed: dict[str, str] = {}
    for layer in layers:
        old = _layer_name(layer)
        if "/" not in old:
            continue
        new = old.replace("/", "_")
        while new in taken:
            new += "_"
        taken.add(new)
        renamed[old] = new
        ledger.old_names[new] = old
        if "name" in layer:
            layer["name"] = new
        if isinstance(layer["config"], dict):
            layer["config"]["name"] = new
        ledger.note(str(layer.get("class_name")), old, "slashes in the name replaced")
    return renamed


def _layer_name(layer: Config) -> str:
    config = layer["config"]
    inner = config.get("name") if isinstance(config, dict) else None
    return str(layer.get("name") or inner or "")


def _input_shape(layer: Config, ledger: Ledger) -> None:
    """Call an input's shape by its name of today; the other layers of a graph need none."""
    config = layer["config"]
    if not isinstance(config, dict) or "batch_input_shape" not in config:
        return
    shape = config.pop("batch_input_shape")
    if layer.get("class_name") == "InputLayer":
        config["batch_shape"] = shape
        ledger.note("InputLayer", _layer_name(layer), "batch_input_shape renamed to batch_shape")


def _sequential_input(config: Config, ledger: Ledger) -> None:
    """Turn the input shape on a Sequential's first layer into an input of its own."""
    layers = config.get("layers") or []
    if not layers or not _is_layer(layers[0]):
        return
    first = layers[0]
    inner = first["config"]
    if first.get("class_name") != "InputLayer" and isinstance(inner, dict):
        shape = inner.get("batch_input_shape")
        name = _layer_name(first)
        if shape is not None:
            dtype = inner.get("dtype")
            plain = dtype if isinstance(dtype, str) and "_" not in dtype else "float32"
            made = {"name": f"{name}_input", "batch_shape": shape, "dtype": plain}
            added: Config = {"class_name": "InputLayer", "config": made}
            if "module" in first:
                added |= {"module": "keras.layers", "registered_name": None}
            layers.insert(0, added)
            ledger.note(
                str(first.get("class_name")), name, "batch_input_shape made an input of its own"
            )
    for layer in layers:
        if _is_layer(layer):
            _input_shape(layer, ledger)
            layer.pop("build_config", None)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Replace layer names in references, however they are nested."""
    if isinstance(value, list):
        if _is_reference(value) and value[0] in names:
            return [names[value[0]], *value[1:]]
        return [_renamed(item, names) for item in value]
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    return value


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(type(part) is int for part in value[1:3])
    )


def _reconnect(
    layers: list[Config], config: Config, renamed: dict[str, str], source: str, ledger: Ledger
) -> None:
    """Rewrite the connections that Keras 3 would misread, operations of TensorFlow included."""
    for layer in layers:
        if isinstance(layer.get("inbound_nodes"), list):
            layer["inbound_nodes"] = _renamed(layer["inbound_nodes"], renamed)
    shifted = _miscounted(layers, config)
    # Keras 3 counts the outputs of a nested Functional, and only these, from one as well.
    sequential = {name for name, class_name in shifted.items() if class_name == "Sequential"}
    for key in ("input_layers", "output_layers"):
        if key in config:
            config[key] = _single(_shift(config[key], sequential))
    names = {_layer_name(layer) for layer in layers}
    for layer in layers:
        nodes = [_shift(node, shifted) for node in _nodes(layer)]
        if layer.get("class_name") in _OPERATIONS:
            done = tf_ops.replace(layer, [_call(node, names) for node in nodes], source)
            ledger.note("TFOpLambda", _layer_name(layer), done)
            continue
        layer["inbound_nodes"] = [_modern_node(layer, node, names) for node in nodes]


def _single(references: Any) -> Any:
    """Take the only input or output out of its list, lest Keras 3 expect lists of one."""
    if isinstance(references, list) and len(references) == 1 and _is_reference(references[0]):
        return references[0]
    return references


def _miscounted(layers: list[Config], config: Config) -> dict[str, str]:
    """Return the nested models whose calls the file counts from one, as Keras 2 did.

    Keras 3 counts calls from zero. The result maps their names to their classes.
    """
    found = {}
    references: dict[str, list[int]] = {}
    everything = [_nodes(layer) for layer in layers]
    _collect([everything, config.get("output_layers")], references)
    for layer in layers:
        counted = references.get(_layer_name(layer), [])
        if layer.get("class_name") in MODELS and counted and min(counted) >= 1:
            found[_layer_name(layer)] = str(layer["class_name"])
    return found


def _collect(value: Any, references: dict[str, list[int]]) -> None:
    if _is_reference(value):
        references.setdefault(value[0], []).append(value[1])
        value = value[3:]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _collect(item, references)


def _shift(value: Any, shifted: Container[str]) -> Any:
    if _is_reference(value):
        index = value[1] - 1 if value[0] in shifted else value[1]
        return [value[0], index, value[2], *(_shift(item, shifted) for item in value[3:])]
    if isinstance(value, list):
        return [_shift(item, shifted) for item in value]
    if isinstance(value, dict):
        return {key: _shift(item, shifted) for key, item in value.items()}
    return value


def _modern_node(layer: Config, node: Any, names: set[str]) -> Any:
    if not isinstance(node, list) or not node:
        return node
    inputs, kwargs = _call(node, names)
    if len(inputs) > 1 and layer.get("class_name") in _RECURRENT:
        kwargs = {**kwargs, "initial_state": inputs[1:]}  # Keras 2 passed one list
        inputs = inputs[:1]
    # A mask that nobody gave would keep Keras 3 from passing on the one it computed.
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    return {"args": [inputs[0] if len(inputs) == 1 else inputs], "kwargs": kwargs}


def _call(node: Any, names: set[str]) -> tuple[list[Any], dict[str, Any]]:
    """Return the inputs of one old-style call, and its keyword arguments, as Keras 3 has them."""
    if isinstance(node, list) and node and isinstance(node[0], str):
        node = [node]  # a TensorFlow operation on one tensor
    inputs: list[Any] = []
    kwargs: dict[str, Any] = {}
    for entry in node if isinstance(node, list) else ():
        if not (isinstance(entry, list) and len(entry) >= 3):
            continue
        constant = entry[0] == "_CONSTANT_VALUE"
        inputs.append(entry[2] if constant else _tensor(entry))
        if len(entry) > 3 and isinstance(entry[3], dict):
            kwargs |= {key: _tensors(value, names) for key, value in entry[3].items()}
    return inputs, kwargs


def _tensors(value: Any, names: set[str]) -> Any:
    if _is_reference(value) and len(value) == 3 and value[0] in names:
        return _tensor(value)
    if isinstance(value, list):
        return [_tensors(item, names) for item in value]
    return value


def _tensor(reference: list[Any]) -> Config:
    # Keras looks only at the history; shape and dtype come from the layer that is found there.
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [], "dtype": "float32", "keras_history": reference[:3]},
    }
