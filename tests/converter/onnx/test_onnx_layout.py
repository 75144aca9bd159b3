"""Transposes are as few as the design promises, and never more than any other choice needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_harness import session

from hornbeam.converter.onnx import to_model
from hornbeam.converter.onnx.freedom import Layout, Surroundings, Tie, freedom, value_cost
from hornbeam.converter.onnx.layout import choose_layouts
from hornbeam.converter.onnx.mincut import Network
from hornbeam.graph import Graph, Node, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import symbol

BATCH = symbol("batch")


class Net:
    """A network in a few words."""

    def __init__(self, *shape: int) -> None:
        self.graph = Graph("net")
        self.x = self.graph.add_input("image", (BATCH, *shape), "float32")
        self.graph.symbols["batch"] = (self.x, 0)
        self._random = np.random.default_rng(3)
        self._count = 0

    def weight(self, *shape: int) -> Value:
        data = self._random.normal(0, 0.2, shape).astype("float32")
        return self.graph.constant("weight", data)

    def add(self, operation: op.Operation, *inputs: Value) -> Value:
        self._count += 1
        return self.graph.emit(operation, inputs, f"layer_{self._count}")[0]

    def conv(self, x: Value, filters: int, window: int = 3, stride: int = 1) -> Value:
        operation = op.Conv((stride, stride), "same", (1, 1))
        return self.add(operation, x, self.weight(window, window, channels(x), filters))

    def depthwise(self, x: Value, stride: int = 1) -> Value:
        operation = op.DepthwiseConv((stride, stride), "same", (1, 1))
        return self.add(operation, x, self.weight(3, 3, channels(x), 1))

    def dense(self, x: Value, units: int) -> Value:
        return self.add(op.Dense(), x, self.weight(channels(x), units), self.weight(units))

    def relu(self, x: Value) -> Value:
        return self.add(op.Unary("relu6"), x)

    def join(self, a: Value, b: Value) -> Value:
        return self.add(op.Binary("add"), a, b)

    def head(self, x: Value) -> Value:
        pooled = self.add(op.Reduce("mean", (1, 2), keepdims=False), x)
        return self.add(op.Softmax(1), self.dense(pooled, 10))

    def returns(self, **outputs: Value) -> Graph:
        self.graph.outputs = outputs
        self.graph.check()
        return self.graph


def channels(x: Value) -> int:
    last = x.shape[-1]
    assert isinstance(last, int)
    return last


def count(graph: Graph) -> Counter[str]:
    """The ONNX operators of the written graph, which runs and says what the plain one says."""
    model = to_model(graph)
    onnx.checker.check_model(model, full_check=True)
    generator = np.random.default_rng(5)
    feeds = {
        value.name: generator.normal(
            size=[dim if isinstance(dim, int) else 2 for dim in value.shape]
        ).astype("float32")
        for value in graph.inputs
    }
    found = session(model).run(None, feeds)
    for array, wanted in zip(found, plainly(graph, feeds), strict=True):
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-5)
    return Counter(node.op_type for node in model.graph.node)


def plainly(graph: Graph, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The graph node by node, each a model of its own, so that everything stays channels-last."""
    known = {value: feeds[value.name] for value in graph.inputs}
    for node in graph.nodes:
        single = Graph("single")
        single.symbols = graph.symbols
        single.inputs = [value for value in dict.fromkeys(node.inputs) if not value.is_constant]
        single.outputs = {value.name: value for value in node.outputs}
        single.nodes = [node]
        given = {value.name: known[value] for value in single.inputs}
        answers = session(to_model(single)).run(None, given)
        known.update(zip(node.outputs, answers, strict=True))
    return [known[value] for value in graph.outputs.values()]


def mobilenet_v2() -> Graph:
    net = Net(32, 32, 3)
    x = net.relu(net.conv(net.x, 8, stride=2))
    for stride in (1, 2, 1):
        wide = net.relu(net.depthwise(net.relu(net.conv(x, 24, 1)), stride))
        narrow = net.conv(wide, 8, 1)
        x = net.join(x, narrow) if stride == 1 else narrow
    return net.returns(scores=net.head(x))


