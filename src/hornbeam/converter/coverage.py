"""What of Keras does not convert, and why: the reasons that errors and the coverage page give.

Everything else in ``keras.layers`` has a lowering or is recorded; a test holds it to that, so that
a new version of Keras cannot bring a layer that nobody has looked at.
"""

from __future__ import annotations

__all__ = ["NO_LAYERS", "REFUSED"]

_JAX = (
    "it runs a function of JAX, which Keras can call but not look into: there are no Keras "
    "operations to write"
)
_TABLES = (
    "it looks words and numbers up in tables of TensorFlow, which Keras cannot even construct "
    "without TensorFlow"
)
_HASHES = (
    "it hashes text with functions of TensorFlow (FarmHash and SipHash), for which neither format "
    "has an operator"
)

#: Layers that are refused, by their public name, with the reason.
REFUSED: dict[str, str] = {
    "FlaxLayer": _JAX,
    "HashedCrossing": _HASHES,
    "Hashing": _HASHES,
    "IntegerLookup": _TABLES,
    "JaxLayer": _JAX,
    "StringLookup": _TABLES,
    "TFSMLayer": (
        "it runs a TensorFlow SavedModel, which Keras can call but not look into: there are no "
        "Keras operations to write"
    ),
    "TextVectorization": _TABLES,
    "TorchModuleWrapper": (
        "it runs a PyTorch module, which Keras can call but not look into: there are no Keras "
        "operations to write"
    ),
}

#: Classes that ``keras.layers`` holds although they compute nothing.
NO_LAYERS: dict[str, str] = {
    "InputSpec": "it describes what a layer takes",
}
