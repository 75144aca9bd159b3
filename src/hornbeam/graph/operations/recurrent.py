"""Operations that go step by step along an axis: recurrent layers, and the loop under them all.

The three layers that engines have kernels for are operations of their own, with weights in Keras's
own layouts; every other cell is a `Scan` with a body. All of them give step outputs in the order of
time, whichever way they went.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from hornbeam.graph.dims import Dim, broadcast
from hornbeam.graph.operations.base import Operation
from hornbeam.graph.types import TensorType

if TYPE_CHECKING:
    from hornbeam.graph.graph import Graph

__all__ = ["Gru", "Lstm", "Recurrence", "Scan", "SimpleRnn", "Steps"]


@dataclass(frozen=True)
class Steps:
    """How a recurrent operation walks along time, and what it gives back.

    ``reverse`` starts at the last step. ``result`` is the first output: the outputs of all steps
    ``[n, t, units]``, that of the last step taken ``[n, units]``, or none of these: only states.
    With ``initial``, initial states are among the inputs, else they are zeros. With ``masked``, a
    mask is: where it is false a step leaves the states alone, and its output is zero, the first
    state, or the output of the step before (zeros at the first), as ``at_masked`` says.
    """

    reverse: bool = False
    result: Literal["sequence", "last", "none"] = "sequence"
    initial: bool = False
    masked: bool = False
    at_masked: Literal["zero", "state", "output"] = "state"


@dataclass(frozen=True)
class Recurrence(Operation):
    """What LSTM, GRU and SimpleRNN have in common.

    Inputs: ``x`` ``[n, t, f]``, ``kernel`` ``[f, gates * units]``, ``recurrent_kernel``
    ``[units, gates * units]``, ``bias``; then initial states ``[n, units]`` each, and the mask
    ``[n, t]`` (bool), where ``steps`` says so. Outputs: the result, and each final state
    ``[n, units]``. An activation is the operation on one value that it is; None is linear.
    """

    activation: Operation | None
    steps: Steps

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        x, kernel, recurrent = inputs[:3]
        units = recurrent.shape[0]
        if x.shape[-1] != kernel.shape[0] or kernel.shape[1] != units * self.gates:
            raise ValueError(f"{self.label} of {x} by {kernel} and {recurrent}")
        expected = 4 + self.states * self.steps.initial + self.steps.masked
        if len(inputs) != expected:
            raise ValueError(f"{self.label} with {len(inputs)} inputs instead of {expected}")
        batch, time = x.shape[:2]
        if self.steps.masked:
            broadcast((time,), (inputs[-1].shape[1],))
        state = x.with_shape((batch, units))
        results = {
            "sequence": (x.with_shape((batch, time, units)),),
            "last": (state,),
            "none": (),
        }
        return (*results[self.steps.result], *(state,) * self.states)


@dataclass(frozen=True)
class Lstm(Recurrence):
    """Long short-term memory; gates in Keras's order: input, forget, cell, output.

    States: ``h`` and ``c``. Hochreiter, Schmidhuber: Long Short-Term Memory, 1997.
    """

    recurrent_activation: Operation | None

    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2


@dataclass(frozen=True)
class Gru(Recurrence):
    """Gated recurrent unit; gates in Keras's order: update, reset, candidate.

    With ``reset_after`` the reset gate is applied behind the product with the recurrent kernel, and
    ``bias`` is ``[2, 3 * units]``: of the input, and of the state. Cho et al., 2014.
    """

    recurrent_activation: Operation | None
    reset_after: bool

    gates: ClassVar[int] = 3


@dataclass(frozen=True)
class SimpleRnn(Recurrence):
    """``h = activation(x @ kernel + h @ recurrent_kernel + bias)``."""


@dataclass(frozen=True, eq=False)
class Scan(Operation):
    """``body`` once for each of ``length`` steps along ``axis``.

    Inputs: ``states`` initial states, ``slices`` sequences that have ``axis``, and then what is the
    same in every step. Inputs of the body: the states, the sequences at one step (without
    ``axis``), the rest. Its outputs: the new states, of the same types as the old, and then what
    each step gives. Outputs: the final states, and what the steps gave, stacked along ``axis``
    in the order of time. ``reverse`` starts at the last step. The body sees nothing but its
    inputs and its own constants.
    """

    body: Graph = field(repr=False)
    states: int
    slices: int
    length: Dim
    axis: int = 1
    reverse: bool = False

    @property
    def bodies(self) -> tuple[Graph, ...]:
        return (self.body,)

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        lengths = [x.shape[self.axis] for x in inputs[self.states : self.states + self.slices]]
        broadcast((self.length,), *((length,) for length in lengths))
        results = [value.type for value in self.body.outputs.values()]
        for before, after in zip(inputs[: self.states], results, strict=False):
            if (before.rank, before.dtype) != (after.rank, after.dtype):
                raise ValueError(f"a state that begins as {before} becomes {after}")
        steps = tuple(
            x.with_shape((*x.shape[: self.axis], self.length, *x.shape[self.axis :]))
            for x in results[self.states :]
        )
        return (*inputs[: self.states], *steps)
