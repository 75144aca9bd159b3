"""Layers that go step by step along time: LSTM, GRU, SimpleRNN, RNN over cells, and around them.

Keras's own cells with plain activations become an operation each, also one above the other; every
other cell is traced once, as the body of a loop. Step outputs are made in the order of time;
Keras gives those of a layer that goes backwards in the order in which they were made.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import tree

from hornbeam.converter.loops import Over, scan
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.recurrent_cells import (
    KnownCell,
    conv_lstm_projection,
    conv_lstm_step,
    is_cell,
    known_cell,
)
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []

#: Where a step is masked, these backends repeat the first state; others, the output before.
_REPEAT_THE_STATE = ("jax", "numpy")


@lowers(
    "layers.ConvLSTM1D", "layers.ConvLSTM2D", "layers.ConvLSTM3D",
    "layers.GRU", "layers.LSTM", "layers.RNN", "layers.SimpleRNN",
)  # fmt: skip
def recurrent(
    b: Builder, layer: Any, sequences: Value, initial_state: Any = None, mask: Any = None
) -> Any:
    """The cell of ``layer`` at every step of ``sequences`` ``[n, t, ...]``."""
    cells = list(layer.cell.cells) if is_cell(layer.cell, "StackedRNNCells") else [layer.cell]
    masks = [m for m in tree.flatten(mask) if m is not None]
    mask = b.cast(masks[0], "bool") if masks else None
    if layer.stateful and initial_state is None:
        initial_state = tree.map_structure(lambda v: _state(b, layer, v), layer.states)
    if initial_state is not None:
        nested = isinstance(initial_state, (list, tuple))
        listed = list(initial_state) if nested else [initial_state]
        dtype = layer.cell.compute_dtype if hasattr(layer.cell, "compute_dtype") else b.dtype
        initial_state = tree.map_structure(lambda x: b.value(x, dtype), listed)
    known = [known_cell(b, cell) for cell in cells]
    walk = _Walk(layer, mask, initial_state)
    if all(cell is not None for cell in known):
        output, states = walk.operations(b, sequences, [c for c in known if c is not None])
    elif is_cell(layer.cell, "ConvLSTMCell"):
        output, states = walk.convolutions(b, sequences)
    else:
        output, states = walk.loop(b, sequences)
    if layer.stateful:
        for variable, state in zip(tree.flatten(layer.states), tree.flatten(states), strict=True):
            b.write_state(variable, state)
    if layer.go_backwards and layer.return_sequences:
        output = b.emit(op.Reverse((1,)), output)
    if not layer.return_state:
        return output
    return (output, *states)


def _state(b: Builder, layer: Any, variable: Any) -> Value:
    index = next(i for i, v in enumerate(tree.flatten(layer.states)) if v is variable)
    return b.read_state(variable, f"{b.path}_state_{index}")


class _Walk:
    """One call of a recurrent layer."""

    def __init__(self, layer: Any, mask: Value | None, initial: Any) -> None:
        self.layer, self.mask, self.initial = layer, mask, initial

    def steps(self, initial: bool, plain: bool) -> op.Steps:
        """How the layer walks; ``plain``: the output of its cell is also its first state."""
        layer = self.layer
        at_masked: Any = "state"
        if layer.zero_output_for_mask and not layer.unroll:
            at_masked = "zero"
        elif initial or not plain:
            repeats = keras.backend.backend() in _REPEAT_THE_STATE and not layer.unroll
            at_masked = "state" if repeats else "output"
        masked = self.mask is not None
        if layer.return_sequences:
            result: Any = "sequence"
        else:
            result = "none" if plain and not (masked and at_masked != "state") else "last"
        return op.Steps(
            bool(layer.go_backwards), result, initial, masked, at_masked if masked else "state"
        )

    def operations(self, b: Builder, x: Value, cells: list[KnownCell]) -> tuple[Value, list[Any]]:
        """Known cells, each walking over the output of the one below."""
        states: list[Any] = []
        last = len(cells) - 1
        initial = self.initial
        if initial is not None and last and not isinstance(initial[0], (list, tuple)):
            initial = [[state] for state in initial]
        elif initial is not None and not last:
            initial = [initial]
        for index, known in enumerate(cells):
            begin = [] if initial is None else tree.flatten(initial[index])
            steps = self.steps(bool(begin), plain=True)
            if index < last:
                steps = op.Steps(steps.reverse, "sequence", steps.initial, steps.masked)
            masks = [] if self.mask is None else [self.mask]
            made = b.emit_all(known.operation(steps), x, *known.weights, *begin, *masks)
            final = made[-known.states :]
            x = made[0]
            nested = isinstance(known.cell.state_size, (list, tuple))
            states.append(final if nested or not last else final[0])
        return x, states if last else states[0]

    def convolutions(self, b: Builder, x: Value) -> tuple[Value, list[Any]]:
        """ConvLSTM: the convolutions of the inputs first, all steps as one larger batch."""
        cell = self.layer.cell
        first = cell.data_format == "channels_first"
        if first:
            x = b.transpose(x, (0, 1, *range(3, x.rank), 2))
        batch, time = x.shape[:2]
        z = conv_lstm_projection(b, cell, b.reshape(x, (batch * time, *x.shape[2:])))
        z = b.reshape(z, (batch, time, *z.shape[1:]))
        if self.initial is None:
            shape = (batch, *z.shape[2:-1], int(cell.filters))
            zero = b.broadcast(b.constant([[0.0]], z.dtype), shape)
            states = [zero, zero]
        else:
            states = [_channels_last(b, state, first) for state in self.initial]
        steps = self.steps(self.initial is not None, plain=True)

        def step(slices: list[Value], before: list[Value]) -> tuple[Value, list[Value]]:
            return conv_lstm_step(b, cell, slices[0], before)

        made = scan(b, Over([z], states, self.mask), steps, step)
        output, *final = made if steps.result != "none" else [made[0], *made]
        if first:
            axes = range(1, output.rank)
            *spatial, channels = axes if steps.result != "sequence" else range(2, output.rank)
            lead = range(output.rank - len(spatial) - 1)
            output = b.transpose(output, (*lead, channels, *spatial))
            final = [b.transpose(s, (0, s.rank - 1, *range(1, s.rank - 1))) for s in final]
        return output, final

    def loop(self, b: Builder, x: Value) -> tuple[Value, list[Any]]:
        """Any other cell: traced once."""
        layer = self.layer
        initial = self.initial
        if initial is None:
            initial = b.keras.function(_initial_state_of(layer), [x])
        like = list(initial) if isinstance(initial, (list, tuple)) else [initial]

        def step(slices: list[Value], before: list[Value]) -> tuple[Value, list[Value]]:
            states = tree.pack_sequence_as(like, before)
            output, new = _call(b, layer.cell, slices[0], states)
            return output, [b.value(s, old.dtype) for s, old in zip(
                tree.flatten(new), before, strict=True
            )]  # fmt: skip

        steps = self.steps(True, plain=False)
        # Keras repeats the first state, or the first of the last cell.
        stacked = isinstance(like[0], (list, tuple))
        repeated = len(tree.flatten(like[:-1])) if stacked else 0
        over = Over([x], tree.flatten(like), self.mask, repeated)
        output, *final = scan(b, over, steps, step)
        return output, tree.pack_sequence_as(like, final)


def _channels_last(b: Builder, x: Value, first: bool) -> Value:
    return b.transpose(x, (0, *range(2, x.rank), 1)) if first else x


def _initial_state_of(layer: Any) -> Any:
    def initial_state(x: Any) -> Any:
        return layer.get_initial_state(x.shape[0])

    return initial_state


def _call(b: Builder, cell: Any, x: Value, states: Any) -> Any:
    if isinstance(cell, keras.Operation):
        return b.call(cell, x, states)
    return b.keras.function(cell if callable(cell) else cell.call, [x, states])


@lowers("layers.Bidirectional")
def bidirectional(
    b: Builder, layer: Any, sequences: Value, initial_state: Any = None, mask: Any = None
) -> Any:
    """Two layers over one sequence, the second from its end, merged."""
    options: dict[str, Any] = {} if mask is None else {"mask": mask}
    halves: list[dict[str, Any]] = [{}, {}]
    if initial_state is not None:
        half = len(initial_state) // 2
        halves = [
            {"initial_state": list(initial_state[:half])},
            {"initial_state": list(initial_state[half:])},
        ]
    y, back = (
        b.call(inner, sequences, **options, **given)
        for inner, given in zip((layer.forward_layer, layer.backward_layer), halves, strict=True)
    )
    states: tuple[Any, ...] = ()
    if layer.return_state:
        states = (*y[1:], *back[1:])
        y, back = y[0], back[0]
    if layer.return_sequences:
        back = b.emit(op.Reverse((1,)), back)
    output: Any = _merged(b, layer.merge_mode, y, back)
    if not layer.return_state:
        return output
    return (*output, *states) if layer.merge_mode is None else (output, *states)


def _merged(b: Builder, mode: str | None, y: Value, back: Value) -> Any:
    match mode:
        case "concat":
            return b.concat([y, back], -1)
        case "sum":
            return b.binary("add", y, back)
        case "mul":
            return b.binary("multiply", y, back)
        case "ave":
            return b.binary("multiply", b.binary("add", y, back), 0.5)
    return (y, back)


@lowers("layers.TimeDistributed")
def time_distributed(b: Builder, layer: Any, x: Value, mask: Value | None = None) -> Value:
    """The wrapped layer on every time step, as one larger batch."""
    batch, steps = x.shape[:2]
    options: dict[str, Any] = {}
    if mask is not None and layer.layer._call_has_mask_arg:
        options["mask"] = b.reshape(mask, (batch * steps, *mask.shape[2:]))
    y = b.call(layer.layer, b.reshape(x, (batch * steps, *x.shape[2:])), **options)
    return b.reshape(y, (batch, steps, *y.shape[1:]))
