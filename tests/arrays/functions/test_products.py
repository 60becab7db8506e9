"""Products of arrays: every function against NumPy and differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError
from tests.helpers import check

RNG = np.random.default_rng(3)


def _x(*shape: int) -> Any:
    return RNG.normal(size=shape)


def _z(*shape: int) -> Any:
    return _x(*shape) + 1j * _x(*shape)


PAIRS: list[tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = [
    (np.dot, (), (3,)),
    (np.dot, (3,), (3,)),
    (np.dot, (2, 3), (3,)),
    (np.dot, (3,), (3, 2)),
    (np.dot, (2, 3), (3, 4)),
    (np.dot, (2, 2, 3), (3, 4)),
    (np.dot, (2, 2, 3), (3,)),
    (np.dot, (2, 3), (2, 3, 4)),
    (np.dot, (3,), (2, 3, 4)),
    (np.matmul, (3,), (3,)),
    (np.matmul, (2, 3), (3,)),
    (np.matmul, (3,), (3, 2)),
    (np.matmul, (2, 3), (3, 4)),
    (np.matmul, (5, 2, 3), (3,)),
    (np.matmul, (3,), (5, 3, 2)),
    (np.matmul, (5, 2, 3), (3, 4)),
    (np.matmul, (2, 3), (5, 3, 4)),
    (np.matmul, (4, 1, 2, 3), (5, 3, 2)),
    (np.matmul, (2, 0), (0, 3)),
    (np.linalg.matmul, (2, 3), (3, 4)),
    (np.vecdot, (3,), (3,)),
    (np.vecdot, (2, 3), (3,)),
    (np.vecdot, (2, 1, 3), (4, 3)),
    (np.linalg.vecdot, (2, 3), (2, 3)),
    (np.matvec, (2, 3), (3,)),
    (np.matvec, (2, 3), (5, 3)),
    (np.matvec, (4, 1, 2, 3), (5, 3)),
    (np.vecmat, (3,), (3, 2)),
    (np.vecmat, (5, 3), (3, 2)),
    (np.vecmat, (5, 3), (4, 1, 3, 2)),
    (np.vecmat, (3,), (4, 3, 2)),
    (np.inner, (), (2,)),
    (np.inner, (3,), (3,)),
    (np.inner, (2, 3), (4, 3)),
    (np.inner, (2, 3), (3,)),
    (np.inner, (2, 2, 3), (4, 2, 3)),
    (np.outer, (2,), (3,)),
    (np.outer, (2, 2), ()),
    (np.linalg.outer, (2,), (3,)),
    (np.vdot, (2, 3), (3, 2)),
    (np.vdot, (), ()),
    (np.kron, (2,), (3,)),
    (np.kron, (2, 3), (2, 2)),
    (np.kron, (2,), (2, 3)),
    (np.kron, (2, 1, 2), (3, 2)),
    (np.kron, (), (2,)),
    (np.cross, (3,), (3,)),
    (np.cross, (2, 3), (3,)),
    (np.cross, (2, 1, 3), (4, 3)),
    (np.linalg.cross, (2, 3), (2, 3)),
]


@pytest.mark.parametrize(("function", "a", "b"), PAIRS)
def test_products_of_two(function: Any, a: Any, b: Any) -> None:
    check(lambda x, y: function(x, y), _x(*a), _x(*b), exact=False)


@pytest.mark.parametrize(("function", "a", "b"), PAIRS)
def test_complex_products(function: Any, a: Any, b: Any) -> None:
    check(lambda x, y: function(x, y), _z(*a), _z(*b), exact=False)
    check(lambda x, y: function(x, y), _x(*a), _z(*b), exact=False)


@pytest.mark.parametrize(("function", "a", "b"), PAIRS)
def test_one_operand_plain(function: Any, a: Any, b: Any) -> None:
    x, y = _x(*a), _x(*b)
    check(lambda t: function(t, y.tolist()), x, exact=False)
    check(lambda t: function(x.tolist(), t), y, exact=False)


@pytest.mark.parametrize(("function", "a", "b"), PAIRS)
def test_both_operands_the_same(function: Any, a: Any, b: Any) -> None:
    if a == b:
        check(lambda t: function(t, 2 * t), _x(*a), exact=False)


TENSORDOT = [
    ((2, 3), (3, 4), 1),
    ((2, 3), (2, 3), 2),
    ((2, 3), (4,), 0),
    ((2, 3, 4), (4, 3, 5), ([1, 2], [1, 0])),
    ((2, 3, 4), (4, 5), (-1, 0)),
    ((2, 3, 4), (5, 3), (1, -1)),
    ((0, 3), (3, 2), 1),
]


@pytest.mark.parametrize(("a", "b", "axes"), TENSORDOT)
def test_tensordot(a: Any, b: Any, axes: Any) -> None:
    check(lambda x, y: np.tensordot(x, y, axes), _x(*a), _x(*b), exact=False)
    check(lambda x, y: np.linalg.tensordot(x, y, axes=axes), _z(*a), _x(*b), exact=False)


EINSUM: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("i->", ((3,),)),
    ("ij->ji", ((2, 3),)),
    ("ij", ((2, 3),)),
    ("ji", ((2, 3),)),
    ("ii", ((3, 3),)),
    ("ii->i", ((3, 3),)),
    ("iij->j", ((3, 3, 2),)),
    ("iji->ij", ((3, 2, 3),)),
    ("iii", ((2, 2, 2),)),
    ("iijj->ij", ((2, 2, 3, 3),)),
    ("...ii->...", ((2, 3, 3),)),
    ("...ij->...ji", ((4, 2, 3),)),
    ("i...->...", ((2, 3),)),
    ("ij,jk", ((2, 3), (3, 4))),
    ("ij,jk->ki", ((2, 3), (3, 4))),
    ("ij,ij->", ((2, 3), (2, 3))),
    ("ij,ij->i", ((2, 3), (2, 3))),
    ("ij,kl->", ((2, 3), (3, 2))),
    ("ij,kl->ljki", ((2, 3), (3, 2))),
    ("i,j->ij", ((2,), (3,))),
    ("i,->i", ((2,), ())),
    (",->", ((), ())),
    ("ii,ij->j", ((3, 3), (3, 2))),
    ("ij,jk->k", ((1, 3), (3, 4))),
    ("ij,jk->ik", ((2, 1), (3, 4))),
    ("...ij,...jk->...ik", ((5, 2, 3), (3, 4))),
    ("...ij,...jk->...ik", ((5, 1, 2, 3), (4, 3, 2))),
    ("...i,...i", ((5, 3), (3,))),
    ("i...,i...->...", ((3, 2), (3, 1))),
    ("b i j , b j -> b i", ((2, 3, 4), (2, 4))),
    ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 2))),
    ("ij,ij,ij->j", ((2, 3), (2, 3), (2, 3))),
    ("i,i,ij,j->", ((3,), (3,), (3, 2), (2,))),
    ("ab,cd,ab,ef->c", ((2, 2), (3, 2), (2, 2), (1, 2))),
    ("bij,bjk,k->bi", ((2, 3, 4), (2, 4, 2), (2,))),
    ("ij,jk->ik", ((0, 3), (3, 2))),
    ("ij,jk->ik", ((2, 0), (0, 2))),
    ("aB,Bc->Ac".replace("A", "a"), ((2, 3), (3, 2))),
    ("Ba,aC", ((2, 3), (3, 2))),
]


@pytest.mark.parametrize(("subscripts", "shapes"), EINSUM)
@pytest.mark.parametrize("optimize", [False, True])
def test_einsum(subscripts: str, shapes: Any, optimize: bool) -> None:
    check(
        lambda *xs: np.einsum(subscripts, *xs, optimize=optimize),
        *[_x(*s) for s in shapes],
        exact=False,
        jacobians=not optimize,
    )


@pytest.mark.parametrize(("subscripts", "shapes"), EINSUM)
def test_complex_einsum(subscripts: str, shapes: Any) -> None:
    check(lambda *xs: np.einsum(subscripts, *xs), *[_z(*s) for s in shapes], exact=False)


@pytest.mark.parametrize(
    "optimize",
    ["optimal", "greedy", ("greedy", 1000), ["einsum_path", (1, 2), (0, 1)], ["einsum_path", (0, 1, 2)]],
)
def test_einsum_orders(optimize: Any) -> None:
    check(
        lambda *xs: np.einsum("ij,jk,kl->il", *xs, optimize=optimize),
        _x(2, 3),
        _x(3, 4),
        _x(4, 2),
        exact=False,
    )


def test_large_einsum_takes_the_road_over_matmul() -> None:
    a, b = _x(12, 7, 11), _x(7, 12, 13)
    for subscripts in ("iaj,aik->kj", "iaj,aik->ijk", "iaj,aik->jka", "iaj,aik->aij"):
        have, _ = cr.vjp(lambda x, s=subscripts: np.einsum(s, x, b), a)
        np.testing.assert_allclose(have, np.einsum(subscripts, a, b), rtol=1e-12, atol=1e-12)


def test_einsum_of_axis_lists() -> None:
    check(lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]), _x(2, 3), _x(3, 4), exact=False)
    check(lambda a, b: np.einsum(a, [0, 1], b, [1, 2]), _x(2, 3), _x(3, 4), exact=False)
    check(lambda a: np.einsum(a, [1, 0]), _x(2, 3), exact=False)
    check(lambda a: np.einsum(a, [..., 0], [0, ...]), _x(2, 3), exact=False)
    check(lambda a, b: np.einsum(a, [..., 0, 1], b, [..., 1]), _x(4, 2, 3), _x(3), exact=False)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", ((2, 3), (4, 5))),
        ("ii->i", ((2, 3),)),
        ("ij->iji", ((2, 3),)),
        ("ij->k", ((2, 3),)),
        ("ijk", ((2, 3),)),
        ("i", ((2, 3),)),
        ("i,j", ((2,),)),
        ("...i->i", ((2, 3),)),
        ("i1->i", ((2, 3),)),
    ],
)
def test_einsum_refuses_what_numpy_refuses(subscripts: str, shapes: Any) -> None:
    xs = [_x(*s) for s in shapes]
    with pytest.raises(ValueError, match=r"."):
        np.einsum(subscripts, *xs)
    with pytest.raises(ValueError, match="einsum"):
        cr.jvp(lambda x: np.einsum(subscripts, x, *xs[1:]), (xs[0],), (xs[0],))


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (np.matmul, ((2, 3), (2, 3))),
        (np.matmul, ((), (3,))),
        (np.dot, ((2, 3), (2, 3))),
        (np.inner, ((2, 3), (2, 2))),
        (np.vecdot, ((3,), (1,))),
        (np.matvec, ((2, 3), (2,))),
        (np.vecmat, ((2,), (3, 2))),
        (np.tensordot, ((2, 3), (3, 2))),
        (np.linalg.outer, ((2, 3), (2,))),
        (np.linalg.cross, ((2, 2), (2, 2))),
        (np.cross, ((4,), (4,))),
    ],
)
def test_shapes_that_do_not_match(function: Any, shapes: Any) -> None:
    a, b = (_x(*s) for s in shapes)
    with pytest.raises(ValueError, match=r"."):
        function(a, b)
    with pytest.raises(ValueError, match=r"."):
        cr.jvp(lambda x: function(x, b), (a,), (a,))


def test_einsum_options() -> None:
    x = _x(2, 3)
    y, _ = cr.jvp(lambda a: np.einsum("ij->j", a, dtype=np.complex128), (x,), (x,))
    assert y.dtype == np.complex128
    with pytest.raises(TypeError, match="cast"):
        cr.grad(lambda a: np.einsum("ij->", a, dtype=np.float32))(x)
    with pytest.raises(UnsupportedError, match="order"):
        cr.grad(lambda a: np.einsum("ij->", a, order="F"))(x)

    def filled(a: Any) -> Any:
        out = np.zeros_like(a) + a
        np.einsum("ij,ij->ij", a, a, out=out)
        return out

    check(filled, x)


def test_einsum_diagonal_is_a_view_or_read_only() -> None:
    def f(a: Any) -> Any:
        b = a * 1.0
        np.einsum("ii->i", b)[:] = 0.0
        return b

    x = _x(3, 3)
    try:
        y, _ = cr.vjp(f, x)
    except ValueError:
        return
    np.testing.assert_array_equal(y, f(x))


def test_options_of_products() -> None:
    a, b = _x(2, 3), _x(2, 3)
    check(lambda x, y: np.vecdot(x, y, axis=0), a, b, exact=False)
    check(lambda x, y: np.vecdot(x, y, keepdims=True), a, b, exact=False)
    check(lambda x, y: np.vecdot(x, y, axis=0, keepdims=True), a, b, exact=False)
    check(lambda x, y: np.linalg.vecdot(x, y, axis=0), a, b, exact=False)
    check(lambda x, y: np.matmul(x, y, dtype=np.float64), a, b.T)
    check(lambda x, y: np.cross(x, y, axisa=0, axisb=1, axisc=0), _x(3, 2), b)
    check(lambda x, y: np.cross(x, y, axis=0), _x(3, 2), _x(3, 2))
    check(lambda x, y: np.linalg.cross(x, y, axis=0), _x(3, 2), _x(3, 2))
    with pytest.raises(UnsupportedError, match="axes"):
        cr.grad(lambda x: np.sum(np.matmul(x, x, axes=[(0, 1), (0, 1), (0, 1)])))(_x(2, 2))
    with pytest.raises(UnsupportedError, match="casting"):
        cr.grad(lambda x: np.sum(np.matmul(x, x, casting="no")))(_x(2, 2))


def test_out_of_products() -> None:
    def into(function: Any, shape: tuple[int, ...]) -> Any:
        def f(x: Any, y: Any) -> Any:
            out = np.zeros(shape) + 0 * np.sum(x)
            assert function(x, y, out=out) is out
            return out

        return f

    check(into(np.dot, (2, 2)), _x(2, 3), _x(3, 2))
    check(into(np.matmul, (2, 2)), _x(2, 3), _x(3, 2))
    check(into(np.outer, (2, 3)), _x(2), _x(3))
    check(into(np.vecdot, (2,)), _x(2, 3), _x(2, 3), exact=False)
    check(into(np.matvec, (2,)), _x(2, 3), _x(3))
    check(into(np.vecmat, (3,)), _x(2), _x(2, 3))


@pytest.mark.parametrize(("a", "b"), [((2,), (3,)), ((3,), (2,)), ((2,), (2,)), ((4, 2), (4, 3))])
def test_cross_of_vectors_of_the_plane(a: Any, b: Any) -> None:
    x, y = _x(*a), _x(*b)
    with pytest.warns(DeprecationWarning, match="2-dimensional"):
        check(lambda x, y: np.cross(x, y), x, y)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (3, 4)),
        ((2, 3), (3, 4), (4, 2)),
        ((2, 30), (30, 4), (4, 2), (2, 5)),
        ((3,), (3, 4), (4, 2)),
        ((2, 3), (3, 4), (4,)),
        ((3,), (3, 4), (4,)),
        ((3,), (3,)),
    ],
)
def test_multi_dot(shapes: Any) -> None:
    check(lambda *xs: np.linalg.multi_dot(xs), *[_x(*s) for s in shapes], exact=False)


def test_operators() -> None:
    a, b = _x(2, 3), _x(3, 2)
    check(lambda x, y: x @ y, a, b)
    check(lambda x: x @ b, a)
    check(lambda y: a @ y, b)
    check(lambda x: x.dot(b), a)


def test_float32() -> None:
    a, b = _x(2, 3).astype(np.float32), _x(3, 2).astype(np.float32)
    for f in (np.matmul, np.dot, lambda x, y: np.einsum("ij,jk->k", x, y), np.kron, np.outer):
        y, pullback = cr.vjp(lambda x, y, f=f: f(x, y), a, b)
        assert y.dtype == np.float32
        assert [ct.dtype for ct in pullback(np.ones_like(y))] == [np.float32, np.float32]


def test_products_of_zero_size() -> None:
    assert cr.grad(lambda x: np.dot(x, x))(np.zeros(0)).shape == (0,)
    assert cr.grad(lambda x: np.sum(x @ x.T))(np.zeros((2, 0))).shape == (2, 0)
    assert cr.grad(lambda x: np.einsum("ij,ij->", x, x))(np.zeros((0, 3))).shape == (0, 3)
