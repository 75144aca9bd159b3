"""A SavedModel, opened by TensorFlow: a function of named tensors, whatever wrote it.

``tf.saved_model.load`` is asked first. It also rebuilds Python objects that inference has no need
of, and refuses a model where one of them is too old for it (the optimizer's slots of Keras 2, in
TensorFlow 2.21). The loader of TensorFlow 1 reads the graph and the variables alone: behind it the
variables are made constants, and the graph is a function again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorflow.core.protobuf import saved_model_pb2

from hornbeam.errors import ModelLoadError, UntrustedCodeError

__all__ = ["Opened", "open_saved_model"]

#: What both loaders raise for a model that they do not understand.
_COMPLAINTS = (
    AttributeError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    OSError,
    tf.errors.OpError,
)

_DEFAULT = "serving_default"
_INIT = "__saved_model_init_op"
_TAG = "serve"

#: Operations that reach outside the model: files of the machine, and Python code.
_REACH_OUT = frozenset(
    {"EagerPyFunc", "MatchingFiles", "PyFunc", "PyFuncStateless", "ReadFile", "WriteFile"}
)


@dataclass(frozen=True)
class Opened:
    """One signature of a SavedModel: ``call`` takes and gives tensors by name.

    ``keep`` owns the variables, which functions refer to weakly.
    """

    call: Callable[..., Mapping[str, Any]]
    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]
    loader: str
    keep: Any


def open_saved_model(folder: Path, *, trust: bool) -> Opened:
    """Open the signature for serving, by whichever loader of TensorFlow reads the folder.

    Raises `ModelLoadError`, or `UntrustedCodeError` where the graph reaches outside the model.
    """
    meta = _meta_graph(folder)
    if not trust:
        _refuse_reaching_out(folder, meta)
    tags = sorted(meta.meta_info_def.tags)
    name = _signature(folder, meta)
    try:
        return _by_objects(folder, tags, name)
    except _COMPLAINTS as error:
        try:
            return _by_graph(folder, tags, name)
        except _COMPLAINTS as second:
            raise ModelLoadError(
                _asked(folder),
                f"tf.saved_model.load says: {_line(error)}; and the loader of TensorFlow 1: "
                f"{_line(second)}",
                f"Save it again with TensorFlow {tf.__version__}, or install the one that wrote it "
                f"({meta.meta_info_def.tensorflow_version})",
            ) from second


def _by_objects(folder: Path, tags: list[str], name: str) -> Opened:
    loaded = tf.saved_model.load(str(folder), tags)
    function = loaded.signatures[name]
    _, inputs = function.structured_input_signature
    specs = {key: tf.TensorSpec(t.shape, t.dtype) for key, t in function.structured_outputs.items()}
    return Opened(function, dict(inputs), specs, "tf.saved_model.load", loaded)


def _by_graph(folder: Path, tags: list[str], name: str) -> Opened:
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        meta = v1.saved_model.load(session, tags, str(folder))
        signature = meta.signature_def[name]
        takes, gives = dict(signature.inputs), dict(signature.outputs)
        nodes = sorted({info.name.split(":")[0] for info in gives.values()})
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), nodes)
    whole = v1.wrap_function(lambda: tf.graph_util.import_graph_def(frozen, name=""), [])
    part = whole.prune(
        [info.name for info in takes.values()], [info.name for info in gives.values()]
    )

    def call(**tensors: Any) -> dict[str, Any]:
        return dict(zip(gives, part(*(tensors[key] for key in takes)), strict=True))

    loader = "tf.compat.v1.saved_model.load"
    return Opened(call, _specs(takes), _specs(gives), loader, part)


def _specs(infos: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    return {
        key: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.dtypes.as_dtype(info.dtype))
        for key, info in sorted(infos.items())
    }


def _meta_graph(folder: Path) -> Any:
    """The graph that is there to be served."""
    try:
        proto = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise ModelLoadError(
            _asked(folder), f"Its saved_model.pb is damaged: {_line(error)}", "Copy it again"
        ) from error
    graphs = list(proto.meta_graphs)
    serving = [graph for graph in graphs if _TAG in graph.meta_info_def.tags]
    chosen = serving or graphs
    if not chosen:
        raise ModelLoadError(_asked(folder), "Its saved_model.pb holds no graph", "Save it again")
    return chosen[0]


def _signature(folder: Path, meta: Any) -> str:
    names = sorted(name for name in meta.signature_def if name != _INIT)
    if _DEFAULT in names:
        return _DEFAULT
    if len(names) == 1:
        return str(names[0])
    raise ModelLoadError(
        _asked(folder),
        f"It has none of the name '{_DEFAULT}', but {', '.join(names)}"
        if names
        else "It has no signature that says what it takes and gives",
        f"Save it with signatures={{'{_DEFAULT}': function}}",
    )


def _refuse_reaching_out(folder: Path, meta: Any) -> None:
    found = sorted(_REACH_OUT & {node.op for node in _nodes(meta.graph_def)})
    if found:
        raise UntrustedCodeError(
            f"{_asked(folder)} without reaching outside it",
            f"Its graph uses {', '.join(found)}",
            "If you trust the model, allow it with --trust (trust=True)",
        )


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _asked(folder: Path) -> str:
    return f"The SavedModel {folder} was to be opened"


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
