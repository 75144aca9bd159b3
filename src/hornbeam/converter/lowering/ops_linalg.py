"""Linear algebra without kernels: eliminations written out, step by step, for small matrices.

Neither format has a decomposition. Those that end after a fixed number of steps are written as that
many steps, each on all matrices of the batch at once; those that iterate until they converge
(eigenvalues, singular values) are not. Golub and Van Loan, Matrix Computations, chapters 3 to 5.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from hornbeam.converter.lowering.compose import composes

__all__: list[str] = []

#: A step is about ten operations; more steps than this would be too many for a file.
_MOST_ROWS = 32


def _rows(x: Any, axis: int = -1) -> int:
    size = int(x.shape[axis])
    if size > _MOST_ROWS:
        raise ValueError(
            f"a decomposition of {size} rows: they are written out step by step, up to {_MOST_ROWS}"
        )
    return size


def _unit(index: int, size: int, dtype: str) -> Any:
    return np.eye(size, dtype="float32")[index].astype(dtype)


def _outer(column: Any, row: Any) -> Any:
    return ops.expand_dims(column, -1) * ops.expand_dims(row, -2)


def _row(x: Any, choice: Any) -> Any:
    """The row that a vector of zeros and a one chooses."""
    return ops.squeeze(ops.matmul(ops.expand_dims(choice, -2), x), -2)


# Elimination with pivots


def _lu(x: Any) -> tuple[Any, list[Any]]:
    """Both triangles in one matrix, and the row that each step exchanged with its own."""
    rows, columns = _rows(x, -2), int(x.shape[-1])
    dtype, pivots = str(x.dtype), []
    for k in range(min(rows, columns)):
        below = np.arange(rows) > k
        column = x[..., k]
        size = ops.where(np.arange(rows) >= k, ops.abs(column), -1.0)
        pivots.append(ops.argmax(size, axis=-1))
        if k == rows - 1:
            continue
        pick = ops.one_hot(pivots[-1], rows, dtype=dtype)
        found, own = _row(x, pick), x[..., k, :]
        x = x + _outer(_unit(k, rows, dtype) - pick, found - own)
        pivot = found[..., k : k + 1]
        pivot = ops.where(ops.equal(pivot, 0.0), ops.ones_like(pivot), pivot)
        factor = ops.where(below, x[..., k] / pivot, 0.0)
        right = ops.where(np.arange(columns) > k, found, 0.0)
        x = x - _outer(factor, right)
        left = _unit(k, columns, dtype)
        x = x + _outer(ops.where(below, factor - x[..., k], 0.0), left)
    return x, pivots


def _diagonal(x: Any) -> Any:
    return ops.diagonal(x, axis1=-2, axis2=-1)


def _sign_of_exchanges(pivots: list[Any], dtype: str) -> Any:
    stay = ops.equal(ops.stack(pivots, axis=-1), np.arange(len(pivots), dtype="int32"))
    one = np.asarray(1.0, "float32").astype(dtype)
    return ops.prod(ops.where(stay, one, -one), axis=-1)


@composes("LuFactor", known=(-2, -1))
def _lu_factor(_: Any, x: Any) -> tuple[Any, Any]:
    factors, pivots = _lu(x)
    return factors, ops.stack(pivots, axis=-1)


@composes("Det", known=(-2, -1))
def _det(_: Any, x: Any) -> Any:
    factors, pivots = _lu(x)
    return ops.prod(_diagonal(factors), axis=-1) * _sign_of_exchanges(pivots, str(x.dtype))


@composes("Slogdet", known=(-2, -1))
def _slogdet(_: Any, x: Any) -> tuple[Any, Any]:
    return _sign_and_log(x)


@composes("Logdet", known=(-2, -1))
def _logdet(_: Any, x: Any) -> Any:
    return _sign_and_log(x)[1]


def _sign_and_log(x: Any) -> tuple[Any, Any]:
    factors, pivots = _lu(x)
    diagonal = _diagonal(factors)
    sign = ops.prod(ops.sign(diagonal), axis=-1) * _sign_of_exchanges(pivots, str(x.dtype))
    return sign, ops.sum(ops.log(ops.abs(diagonal)), axis=-1)


# Systems of equations


def _solved(a: Any, b: Any) -> Any:
    """``a`` made the identity, by Gauss and Jordan, and ``b`` beside it what solves ``a x = b``.

    Rows stay where they are: which of them stands for which unknown is remembered and undone at
    the end.
    """
    n, dtype = _rows(a), str(a.dtype)
    both = ops.concatenate([a, b], axis=-1)
    used, picks = ops.zeros_like(a[..., 0]), []
    for k in range(n):
        column = both[..., k]
        size = ops.where(used > 0.0, -1.0, ops.abs(column))
        pick = ops.one_hot(ops.argmax(size, axis=-1), n, dtype=dtype)
        row = _row(both, pick)
        row = row / row[..., k : k + 1]
        both = both - _outer(column - pick, row)
        used = used + pick
        picks.append(pick)
    return ops.matmul(ops.stack(picks, axis=-2), both[..., n:])


def _solved_triangle(a: Any, b: Any, lower: bool) -> Any:
    """The same without pivots; what is on the other side of the diagonal is not looked at."""
    n, dtype = _rows(a), str(a.dtype)
    both = ops.concatenate([ops.tril(a) if lower else ops.triu(a), b], axis=-1)
    for k in range(n) if lower else reversed(range(n)):
        row = both[..., k, :] / both[..., k, k : k + 1]
        both = both - _outer(both[..., k] - _unit(k, n, dtype), row)
    return both[..., n:]


def _as_matrix(a: Any, b: Any, solve: Any) -> Any:
    if len(b.shape) == len(a.shape) - 1:
        return ops.squeeze(solve(a, ops.expand_dims(b, -1)), -1)
    batch = ops.shape(a)[:-2]
    if len(b.shape) == len(a.shape):
        wide = ops.broadcast_to(b, (*batch, *ops.shape(b)[-2:])) if batch else b
        return solve(a, wide)
    raise ValueError("solve of tensors whose ranks do not fit")


@composes("Solve", known=(-2, -1))
def _solve(_: Any, a: Any, b: Any) -> Any:
    return _as_matrix(*_tensors(a, b), _solved)


@composes("SolveTriangular", known=(-2, -1))
def _solve_triangular(operation: Any, a: Any, b: Any) -> Any:
    lower = bool(operation.lower)
    return _as_matrix(*_tensors(a, b), lambda x, y: _solved_triangle(x, y, lower))


def _tensors(a: Any, b: Any) -> tuple[Any, Any]:
    return ops.convert_to_tensor(a), ops.convert_to_tensor(b)


def _identity(x: Any) -> Any:
    n = _rows(x)
    eye = np.eye(n, dtype="float32").astype(str(x.dtype))
    return ops.broadcast_to(eye, (*ops.shape(x)[:-2], n, n))


@composes("Inv", known=(-2, -1))
def _inv(_: Any, x: Any) -> Any:
    return _solved(x, _identity(x))


# Decompositions


@composes("Cholesky", known=(-2, -1))
def _cholesky(operation: Any, x: Any) -> Any:
    """Column by column, each taken out of what is left."""
    n, columns = _rows(x), []
    for k in range(n):
        root = ops.sqrt(x[..., k, k : k + 1])
        column = ops.where(np.arange(n) >= k, x[..., k] / root, 0.0)
        columns.append(column)
        if k < n - 1:
            x = x - _outer(column, column)
    return ops.stack(columns, axis=-2 if operation.upper else -1)


@composes("CholeskyInverse", known=(-2, -1))
def _cholesky_inverse(operation: Any, x: Any) -> Any:
    inverse = _solved_triangle(x, _identity(x), not operation.upper)
    turned = ops.swapaxes(inverse, -1, -2)
    pair = (inverse, turned) if operation.upper else (turned, inverse)
    return ops.matmul(*pair)


@composes("Qr", known=(-2, -1))
def _qr(operation: Any, x: Any) -> tuple[Any, Any]:
    """Householder's reflections, with LAPACK's signs: nothing to do where a column is done."""
    rows, columns = _rows(x, -2), int(x.shape[-1])
    dtype, count = str(x.dtype), min(rows, columns)
    q = ops.broadcast_to(
        np.eye(rows, dtype="float32").astype(dtype), (*ops.shape(x)[:-2], rows, rows)
    )
    for k in range(min(count, rows - 1)):
        column = ops.where(np.arange(rows) >= k, x[..., k], 0.0)
        tail = ops.where(np.arange(rows) > k, x[..., k], 0.0)
        done = ops.equal(ops.sum(ops.square(tail), axis=-1, keepdims=True), 0.0)
        length = ops.sqrt(ops.sum(ops.square(column), axis=-1, keepdims=True))
        head = column[..., k : k + 1]
        length = ops.where(head < 0.0, -length, length)
        mirror = column + length * _unit(k, rows, dtype)
        square = ops.sum(ops.square(mirror), axis=-1, keepdims=True)
        factor = ops.where(done, 0.0, 2.0 / ops.where(done, ops.ones_like(square), square))
        scaled = mirror * factor
        x = x - _outer(scaled, _row(x, mirror))
        q = q - _outer(ops.squeeze(ops.matmul(q, ops.expand_dims(mirror, -1)), -1), scaled)
    r = ops.triu(x)
    return (q, r) if operation.mode == "complete" else (q[..., :count], r[..., :count, :])


@composes("Lstsq")
def _lstsq(operation: Any, a: Any, b: Any) -> Any:
    """By the pseudo-inverse, which is known where the matrix is."""
    if isinstance(a, keras.KerasTensor):
        raise ValueError("lstsq of a matrix that the model computes needs singular values")
    matrix = ops.convert_to_numpy(a).astype(np.float64)
    cutoff = operation.rcond
    if cutoff is None:
        cutoff = np.finfo(np.float32).eps * max(matrix.shape)
    inverse = np.linalg.pinv(matrix, rcond=cutoff)
    return ops.matmul(inverse.astype(str(b.dtype)), b)
