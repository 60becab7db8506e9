"""Where the nodes of a graph are drawn: layers from top to bottom (Sugiyama, Tagawa and Toda, 1981).

Nodes get layers by the longest path, edges a place for their label between the layers, and a bend in every
layer they cross. Orders within layers come from barycentres, coordinates from least squares under the
condition that neighbours do not overlap (pooling of adjacent violators).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Layout", "layered"]

_GAP_X, _GAP_Y = 22.0, 20.0
_ROUNDS = 12
_STRAIGHT = 6.0  # how much more a bend counts than a node: long edges run straight


@dataclass(frozen=True, slots=True)
class Layout:
    """Centres of the nodes, for each edge its bends and the centre of its label, and the size of the picture."""

    centres: list[tuple[float, float]]
    routes: list[list[tuple[float, float]]]
    labels: list[tuple[float, float]]
    width: float
    height: float


class _Box:
    """A node, a label or a bend in its layer."""

    __slots__ = ("above", "below", "height", "rank", "weight", "width", "x")

    def __init__(self, rank: int, width: float, height: float, weight: float = 1.0) -> None:
        self.rank = rank
        self.weight = weight
        self.width = width
        self.height = height
        self.x = 0.0
        self.above: list[_Box] = []
        self.below: list[_Box] = []


def layered(
    sizes: list[tuple[float, float]], edges: list[tuple[int, int]], label_sizes: list[tuple[float, float]]
) -> Layout:
    """Lay out a directed acyclic graph.

    Parameters
    ----------
    sizes, label_sizes : list of (width, height)
        Of the nodes, which are numbered in topological order, and of the edges' labels.
    edges : list of (source, target)
    """
    layers = _layers(len(sizes), edges)
    nodes = [_Box(2 * layer, *size) for layer, size in zip(layers, sizes, strict=True)]
    chains = [_chain(nodes[s], nodes[t], size) for (s, t), size in zip(edges, label_sizes, strict=True)]
    ranks: list[list[_Box]] = [[] for _ in range(2 * max(layers, default=0) + 1)]
    for box in [*nodes, *(box for chain in chains for box in chain[1:-1])]:
        ranks[box.rank].append(box)
    _order(ranks)
    _place(ranks)
    heights = [max((box.height for box in rank), default=0.0) for rank in ranks]
    tops, y = [], _GAP_Y
    for height in heights:
        tops.append(y + height / 2)
        y += height + _GAP_Y
    left = min((box.x - box.width / 2 for rank in ranks for box in rank), default=0.0) - _GAP_X
    right = max((box.x + box.width / 2 for rank in ranks for box in rank), default=0.0) + _GAP_X

    def point(box: _Box) -> tuple[float, float]:
        return box.x - left, tops[box.rank]

    routes = [_route(chain, point(chain[0]), point(chain[-1]), [point(b) for b in chain[1:-1]]) for chain in chains]
    return Layout([point(b) for b in nodes], routes, [point(chain[-2]) for chain in chains], right - left, y)


def _layers(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """The longest path to each node; a source stands just above what first uses it."""
    layers = [0] * count
    below: list[list[int]] = [[] for _ in range(count)]
    sources = set(range(count))
    for s, t in sorted(edges, key=lambda edge: edge[1]):
        layers[t] = max(layers[t], layers[s] + 1)
        below[s].append(t)
        sources.discard(t)
    for s in sources:
        layers[s] = min((layers[t] - 1 for t in below[s]), default=0)
    return layers


def _chain(source: _Box, target: _Box, label: tuple[float, float]) -> list[_Box]:
    """The boxes an edge runs through: bends, and in the last layer before the target its label."""
    bends = [_Box(rank, 6.0, 0.0, _STRAIGHT) for rank in range(source.rank + 1, target.rank - 1)]
    chain = [source, *bends, _Box(target.rank - 1, *label, _STRAIGHT if bends else 1.0), target]
    for a, b in pairwise(chain):
        a.below.append(b)
        b.above.append(a)
    return chain


def _order(ranks: list[list[_Box]]) -> None:
    """Sort each layer by the mean position of the neighbours, downwards and upwards in turn."""
    for _ in range(_ROUNDS):
        for down in (True, False):
            for rank in ranks if down else reversed(ranks):
                position = {box: k for neighbour in _neighbours(ranks, rank, down) for k, box in enumerate(neighbour)}
                here = {box: float(k) for k, box in enumerate(rank)}
                for box in rank:
                    beside = [position[b] for b in (box.above if down else box.below)]
                    if beside:
                        here[box] = sum(beside) / len(beside)
                rank.sort(key=here.__getitem__)


def _neighbours(ranks: list[list[_Box]], rank: list[_Box], above: bool) -> list[list[_Box]]:
    k = rank[0].rank + (-1 if above else 1) if rank else -1
    return [ranks[k]] if 0 <= k < len(ranks) else []


def _place(ranks: list[list[_Box]]) -> None:
    for rank in ranks:
        _pool(rank, [0.0] * len(rank))
    for turn in range(2 * _ROUNDS):
        for rank in ranks if turn % 2 == 0 else reversed(ranks):
            wanted = []
            for box in rank:
                beside = (box.above if turn % 2 == 0 else box.below) or box.above or box.below
                if turn >= 2 * _ROUNDS - 4:  # in the end both sides count
                    beside = box.above + box.below
                wanted.append(_mean(box, beside))
            _pool(rank, wanted)
    for rank in ranks:
        _pool(rank, [box.above[0].x if _follows(box) else box.x for box in rank])


def _follows(box: _Box) -> bool:
    """Whether a box is all that comes of the one above, and what it leads to comes of nothing else."""
    return len(box.above) == 1 == len(box.above[0].below) and all(len(b.above) == 1 for b in box.below)


def _mean(box: _Box, beside: list[_Box]) -> float:
    """Where a box is drawn to by its neighbours; the bends of one edge hold together."""
    weights = [min(box.weight, b.weight) for b in beside]
    return sum(w * b.x for w, b in zip(weights, beside, strict=True)) / sum(weights) if beside else box.x


def _pool(rank: list[_Box], wanted: list[float]) -> None:
    """The positions nearest to the wanted ones at which no two boxes overlap."""
    offset, offsets = 0.0, []
    pools: list[list[float]] = []  # weighted sum, weight, count
    for k, box in enumerate(rank):
        if k:
            offset += (rank[k - 1].width + box.width) / 2 + _GAP_X
        offsets.append(offset)
        pools.append([box.weight * (wanted[k] - offset), box.weight, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            pools[-2:] = [[a + b for a, b in zip(*pools[-2:], strict=True)]]
    means = [total / weight for total, weight, count in pools for _ in range(int(count))]
    for box, mean, shift in zip(rank, means, offsets, strict=True):
        box.x = mean + shift


def _route(
    chain: list[_Box], start: tuple[float, float], end: tuple[float, float], bends: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """From the lower edge of the source through the bends to the upper edge of the target."""
    return [(start[0], start[1] + chain[0].height / 2), *bends, (end[0], end[1] - chain[-1].height / 2)]
