"""The computational graph of a trace, folded where it is too large to look at.

Nodes are inputs, operations and outputs; an edge carries the local partial derivative. A graph of too many
operations is folded by source line: all that one line did is one node, lines that feed each other are a loop
and one node, and what a called function did belongs to the calling line if that is still too much. The
smallest of the folds are opened again as long as there is room, and of a loop the first and the last round.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from chainrule.view.expression import Expr, Number
from chainrule.view.naming import Place
from chainrule.view.notation import UNICODE, brief, render
from chainrule.view.record import Operation, Recorded

if TYPE_CHECKING:
    from chainrule.view.trace import Row, Trace

__all__ = ["Edge", "Graph", "Node", "graph_of"]


@dataclass(eq=False)
class Node:
    """An input, an operation, an output, or a fold of operations.

    Attributes
    ----------
    key : str
        Unique in the graph.
    kind : {"input", "operation", "output", "fold"}
    title, detail : str
        What is written in the node: a formula or the lines, and the value.
    rows : list of Row
        One, or those that are folded.
    """

    key: str
    kind: str
    title: str
    detail: str
    rows: list[Row]
    parents: list[Node] = field(default_factory=list, repr=False)
    children: list[Node] = field(default_factory=list, repr=False)

    @property
    def place(self) -> Place | None:
        """The line of the user's program (of a fold the first one)."""
        return self.rows[0].place

    @property
    def name(self) -> str:
        """What the program calls the value."""
        return self.rows[-1].name


@dataclass(eq=False)
class Edge:
    """From an operand to the operation, with the partial derivatives (several if the operand is used again)."""

    source: Node
    target: Node
    partials: list[tuple[Expr, Any]]

    @property
    def label(self) -> str:
        """The partials as text."""
        return ", ".join(dict.fromkeys(render(expr, UNICODE) for expr, _ in self.partials))

    @property
    def value(self) -> str:
        """The values of the partials as text; empty where the label says it."""
        shown = [brief(value) for _, value in self.partials if value is not None]
        numbers = all(isinstance(expr, Number) for expr, _ in self.partials)
        return "" if numbers else ", ".join(dict.fromkeys(shown))


@dataclass(eq=False)
class Graph:
    """Nodes in the order of evaluation, and edges."""

    nodes: list[Node]
    edges: list[Edge]
    title: str
    folded: int  # operations that are inside folds


def graph_of(trace: Trace, max_nodes: int) -> Graph:
    """The graph of `trace` with at most about `max_nodes` operations and folds."""
    rows = [row for row in trace.rows if row.kind == "operation"]
    groups = fold(trace, rows, max_nodes) if len(rows) > max_nodes else [[row] for row in rows]
    owner: dict[int, Node] = {}
    nodes = []
    for row in trace.rows:
        if row.kind == "input":
            node = Node(
                f"v{row.label.index}", "input", f"{UNICODE.name(row.label)} = {row.name}", brief(row.value), [row]
            )
            owner[trace.formulae.slot(row.label)] = node
            nodes.append(node)
    for group in groups:
        node = _operation(group[0]) if len(group) == 1 else _fold_node(group)
        owner.update((trace.formulae.slot(row.label), node) for row in group)
        nodes.append(node)
    nodes += _outputs(trace)
    edges = _edges(trace, nodes, owner)
    for edge in edges:
        edge.target.parents.append(edge.source)
        edge.source.children.append(edge.target)
    return Graph(nodes, edges, trace.function, sum(len(g) for g in groups if len(g) > 1))


def _operation(row: Row) -> Node:
    title = (
        f"{UNICODE.name(row.label)} = {row.formula if isinstance(row.formula, str) else render(row.formula, UNICODE)}"
    )
    return Node(f"v{row.label.index}", "operation", title, brief(row.value), [row])


def _outputs(trace: Trace) -> list[Node]:
    outputs = [row for row in trace.rows if row.kind == "output"]
    return [Node(f"y{k}", "output", str(row.label), brief(row.value), [row]) for k, row in enumerate(outputs)]


def _fold_node(rows: list[Row]) -> Node:
    """The node of several operations: what they give last, and where in the program they are."""
    places = [row.places[-1] for row in rows if row.places]
    lines = sorted({place.line for place in places})
    where = f"{places[0].function}, " if places else ""
    if lines:
        where += f"line {lines[0]}" if len(lines) == 1 else f"lines {lines[0]}–{lines[-1]}"
    last = rows[-1]
    title = f"{UNICODE.name(rows[0].label)} … {UNICODE.name(last.label)} = {brief(last.value)}"
    return Node(f"v{last.label.index}", "fold", title, f"{where}: {len(rows):,} operations", rows)


def _edges(trace: Trace, nodes: list[Node], owner: dict[int, Node]) -> list[Edge]:
    found: dict[tuple[Node, Node], Edge] = {}

    def connect(slot: int, target: Node, partial: tuple[Expr, Any] | None) -> None:
        source = owner[slot]
        if source is not target:
            edge = found.setdefault((source, target), Edge(source, target, []))
            if partial is not None:
                edge.partials.append(partial)

    leaves = iter(trace.record.leaves)
    for node in nodes:
        if node.kind == "operation":
            (row,) = node.rows
            partials = trace.partials(row)
            for name, expr, value in partials:
                connect(trace.formulae.slot(name), node, (expr, value))
            for slot in _operands(row):
                connect(slot, node, None)  # of a step function: no derivative, but a dependence
        elif node.kind == "fold":
            for row in node.rows:
                for slot in _operands(row):
                    connect(slot, node, None)
        elif node.kind == "output":
            leaf = next(leaves)
            if isinstance(leaf, Recorded):
                connect(leaf.slot, node, None)
    return list(found.values())


