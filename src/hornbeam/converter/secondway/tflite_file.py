"""TFLite by TFLiteConverter, in builtin operators only, with its complaints made short."""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from hornbeam.errors import ConversionError, UnsupportedFormatError

__all__ = ["convert"]

_ASKED = "A TFLite file was asked of TFLiteConverter"
_ADVICE = "Try ONNX, or write that part of the model with keras.ops"

#: How the converter lists what TFLite has no operator for.
_LISTED = re.compile(r"^\s*(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)
#: How it points at one operation.
_POINTED = re.compile(r"'tf\.(\w+)' (?:op|that)")
#: What recurrent layers run into whose batch is free.
_NEEDS_SIZES = "requires element_shape to be static"


def convert(function: Any, module: Any) -> bytes:
    """The file that TFLiteConverter makes of a concrete function of ``module``.

    Raises `UnsupportedFormatError`, naming the operations that TFLite lacks.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    # Neither TensorFlow's own kernels (Flex) nor custom ones: no device has them.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        data: bytes = converter.convert()
    except ConverterError as error:
        raise _explained(str(error)) from error
    return data


def _explained(text: str) -> ConversionError:
    listed = {name.strip() for line in _LISTED.findall(text) for name in line.split(",")}
    names = sorted(listed or set(_POINTED.findall(text)))
    if _NEEDS_SIZES in text:
        return UnsupportedFormatError(
            _ASKED,
            f"It cannot convert {', '.join(names)} in a model that was saved with a free batch",
            "Export it with a fixed one, model.export(folder, input_signature="
            "[keras.InputSpec(shape=(1, ...))]), or try ONNX",
        )
    if names:
        return _lacking(names)
    lines = [line.strip() for line in text.splitlines() if "error:" in line] or text.splitlines()
    return ConversionError(_ASKED, lines[0][:300] if lines else "It failed", _ADVICE)


def _lacking(names: list[str]) -> UnsupportedFormatError:
    return UnsupportedFormatError(_ASKED, f"TFLite has no operator for {', '.join(names)}", _ADVICE)