def squeeze_excite(net: Net, x: Value, by_dense: bool) -> Value:
    wide = channels(x)
    if by_dense:
        pooled = net.add(op.Reduce("mean", (1, 2), keepdims=False), x)
        gate = net.dense(net.relu(net.dense(pooled, 4)), wide)
        gate = net.add(op.Reshape((BATCH, 1, 1, wide)), gate)
    else:
        pooled = net.add(op.Reduce("mean", (1, 2), keepdims=True), x)
        gate = net.conv(net.add(op.Unary("silu"), net.conv(pooled, 4, 1)), wide, 1)
    return net.add(op.Binary("multiply"), x, net.add(op.Unary("sigmoid"), gate))


def efficientnet(by_dense: bool) -> Graph:
    net = Net(32, 32, 3)
    x = net.conv(net.x, 8, stride=2)
    for _ in range(3):
        wide = net.depthwise(net.add(op.Unary("silu"), net.conv(x, 16, 1)))
        x = net.join(x, net.conv(squeeze_excite(net, wide, by_dense), 8, 1))
    return net.returns(scores=net.head(x))


def resnet() -> Graph:
    net = Net(32, 32, 3)
    padded = net.add(op.Pad(((0, 0), (3, 3), (3, 3), (0, 0))), net.x)
    x = net.add(op.Pool("max", (3, 3), (2, 2), ((1, 1), (1, 1))), net.conv(padded, 8, 7, 2))
    for stride in (1, 2):
        shortcut = net.conv(x, 16, 1, stride)
        scale, offset = net.weight(16), net.weight(16)
        x = net.add(op.Affine(), net.conv(net.relu(net.conv(x, 8, 1, stride)), 16), scale, offset)
        x = net.relu(net.join(shortcut, x))
    return net.returns(scores=net.head(x))


def densenet() -> Graph:
    net = Net(32, 32, 3)
    x = net.conv(net.x, 8)
    for _ in range(3):
        x = net.add(op.Concat(3), x, net.relu(net.conv(x, 4)))
    left, right = net.graph.emit(op.Split(3, (10, 10)), [x], "split")
    cut = net.add(op.Slice((0, 1, 1, 0), (BATCH, 16, 16, 10), (1, 2, 2, 1)), left)
    return net.returns(scores=net.head(net.join(net.conv(cut, 10), net.conv(right, 10, 1, 2))))


def vgg() -> Graph:
    net = Net(16, 16, 3)
    x = net.add(op.Pool("max", (2, 2), (2, 2), "valid"), net.relu(net.conv(net.x, 6)))
    return net.returns(scores=net.dense(net.add(op.Reshape((BATCH, 8 * 8 * 6)), x), 10))


def grey() -> Graph:
    net = Net(16, 16, 1)
    return net.returns(scores=net.head(net.relu(net.conv(net.x, 6))))


def padded_pool(function: str) -> Graph:
    """Zeros that count, before a pool whose own padding does not: onnxruntime confuses the two."""
    net = Net(9, 9, 3)
    negative = net.add(op.Clip(None, -1.0), net.conv(net.x, 4))
    padded = net.add(op.Pad(((0, 0), (1, 1), (1, 1), (0, 0))), negative)
    pool = op.Pool("max" if function == "max" else "average", (3, 3), (2, 2), "valid")
    return net.returns(scores=net.head(net.add(pool, padded)))


def unet() -> Graph:
    net = Net(16, 16, 3)
    skip = net.relu(net.conv(net.x, 6))
    low = net.relu(net.conv(skip, 8, stride=2))
    x = net.add(op.Concat(3), skip, net.add(op.Resize((16, 16), "bilinear"), low))
    return net.returns(mask=net.add(op.Unary("sigmoid"), net.conv(x, 1, 1)))


def segmentation() -> Graph:
    net = Net(16, 16, 3)
    return net.returns(mask=net.add(op.Softmax(3), net.conv(net.relu(net.conv(net.x, 6)), 5)))