def _operands(row: Row) -> Iterable[int]:
    assert isinstance(row.step, Operation)
    return (slot for slot in row.step.operands if slot is not None)


# -- folding ------------------------------------------------------------------------------------------


def fold(trace: Trace, rows: list[Row], most: int) -> list[list[Row]]:
    """The operations in groups, in the order of evaluation; no two groups feed each other."""
    links = _links(trace, rows)
    depth = max(len(row.places) for row in rows)
    groups: list[list[int]] = []
    for level in range(depth, 0, -1):
        groups = _condensed(_grouped(range(len(rows)), lambda k: _lines(rows[k], level)), links)  # noqa: B023
        if len(groups) <= most:
            break
    if len(groups) > most or not groups:
        size = -(-len(rows) // most)  # straight code: stretches of equal length
        groups = _grouped(range(len(rows)), lambda k: k // size)
    groups = _opened(groups, most)
    for group in [g for g in groups if len(g) > 1]:
        unrolled = _unrolled([_likeness(rows[k]) for k in group], most - len(groups))
        groups.remove(group)
        groups += [group[start:stop] for start, stop in unrolled]
    groups = _sorted(groups, links)
    return [[rows[k] for k in group] for group in groups]


def _lines(row: Row, level: int) -> Hashable:
    """The lines under way, from the traced function inwards."""
    return tuple((p.file, p.line) for p in row.places[::-1][:level])


def _links(trace: Trace, rows: list[Row]) -> list[list[int]]:
    """For each operation the operations that it uses."""
    index = {trace.formulae.slot(row.label): k for k, row in enumerate(rows)}
    return [[index[slot] for slot in _operands(row) if slot in index] for row in rows]


def _grouped(items: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _condensed(groups: list[list[int]], links: list[list[int]]) -> list[list[int]]:
    """Groups that feed each other, directly or through others, joined: the strong components (Kosaraju)."""
    owner = {item: g for g, group in enumerate(groups) for item in group}
    ahead: list[set[int]] = [set() for _ in groups]
    behind: list[set[int]] = [set() for _ in groups]
    for item, sources in enumerate(links):
        for source in sources:
            ahead[owner[source]].add(owner[item])
            behind[owner[item]].add(owner[source])
    order = _finished(ahead)
    component: dict[int, int] = {}
    for start in reversed(order):
        waiting = [start] if start not in component else []
        while waiting:
            g = waiting.pop()
            if g not in component:
                component[g] = start
                waiting.extend(behind[g])
    joined = _grouped(range(len(groups)), component.__getitem__)
    return [sorted(item for g in part for item in groups[g]) for part in joined]


def _sorted(groups: list[list[int]], links: list[list[int]]) -> list[list[int]]:
    """Each group after those that feed it, otherwise in the order of evaluation."""
    owner = {item: g for g, group in enumerate(groups) for item in group}
    feeds: list[set[int]] = [set() for _ in groups]
    missing = [0] * len(groups)
    for item, sources in enumerate(links):
        for g in {owner[source] for source in sources} - {owner[item]}:
            if owner[item] not in feeds[g]:
                feeds[g].add(owner[item])
                missing[owner[item]] += 1
    ready = [(groups[g][0], g) for g, count in enumerate(missing) if not count]
    heapify(ready)
    result = []
    while ready:
        _, g = heappop(ready)
        result.append(groups[g])
        for after in feeds[g]:
            missing[after] -= 1
            if not missing[after]:
                heappush(ready, (groups[after][0], after))
    return result


def _finished(ahead: list[set[int]]) -> list[int]:
    """The vertices in the order in which a depth-first search leaves them."""
    order: list[int] = []
    seen: set[int] = set()
    for root in range(len(ahead)):
        path = [(root, iter(ahead[root]))] if root not in seen else []
        seen.add(root)
        while path:
            following = next((s for s in path[-1][1] if s not in seen), None)
            if following is None:
                order.append(path.pop()[0])
            else:
                seen.add(following)
                path.append((following, iter(ahead[following])))
    return order


def _opened(groups: list[list[int]], most: int) -> list[list[int]]:
    """Groups with the smallest ones taken apart as long as there is room."""
    room = most - len(groups)
    result = []
    for group in sorted(groups, key=len):
        if len(group) - 1 <= room:
            room -= len(group) - 1
            result += [[item] for item in group]
        else:
            result.append(group)
    return result


def _likeness(row: Row) -> Hashable:
    """What the operations of one line have in common from round to round."""
    assert isinstance(row.step, Operation)
    return row.step.primitive, _lines(row, len(row.places))


def _unrolled(items: list[Hashable], room: int) -> list[tuple[int, int]]:
    """A loop in stretches: each operation of its first and of its last round, and all others in one.

    The last three rounds must be alike; what is before the rounds that are alike counts as the first one.
    """
    count = len(items)
    for period in range(1, min(room, count // 4) + 1):
        if any(items[-k] != items[-k - period] for k in range(1, 2 * period + 1)):
            continue
        start = count - period
        while start and items[start - 1] == items[start - 1 + period]:
            start -= 1
        head = (count - start) % period + start or period
        if head + period <= room:
            singly = [*range(head), *range(count - period, count)]
            stretches = [(k, k + 1) for k in singly]
            return [*stretches[:head], (head, count - period), *stretches[head:]]
    return [(0, count)]
