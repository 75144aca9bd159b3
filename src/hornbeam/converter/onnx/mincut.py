"""The cheapest way to tell a graph's vertices apart: a minimum cut between two terminals.

Dinic's algorithm (E. A. Dinic, 1970): send flow along shortest paths until none is left; what the
source still reaches is its side of a minimum cut, and of all minimum cuts the one with the fewest
vertices on that side. Written here because the common implementation wants 32-bit capacities and
takes longer to import than this takes to run.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Network"]


class Network:
    """A directed graph with capacities; vertices are numbered from 0 as they are added."""

    def __init__(self) -> None:
        # Edge ``i`` leads to ``_target[i]``; edge ``i ^ 1`` is its reverse.
        self._target: list[int] = []
        self._room: list[int] = []
        self._edges: list[list[int]] = []

    def vertex(self) -> int:
        """The number of a new vertex."""
        self._edges.append([])
        return len(self._edges) - 1

    def connect(self, tail: int, head: int, capacity: int, back: int = 0) -> None:
        """An edge from ``tail`` to ``head``, and one of capacity ``back`` the other way."""
        self._edges[tail].append(len(self._target))
        self._edges[head].append(len(self._target) + 1)
        self._target += (head, tail)
        self._room += (capacity, back)

    def source_side(self, source: int, sink: int) -> list[bool]:
        """Whether each vertex is on the source's side of the smallest minimum cut."""
        level = self._levels(source)
        while level[sink] >= 0:
            self._block(source, sink, level)
            level = self._levels(source)
        return [distance >= 0 for distance in level]

    def _levels(self, source: int) -> list[int]:
        """Each vertex's distance from the source along edges with room left; -1 if none."""
        level = [-1] * len(self._edges)
        level[source] = 0
        queue = deque([source])
        while queue:
            tail = queue.popleft()
            for edge in self._edges[tail]:
                head = self._target[edge]
                if level[head] < 0 and self._room[edge] > 0:
                    level[head] = level[tail] + 1
                    queue.append(head)
        return level

    def _block(self, source: int, sink: int, level: list[int]) -> None:
        """Send flow along paths of rising level until none is left."""
        tried = [0] * len(self._edges)
        path: list[int] = []
        here = source
        while True:
            if here == sink:
                self._push(path)
                path, here = [], source
            edge = self._next_edge(here, tried, level)
            if edge is not None:
                path.append(edge)
                here = self._target[edge]
            elif path:
                level[here] = -1  # a dead end: nobody needs to come here again
                here = self._target[path.pop() ^ 1]
            else:
                return

    def _next_edge(self, tail: int, tried: list[int], level: list[int]) -> int | None:
        """The first edge out of ``tail`` that may still carry flow one level on."""
        edges = self._edges[tail]
        while tried[tail] < len(edges):
            edge = edges[tried[tail]]
            if self._room[edge] > 0 and level[self._target[edge]] == level[tail] + 1:
                return edge
            tried[tail] += 1
        return None

    def _push(self, path: list[int]) -> None:
        amount = min(self._room[edge] for edge in path)
        for edge in path:
            self._room[edge] -= amount
            self._room[edge ^ 1] += amount
