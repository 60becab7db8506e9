"""The layout: nothing overlaps, edges run downwards, and it is the same every time."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from chainrule.view.layout import layered


def random_graph(seed: int) -> tuple[list[tuple[float, float]], list[tuple[int, int]], list[tuple[float, float]]]:
    rng = random.Random(seed)
    count = rng.randint(1, 40)
    edges = sorted({(rng.randrange(k), k) for k in range(1, count) for _ in range(rng.randint(0, 3))})
    sizes = [(rng.uniform(30, 200), 48.0) for _ in range(count)]
    return sizes, edges, [(rng.uniform(8, 120), 17.0) for _ in edges]


@pytest.mark.parametrize("seed", range(40))
def test_nothing_overlaps(seed: int) -> None:
    sizes, edges, labels = random_graph(seed)
    found = layered(sizes, edges, labels)
    boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(found.centres, sizes, strict=True)]
    boxes += [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(found.labels, labels, strict=True)]
    for k, a in enumerate(boxes):
        for b in boxes[:k]:
            assert a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
    for box in boxes:
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= found.width + 1e-6
        assert box[3] <= found.height + 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_edges_run_down_from_node_to_node(seed: int) -> None:
    sizes, edges, labels = random_graph(seed)
    found = layered(sizes, edges, labels)
    assert found == layered(sizes, edges, labels)
    for (s, t), route in zip(edges, found.routes, strict=True):
        assert route[0] == (found.centres[s][0], found.centres[s][1] + sizes[s][1] / 2)
        assert route[-1] == (found.centres[t][0], found.centres[t][1] - sizes[t][1] / 2)
        assert all(a[1] < b[1] for a, b in pairwise(route))


def test_empty() -> None:
    assert layered([], [], []).centres == []
