"""What of ``keras.ops`` does not convert, and why: the reasons that errors and documentation give.

Everything else in ``keras.ops`` has a lowering; a test holds it to that, so that a new version of
Keras cannot bring a function that nobody has looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "FORMATS", "LOOPS", "NO_OPERATIONS", "RANDOM", "REFUSED", "REFUSED_IMAGES", "Refusal",
]  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """A function that is refused: the class of the operation that Keras records, and the reason."""

    operation: str
    reason: str


_ITERATES = (
    "it is computed by iterating until it converges, for which neither format has a kernel; "
    "compute it before the model, or from weights, where it becomes a constant"
)
_LENGTH = (
    "the length of its result depends on the data, which neither format's shapes can say; "
    "use a mask, or top_k with a fixed k"
)
_COMPLEX = (
    "it makes or reads complex tensors, and neither format computes with complex numbers; "
    "keep the two parts in two tensors, as keras.ops.fft does"
)

#: Functions of ``keras.ops`` that are refused in both formats.
REFUSED: dict[str, Refusal] = {
    "bincount": Refusal("Bincount", _LENGTH),
    "ctc_loss": Refusal(
        "CTCLoss",
        "it is a loss for training, a recursion over all alignments of two sequences; "
        "convert the model that it trained",
    ),
    "eig": Refusal("Eig", _ITERATES),
    "eigh": Refusal("Eigh", _ITERATES),
    "jvp": Refusal("JVP", "it differentiates a function, which is not inference"),
    "matrix_rank": Refusal("MatrixRank", _ITERATES),
    "nextafter": Refusal("Nextafter", "it needs the bits of a float, which ONNX cannot read"),
    "nonzero": Refusal("Nonzero", _LENGTH),
    "pinv": Refusal("Pinv", _ITERATES),
    "polar": Refusal("Polar", _COMPLEX),
    "svd": Refusal("SVD", _ITERATES),
    "view_as_complex": Refusal("ViewAsComplex", _COMPLEX),
    "view_as_real": Refusal("ViewAsReal", _COMPLEX),
}

#: Functions of ``keras.ops.image`` that are refused.
REFUSED_IMAGES: dict[str, Refusal] = {
    "elastic_transform": Refusal(
        "ElasticTransform", "it moves pictures at random, which is done while training"
    ),
}

#: Functions that are Python's affair while a model is traced: no operation comes of them.
NO_OPERATIONS: dict[str, str] = {
    "convert_to_numpy": "it makes an array, which only a tensor with numbers can become",
    "dtype": "it gives a name",
    "is_tensor": "it gives a Python bool",
    "ndim": "it gives a Python number (and its symbolic shape is not that of a number)",
    "vectorize": "it makes a function, by vectorized_map",
}

#: Functions that call other functions: loops, branches, maps.
LOOPS: tuple[str, ...] = (
    "associative_scan", "cond", "fori_loop", "map", "scan", "switch", "vectorized_map",
    "while_loop",
)  # fmt: skip

#: Arguments that one format cannot carry, or neither: (function, arguments) and the reason.
FORMATS: dict[tuple[str, str], str] = {
    ("bitwise_and, bitwise_or, bitwise_xor", "ONNX before opset 18"): "there is no such operator",
    ("scatter_update, segment_max, segment_min", "ONNX before opset 18"): (
        "ScatterND takes no maximum or minimum"
    ),
    ("scatter, segment_sum, segment_prod", "ONNX before opset 16"): "ScatterND cannot add",
    ("lstsq", "a matrix that the model computes"): _ITERATES,
    ("norm", "order 2, -2 or 'nuc' of a matrix"): _ITERATES,
    ("det, inv, solve, cholesky, qr and the like", "more than 32 rows"): (
        "they are written out step by step"
    ),
    ("unique", "without size="): _LENGTH,
    ("where", "with a condition alone"): _LENGTH,
    ("repeat", "numbers that the model computes"): _LENGTH,
    ("get_item", "a mask that the model computes"): _LENGTH,
    ("segment_sum, segment_max", "without num_segments="): _LENGTH,
    ("view", "another width, or a float"): "the formats cannot read bits as another type",
    ("pad", "mode='linear_ramp' or 'median'"): "there is no lowering",
    ("ctc_decode", "strategy='beam_search'"): "a search keeps a set of paths of changing length",
    ("custom_gradient", "made before the call, as a decorator"): (
        "the backend has closed the function by then, and no tensor without numbers gets in"
    ),
    ("real, imag, conj, angle", "a complex tensor"): _COMPLEX,
}

#: Why functions of ``keras.random`` are refused, unless an integer seed makes them a constant.
RANDOM = (
    "it draws random numbers: a file draws none, or others than Keras; give it an integer seed to "
    "make the numbers a constant, or draw them outside and make them an input"
)
