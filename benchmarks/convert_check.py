"""Does a written file compute what Keras computes? Asked of every tool, outside the clock.

``python convert_check.py MODEL.keras LOW HIGH FILE…`` prints a JSON object: for each file
either ``{"error": worst difference over the output's scale}`` or ``{"fault": why it does not
run}``. One seeded picture with pixels from LOW to HIGH is run; the benchmark is about cost, and
this only keeps it from praising a fast converter of wrong files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def run_onnx(path: str, picture: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: picture})[0]


def run_tflite(path: str, picture: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def faults() -> tuple[type[BaseException], ...]:
    """What the engines raise for a file that they cannot load or run."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
        state.InvalidArgument,
        RuntimeError,
        ValueError,
    )


def main(arguments: list[str]) -> None:
    import keras

    model_path, low, high, *files = arguments
    model = keras.saving.load_model(model_path, compile=False)
    shape = (1, *model.inputs[0].shape[1:])
    picture = np.random.default_rng(1).uniform(float(low), float(high), shape).astype("float32")
    expected = model.predict(picture, verbose=0)
    scale = float(np.abs(expected).max())
    answers: dict[str, dict[str, object]] = {}
    for path in files:
        engine = run_onnx if Path(path).suffix == ".onnx" else run_tflite
        try:
            found = engine(path, picture)
        except faults() as fault:
            answers[path] = {"fault": str(fault).strip().splitlines()[0][:200]}
        else:
            answers[path] = {"error": float(np.abs(found - expected).max()) / scale}
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1:])
