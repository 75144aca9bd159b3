"""The parts of the way through TensorFlow: a process that may die, and what is done in it.

`process` is the side of the user's program, `serving` the other side of the line. `child` is the
program that runs there: it alone, and `saved`, `onnx_file` and `tflite_file` below it, import
TensorFlow.
"""