def vision_transformer() -> Graph:
    net = Net(16, 16, 3)
    patches = net.add(op.Reshape((BATCH, 16, 8)), net.conv(net.x, 8, 4, 4))
    x = net.join(patches, net.weight(16, 8))
    for _ in range(2):
        normal = net.add(op.LayerNorm(1e-6), x, net.weight(8), net.weight(8))
        x = net.join(x, net.dense(net.add(op.Unary("gelu"), net.dense(normal, 16)), 8))
    return net.returns(tokens=x)


def channel_shuffle() -> Graph:
    net = Net(8, 8, 3)
    x = net.conv(net.x, 12)
    for groups in (3, 2):
        x = net.add(op.Reshape((BATCH, 8, 8, groups, 12 // groups)), x)
        x = net.add(op.Transpose((0, 1, 2, 4, 3)), x)
        x = net.conv(net.add(op.Reshape((BATCH, 8, 8, 12)), x), 12)
    return net.returns(scores=net.head(x))


def pixel_shuffle() -> Graph:
    net = Net(8, 8, 3)
    x = net.add(op.Reshape((BATCH, 8, 8, 2, 2, 5)), net.conv(net.x, 20))
    x = net.add(op.Transpose((0, 1, 3, 2, 4, 5)), x)
    x = net.conv(net.add(op.Reshape((BATCH, 16, 16, 5)), x), 3)
    x = net.add(op.Reshape((BATCH, 8, 2, 8, 2, 3)), x)
    x = net.add(op.Transpose((0, 1, 3, 2, 4, 5)), x)
    return net.returns(scores=net.head(net.add(op.Reshape((BATCH, 8, 8, 12)), x)))


def shared() -> Graph:
    """A value that several want in the other layout is transposed for them once."""
    net = Net(16, 16, 3)
    a, b, c = net.conv(net.x, 6), net.conv(net.x, 6, 1), net.conv(net.x, 6, 5)
    return net.returns(a=net.head(a), b=net.head(b), c=net.head(c))


def channels_first_model() -> Graph:
    """Keras's own data_format="channels_first": the user's transposes take in ours."""
    net = Net(3, 16, 16)
    x = net.x
    for filters in (4, 8):
        x = net.add(op.Transpose((0, 2, 3, 1)), x)
        x = net.relu(net.add(op.Transpose((0, 3, 1, 2)), net.conv(x, filters)))
    return net.returns(maps=x)


_COUNTS: list[tuple[Callable[[], Graph], int, int]] = [
    (mobilenet_v2, 1, 0),
    (lambda: efficientnet(False), 1, 0),
    (lambda: efficientnet(True), 1, 3),
    (resnet, 1, 0),
    (densenet, 1, 0),
    (vgg, 1, 1),
    (grey, 0, 1),
    (lambda: padded_pool("max"), 1, 0),
    (lambda: padded_pool("average"), 1, 0),
    (unet, 1, 1),
    (segmentation, 2, 0),
    (vision_transformer, 2, 1),
    (channel_shuffle, 3, 4),
    (pixel_shuffle, 3, 4),
    (shared, 1, 0),
    (channels_first_model, 0, 0),
]


@pytest.mark.parametrize(
    ("make", "transposes", "reshapes"),
    _COUNTS,
    ids=[
        "mobilenet", "squeeze-excite", "squeeze-excite-by-dense", "resnet", "densenet", "vgg",
        "grey", "padded-max", "padded-average", "unet", "segmentation", "transformer",
        "channel-shuffle", "pixel-shuffle", "shared", "channels-first",
    ],
)  # fmt: skip
def test_transposes(make: Callable[[], Graph], transposes: int, reshapes: int) -> None:
    found = count(make())
    assert found["Transpose"] == transposes, found
    assert found["Reshape"] == reshapes, found


@pytest.mark.parametrize("blocks", [1, 3])
def test_convnext_needs_two_transposes_a_block(blocks: int) -> None:
    net = Net(32, 32, 3)
    x = net.conv(net.x, 8, 4, 4)
    for _ in range(blocks):
        normal = net.add(op.LayerNorm(1e-6), net.depthwise(x), net.weight(8), net.weight(8))
        deep = net.dense(net.add(op.Unary("gelu"), net.dense(normal, 32)), 8)
        x = net.join(x, net.add(op.Binary("multiply"), deep, net.weight(8)))
    found = count(net.returns(scores=net.head(x)))
    assert found["Transpose"] <= 1 + 2 * blocks, found
    assert found["LayerNormalization"] == blocks


def test_transposed_twins_are_named() -> None:
    net = Net(16, 16, 3)
    graph = net.returns(maps=net.relu(net.conv(net.x, 6)))
    model = to_model(graph)
    names = [name for node in model.graph.node for name in node.output]
    assert "image/channels_first" in names
    assert names[-1] == "maps"
    assert [node.name for node in model.graph.node] == [
        "layer_1/Transpose", "layer_1/Conv", "layer_2/Clip", "Transpose",
    ]  # fmt: skip


# The choice is exact: no other costs less.


def cost(graph: Graph, sides: dict[Node, Layout]) -> int:
    """What a choice of layouts costs, counted from the definition."""
    near = Surroundings(graph)
    terms = {node: freedom(node, near) for node in graph.nodes}
    total = 0
    made: dict[Value, Layout] = dict.fromkeys(graph.inputs, Layout.LAST)
    for node in graph.nodes:
        first = sides[node] is Layout.FIRST
        total += terms[node].first_cost if first else terms[node].last_cost
        for index, value in enumerate(node.outputs):
            is_own = terms[node].output_tie(index) is Tie.OWN
            made[value] = sides[node] if is_own else Layout.LAST
    for value, layout in made.items():
        wanted = {Layout.LAST} if graph.is_output(value) else set()
        for node in graph.nodes:
            for index, read in enumerate(node.inputs):
                tie = terms[node].input_tie(index)
                if read is value and tie is not Tie.ANY:
                    wanted.add(sides[node] if tie is Tie.OWN else Layout.LAST)
        if near.has_layouts(value) and wanted - {layout}:
            total += value_cost(value, near)
    return total


def choices(graph: Graph) -> Iterator[dict[Node, Layout]]:
    options: list[Sequence[Layout]] = []
    near = Surroundings(graph)
    for node in graph.nodes:
        bound = freedom(node, near).bound
        options.append([bound] if bound else list(Layout))
    for picked in product(*options):
        yield dict(zip(graph.nodes, picked, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_choice_is_cheaper(data: st.DataObject) -> None:
    net = Net(8, 8, 4)
    values = [net.x]
    for _ in range(data.draw(st.integers(1, 9))):
        x, y = (data.draw(st.sampled_from(values)) for _ in range(2))
        kind = data.draw(st.sampled_from(["conv", "norm", "relu", "add", "gate", "softmax"]))
        if kind == "conv":
            made = net.conv(x, 4)
        elif kind == "norm":
            made = net.add(op.LayerNorm(1e-3), x, net.weight(4), net.weight(4))
        elif kind == "relu":
            made = net.relu(x)
        elif kind == "add":
            made = net.join(x, y)
        elif kind == "gate":
            made = net.join(x, net.add(op.Reduce("mean", (1, 2), keepdims=True), y))
        else:
            made = net.add(op.Softmax(3), x)
        values.append(made)
    graph = net.returns(out=values[-1], other=data.draw(st.sampled_from(values[1:])))
    graph.prune()
    chosen = choose_layouts(graph).layouts
    least = min(cost(graph, sides) for sides in choices(graph))
    assert cost(graph, chosen) == least


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 9)), max_size=14))
def test_minimum_cut(edges: list[tuple[int, int, int]]) -> None:
    network = Network()
    for _ in range(6):
        network.vertex()
    for tail, head, capacity in edges:
        network.connect(tail, head, capacity)
    side = network.source_side(0, 5)

    def weight(inside: Sequence[bool]) -> int:
        return sum(room for tail, head, room in edges if inside[tail] and not inside[head])

    every = [(True, *middle, False) for middle in product((False, True), repeat=4)]
    assert side[0]
    assert not side[5]
    assert weight(side) == min(map(weight, every))
