"""Containers: every kind goes apart and comes back, dataclasses without being registered by anybody."""

import dataclasses
import subprocess
import sys
import threading
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from chainrule import trees
from chainrule.errors import ArgumentError

Point = namedtuple("Point", ["x", "y"])


@dataclass
class Layer:
    weights: Any
    bias: Any = 0.0


@dataclass(frozen=True)
class Frozen:
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class Slotted:
    a: Any
    name: str = field(default="s", metadata={"static": True})


@dataclass
class Derived:
    w: Any
    squared: Any = field(init=False)

    def __post_init__(self):
        self.squared = self.w**2


@dataclass
class Unset:
    w: Any
    later: Any = field(init=False, repr=False)


@dataclass
class Configured:
    w: Any
    activation: Any = field(metadata={"static": True})


@dataclass
class Empty:
    pass


CONTAINERS = [
    1.5,
    None,
    (),
    (1.0, (2.0, 3.0)),
    [1.0, [None, 2]],
    {"b": 1.0, "a": {"d": 2.0, "c": 3.0}},
    {2: 1.0, "a": 2.0, None: 3.0},
    OrderedDict(b=1.0, a=2.0),
    defaultdict(list, b=1.0, a=[2.0]),
    deque([1.0, 2.0], maxlen=3),
    Point(1.0, Point(2.0, "label")),
    Layer(1.0, [2.0, True]),
    Frozen(1.0, Frozen(2.0, None)),
    Slotted(1.0, "other"),
    Unset(1.0),
    Configured(1.0, np.tanh),
    Empty(),
    {"layers": [Layer(1.0, 2.0), Point(Frozen(3.0, 4.0), 5j)], "step": 3},
]


@pytest.mark.parametrize("tree", CONTAINERS, ids=repr)
def test_round_trip(tree):
    leaves, treedef = trees.flatten(tree)
    again = trees.unflatten(treedef, leaves)
    assert type(again) is type(tree)
    assert repr(again) == repr(tree)
    assert trees.flatten(again)[1] == treedef


def test_order_of_leaves():
    tree = {"b": Layer(1.0, 2.0), "a": (3.0, None), "c": "text"}
    assert trees.flatten(tree)[0] == [3.0, None, 1.0, 2.0, "text"]


def test_results_keep_the_insertion_order_of_the_first_tree():
    first, second = {"z": 1.0, "a": {"y": 2.0, "b": 3.0}}, {"a": {"b": 30.0, "y": 20.0}, "z": 10.0}
    result = trees.map(lambda x, y: x + y, first, second)
    assert result == {"z": 11.0, "a": {"y": 22.0, "b": 33.0}}
    assert list(result) == ["z", "a"]
    assert list(result["a"]) == ["y", "b"]
    assert list(trees.map(abs, OrderedDict(z=-1, a=-2))) == ["z", "a"]


def test_arrays_are_handed_through_untouched():
    array = np.arange(3.0)
    leaves, treedef = trees.flatten(Layer(array))
    assert leaves[0] is array
    assert trees.unflatten(treedef, leaves).weights is array


def test_none_and_unknown_classes_are_leaves():
    class Unknown:
        pass

    leaves = [None, "s", Unknown(), {1.0}, range(3), np.float32(1)]
    assert trees.flatten(leaves)[0] == leaves


@pytest.mark.parametrize("leaf", [1, 1.0, 1j, True, "s", None, np.ones(2), np.float64(1), np.int8(1), object(), {1}])
def test_leaf_types(leaf):
    assert trees.is_leaf_type(leaf)


@pytest.mark.parametrize("tree", CONTAINERS[2:], ids=repr)
def test_container_types(tree):
    assert not trees.is_leaf_type(tree)


def test_post_init_is_not_run_again_and_its_fields_are_children():
    leaves, treedef = trees.flatten(Derived(3.0))
    assert leaves == [3.0, 9.0]
    again = trees.unflatten(treedef, [1.0, -1.0])
    assert (again.w, again.squared) == (1.0, -1.0)


def test_static_fields_stay_in_the_treedef():
    leaves, treedef = trees.flatten(Configured(1.0, "relu"))
    assert leaves == [1.0]
    assert trees.unflatten(treedef, [2.0]) == Configured(2.0, "relu")
    assert treedef != trees.flatten(Configured(1.0, "tanh"))[1]


def test_inherited_fields_are_children():
    @dataclass
    class Base:
        a: Any

    @dataclass
    class Child(Base):
        b: Any

    assert trees.flatten(Child(1.0, 2.0))[0] == [1.0, 2.0]
    assert trees.map(lambda x: -x, Child(1.0, 2.0)) == Child(-1.0, -2.0)


def define(names):
    return dataclasses.make_dataclass("Cell", names, frozen=True)


def test_a_class_defined_again_is_another_class():
    old, new = define(["a", "b"]), define(["b", "c", "a"])
    assert trees.map(lambda x: x + 1, old(1, 2)) == old(2, 3)
    assert trees.map(lambda x: x + 1, new(1, 2, 3)) == new(2, 3, 4)
    assert trees.map(lambda x: x + 1, [old(1, 2), new(1, 2, 3)]) == [old(2, 3), new(2, 3, 4)]
    with pytest.raises(ArgumentError, match="structure"):
        trees.map(lambda x, y: x, old(1, 2), define(["a", "b"])(1, 2))


def test_a_dataclass_the_user_registered_keeps_his_registration():
    import optree

    own = dataclasses.make_dataclass("Own", ["a", "b"])
    optree.register_pytree_node(
        own, lambda x: ((x.a,), x.b), lambda b, children: own(*children, b), namespace="chainrule"
    )
    assert trees.flatten(own(1.0, 2.0))[0] == [1.0]


def test_a_dataclass_that_acts_as_an_array_or_a_dict_is_a_leaf():
    @dataclass
    class Quantity:
        value: Any
        __array_ufunc__ = None

    @dataclass
    class Keyed(dict):
        value: Any

    for tree in (Quantity(1.0), Keyed(1.0)):
        assert trees.is_leaf_type(tree)
        assert trees.flatten([tree])[0][0] is tree


DIFFERENT = [
    ((1.0, 2.0), [1.0, 2.0]),
    ((1.0, 2.0), (1.0,)),
    ((1.0, 2.0), (1.0, (2.0,))),
    ({"a": 1.0}, {"b": 1.0}),
    (Layer(1.0), Frozen(1.0, 0.0)),
    (Configured(1.0, np.ones(2)), Configured(1.0, np.zeros(2))),
]


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_different_structures_are_refused(first, second):
    with pytest.raises(ArgumentError, match="differ in structure"):
        trees.map(lambda x, y: x, first, second)


def test_errors_of_the_mapped_function_are_its_own():
    with pytest.raises(ValueError, match="mine"):
        trees.map(lambda x: (_ for _ in ()).throw(ValueError("mine")), [1.0])


def test_eight_threads_register_at_once():
    for _ in range(20):
        cls = define(["a", "b"])
        barrier, results = threading.Barrier(8), []

        def work(cls=cls, barrier=barrier, results=results):
            barrier.wait()
            results.append(trees.flatten({"k": [cls(1, cls(2, 3))]})[0])

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [[1, 2, 3]] * 8


def test_optree_is_imported_on_first_need_only():
    code = (
        "import sys, numpy as np; from chainrule import trees;"
        "assert trees.is_leaf_type(np.ones(2)) and not trees.is_leaf_type([1.0]);"
        "assert 'optree' not in sys.modules; trees.flatten([1.0]); assert 'optree' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
