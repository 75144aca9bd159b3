"""The program of the child process: opens one model with TensorFlow, then writes and runs it."""

from __future__ import annotations

from typing import Any

from hornbeam.converter.secondway.serving import serve

__all__: list[str] = []


class _Handlers:
    """What the parent may ask for. TensorFlow comes in with the first request, within limits."""

    def __init__(self) -> None:
        self._work: Any = None

    def open(self, **arguments: Any) -> Any:
        from hornbeam.converter.secondway.work import Work

        self._work = Work(**arguments)
        return self._work.describe()

    def write_onnx(self, **arguments: Any) -> None:
        self._work.write_onnx(**arguments)

    def write_tflite(self, **arguments: Any) -> None:
        self._work.write_tflite(**arguments)

    def run(self, **arguments: Any) -> None:
        self._work.run(**arguments)


if __name__ == "__main__":
    _handlers = _Handlers()
    serve(
        {
            "open": _handlers.open,
            "write_onnx": _handlers.write_onnx,
            "write_tflite": _handlers.write_tflite,
            "run": _handlers.run,
        }
    )
