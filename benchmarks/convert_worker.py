"""One conversion in a process of its own, timed stage by stage: import, load, convert.

``python convert_worker.py TOOL MODEL.keras OUTPUT REPORT.json`` runs under Hornbeam's
interpreter and under the peers' alike, and so imports nothing but the standard library before
the clock runs. Each tool is a generator that yields the name of a stage when the stage is over;
``convert`` is the step from the model in memory to the file on disk. Every library that a tool
is known to need is imported in ``import``, those that it would import lazily included, so that
no tool's ``convert`` is charged for imports.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Stages = Iterator[str]


def hornbeam_onnx(model: str, output: str) -> Stages:
    import keras
    import onnx  # noqa: F401

    import hornbeam

    convert = hornbeam.convert
    yield "import"
    loaded = keras.saving.load_model(model, compile=False)
    yield "load"
    convert(loaded, output, verify=False)
    yield "convert"


def hornbeam_tflite(model: str, output: str) -> Stages:
    import keras
    from ai_edge_litert import schema_py_generated  # noqa: F401

    import hornbeam

    convert = hornbeam.convert
    yield "import"
    loaded = keras.saving.load_model(model, compile=False)
    yield "load"
    convert(loaded, output, verify=False)
    yield "convert"


def tf2onnx_keras(model: str, output: str) -> Stages:
    import keras
    import tensorflow  # noqa: F401
    import tf2onnx

    yield "import"
    loaded = keras.saving.load_model(model, compile=False)
    yield "load"
    tf2onnx.convert.from_keras(loaded, output_path=output)
    yield "convert"


def tf2onnx_function(model: str, output: str) -> Stages:
    import keras
    import tensorflow as tf
    import tf2onnx

    yield "import"
    loaded = keras.saving.load_model(model, compile=False)
    yield "load"
    signature = [tf.TensorSpec(value.shape, value.dtype, value.name) for value in loaded.inputs]
    function = tf.function(lambda x: loaded(x, training=False), input_signature=signature)
    tf2onnx.convert.from_function(function, input_signature=signature, output_path=output)
    yield "convert"


def keras_onnx(model: str, output: str) -> Stages:
    import keras
    import tensorflow as tf
    import tf2onnx  # noqa: F401

    yield "import"
    loaded = keras.saving.load_model(model, compile=False)
    # Keras refuses to export a model to ONNX that was loaded and never called.
    loaded([tf.zeros((1, *value.shape[1:]), value.dtype) for value in loaded.inputs])
    yield "load"
    loaded.export(output, format="onnx", verbose=False)
    yield "convert"


def keras_litert(model: str, output: str) -> Stages:
    import keras
    import tensorflow  # noqa: F401

    yield "import"
    loaded = keras.saving.load_model(model, compile=False)
    yield "load"
    loaded.export(output, format="litert", verbose=False)
    yield "convert"


def tflite_converter(model: str, output: str) -> Stages:
    import keras
    import tensorflow as tf

    yield "import"
    loaded = keras.saving.load_model(model, compile=False)
    yield "load"
    content = tf.lite.TFLiteConverter.from_keras_model(loaded).convert()
    Path(output).write_bytes(content)
    yield "convert"


TOOLS: dict[str, Callable[[str, str], Stages]] = {
    "hornbeam-onnx": hornbeam_onnx,
    "hornbeam-tflite": hornbeam_tflite,
    "tf2onnx-keras": tf2onnx_keras,
    "tf2onnx-function": tf2onnx_function,
    "keras-onnx": keras_onnx,
    "keras-litert": keras_litert,
    "tflite-converter": tflite_converter,
}


def cpu_seconds() -> float:
    """User and system time of this process and of the children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def time_stages(stages: Stages) -> dict[str, dict[str, float]]:
    """Run ``stages`` and return, for each one's name, its seconds of CPU and of wall time."""
    costs: dict[str, dict[str, float]] = {}
    cpu, wall = cpu_seconds(), time.perf_counter()
    for name in stages:
        cpu_now, wall_now = cpu_seconds(), time.perf_counter()
        costs[name] = {"cpu_s": cpu_now - cpu, "wall_s": wall_now - wall}
        cpu, wall = cpu_seconds(), time.perf_counter()
    return costs


def main(arguments: list[str]) -> None:
    tool, model, output, report = arguments
    costs = time_stages(TOOLS[tool](model, output))
    Path(report).write_text(json.dumps(costs), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
