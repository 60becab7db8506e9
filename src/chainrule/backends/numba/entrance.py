"""What Python calls when it calls a compiled program: the tests of a call, in machine code.

`entrance` makes a built-in function of a `Plan`. A call of it reads what the program takes from outside, compares the
classes of numbers, and of arrays the dtype, the rank and which extents are 1, copies an array whose memory is not as
compiled code wants it, asks whether all that the program was built on is as it was, and runs the program. Where an
array must be alone in its memory, none is copied, and none may overlap with it. Any other call goes to `otherwise`.
There is one code for all programs, and a table for each.
"""

from __future__ import annotations

import ctypes
import functools
import re
import struct
import sys
from collections.abc import Callable, Sequence
from types import CellType, FunctionType
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from chainrule.backends import cache
from chainrule.backends.numba.machine import engine, target

__all__ = ["Kind", "Plan", "Same", "entrance"]


class Kind(NamedTuple):
    """The class of a value, and of an array its dtype, which extents are 1, and whether it must be `alone`."""

    cls: type
    dtype: np.dtype[Any] | None = None
    ones: tuple[bool, ...] = ()
    alone: bool = False


class Same(NamedTuple):
    """What must be as it was: the object that `get` gives, or (`equal`) one of its class that equals it."""

    get: Callable[[], Any]
    expected: Any
    equal: bool = False


class Plan(NamedTuple):
    """What a call does."""

    kinds: Sequence[Kind]  # of the arguments, then of what is read from outside
    outside: Sequence[Callable[[], Any]]
    same: Sequence[Same]
    run: Callable[..., Any]
    finish: Callable[[Any], Any] | None  # makes the user's result of the program's
    failed: Callable[[Exception, tuple[Any, ...]], Any]  # what to do then, with the arguments
    otherwise: Callable[..., Any]


def entrance(plan: Plan) -> Callable[..., Any] | None:
    """The function of a plan; None where objects do not lie in memory as they are known to.

    Examples
    --------
    >>> plan = Plan([Kind(float)], [], [], lambda x: x * x, None, print, lambda *args: "something else")
    >>> square = entrance(plan)
    >>> square(3.0), square(3)
    (9.0, 'something else')
    """
    made = _method() if _layout_is_known() else None
    if made is None:
        return None
    rows = [*map(_kind_row, plan.kinds), *map(_getter_row, plan.outside), *map(_same_row, plan.same)]
    head = [plan.run, plan.finish, plan.failed, plan.otherwise, np.ndarray.copy, Exception]
    counts = [
        len(plan.kinds) - len(plan.outside),
        len(plan.kinds),
        len(plan.same),
        int(any(k.alone for k in plan.kinds)),
    ]
    numbers = [*counts, *map(_address, head), *(field for row in rows for field in row.numbers)]
    kept = (struct.pack(f"{len(numbers)}q", *numbers), plan, *(row.kept for row in rows))
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    function: Callable[..., Any] = new(ctypes.addressof(made), kept, None)
    return function


# -- the table: numbers of 8 bytes -----------------------------------------------------------------------

_HEAD, _ROW = 10, 6
_CALL, _GLOBAL, _CELL, _CODE = range(4)


class _Row(NamedTuple):
    numbers: tuple[int, ...]  # addresses among them
    kept: Any  # what they are the addresses of


def _address(value: Any) -> int:
    return 0 if value is None else id(value)


def _kind_row(kind: Kind) -> _Row:
    ones = sum(1 << k for k, one in enumerate(kind.ones) if one)
    signed = ones - (1 << 64) if ones >> 63 else ones
    size = 0 if kind.dtype is None else kind.dtype.itemsize
    return _Row((id(kind.cls), _address(kind.dtype), len(kind.ones), signed, size, int(kind.alone)), kind)


def _getter_row(get: Any) -> _Row:
    return _same_row(Same(get, None))


def _same_row(same: Same) -> _Row:
    get, expected = same.get, same.expected
    how, owner, name = _reading(get)
    missing = how == _GLOBAL and expected is getattr(get, "absent", None)
    return _Row((how, id(owner), _address(name), 0 if missing else id(expected), int(same.equal), 0), same)


def _reading(get: Any) -> tuple[int, Any, Any]:
    """How machine code reads what `get` does."""
    match getattr(get, "owner", None):
        case dict() as space if type(space) is dict:
            return _GLOBAL, space, get.name
        case CellType() as cell:
            return _CELL, cell, None
        case FunctionType() as function:
            return _CODE, function, None
    return _CALL, get, None


# -- the code --------------------------------------------------------------------------------------------

_OBJECT = object.__basicsize__
_OFFSETS = {"class": _OBJECT - 8, "data": _OBJECT, "rank": _OBJECT + 8, "extents": _OBJECT + 16, "dtype": _OBJECT + 40}
_OFFSETS["flags"] = _OBJECT + 48
_WANTED = 0x501  # contiguous by rows, aligned, writable
_TEXT = """
target triple = "{triple}"
%head = type {{i64, i64, i64, i64, ptr, ptr, ptr, ptr, ptr, ptr}}
%outside = type {{i64, ptr, ptr, ptr, i64, i64}}
%kind = type {{ptr, ptr, i64, i64, i64, i64}}
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare i64 @PyTuple_Size(ptr)
declare ptr @PyTuple_New(i64)
declare ptr @PyTuple_GetItem(ptr, i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare ptr @PyBytes_AsString(ptr)
declare ptr @PyDict_GetItemWithError(ptr, ptr)
declare ptr @PyCell_Get(ptr)
declare ptr @PyFunction_GetCode(ptr)
declare ptr @PyObject_CallNoArgs(ptr)
declare ptr @PyObject_CallOneArg(ptr, ptr)
declare ptr @PyObject_Call(ptr, ptr, ptr)
declare i32 @PyObject_RichCompareBool(ptr, ptr, i32)
declare ptr @PyErr_Occurred()
declare i32 @PyErr_ExceptionMatches(ptr)
declare void @PyErr_Clear()
declare void @PyErr_Fetch(ptr, ptr, ptr)
declare void @PyErr_NormalizeException(ptr, ptr, ptr)

; A value from outside, for the caller to give back; null if there is none.
define internal ptr @fetched(%outside %row) {{
  %how = extractvalue %outside %row, 0
  %owner = extractvalue %outside %row, 1
  %name = extractvalue %outside %row, 2
  switch i64 %how, label %call [ i64 {global}, label %global i64 {cell}, label %cell i64 {code}, label %code ]
call:
  %called = call ptr @PyObject_CallNoArgs(ptr %owner)
  ret ptr %called
global:
  %entry = call ptr @PyDict_GetItemWithError(ptr %owner, ptr %name)
  call void @Py_IncRef(ptr %entry)
  ret ptr %entry
cell:
  %content = call ptr @PyCell_Get(ptr %owner)
  ret ptr %content
code:
  %found = call ptr @PyFunction_GetCode(ptr %owner)
  call void @Py_IncRef(ptr %found)
  ret ptr %found
}}

; Whether a value from outside is what it was.
define internal i1 @same(ptr %place) {{
  %row = load %outside, ptr %place
  %expected = extractvalue %outside %row, 3
  %equal = extractvalue %outside %row, 4
  %value = call ptr @fetched(%outside %row)
  %missing = icmp eq ptr %value, null
  br i1 %missing, label %nothing, label %something
nothing:
  %error = call ptr @PyErr_Occurred()
  %fine = icmp eq ptr %error, null
  %none = icmp eq ptr %expected, null
  %both = and i1 %fine, %none
  ret i1 %both
something:
  %is = icmp eq ptr %value, %expected
  br i1 %is, label %end, label %other
other:
  %may = icmp ne i64 %equal, 0
  br i1 %may, label %classes, label %end
classes:
  %first = getelementptr i8, ptr %value, i64 {class}
  %second = getelementptr i8, ptr %expected, i64 {class}
  %a = load ptr, ptr %first
  %b = load ptr, ptr %second
  %alike = icmp eq ptr %a, %b
  br i1 %alike, label %values, label %end
values:
  %compared = call i32 @PyObject_RichCompareBool(ptr %value, ptr %expected, i32 2)
  %equals = icmp eq i32 %compared, 1
  br label %end
end:
  %result = phi i1 [ true, %something ], [ false, %other ], [ false, %classes ], [ %equals, %values ]
  call void @Py_DecRef(ptr %value)
  ret i1 %result
}}

; 0: a value is of another kind; 1: it is of this kind; 2: it is, but its memory is not as it is wanted.
define internal i32 @fits(ptr %place, ptr %value) {{
  %row = load %kind, ptr %place
  %class = extractvalue %kind %row, 0
  %dtype = extractvalue %kind %row, 1
  %rank = extractvalue %kind %row, 2
  %ones = extractvalue %kind %row, 3
  %at.class = getelementptr i8, ptr %value, i64 {class}
  %its.class = load ptr, ptr %at.class
  %is.class = icmp eq ptr %its.class, %class
  br i1 %is.class, label %kind, label %no
kind:
  %is.number = icmp eq ptr %dtype, null
  br i1 %is.number, label %yes, label %array
array:
  %at.dtype = getelementptr i8, ptr %value, i64 {dtype}
  %its.dtype = load ptr, ptr %at.dtype
  %is.dtype = icmp eq ptr %its.dtype, %dtype
  %at.rank = getelementptr i8, ptr %value, i64 {rank}
  %short.rank = load i32, ptr %at.rank
  %its.rank = sext i32 %short.rank to i64
  %is.rank = icmp eq i64 %its.rank, %rank
  %is.both = and i1 %is.dtype, %is.rank
  br i1 %is.both, label %shape, label %no
shape:
  %at.extents = getelementptr i8, ptr %value, i64 {extents}
  %extents = load ptr, ptr %at.extents
  br label %axis
axis:
  %k = phi i64 [ 0, %shape ], [ %next, %extent ]
  %left = phi i64 [ %ones, %shape ], [ %rest, %extent ]
  %more = icmp slt i64 %k, %rank
  br i1 %more, label %extent, label %memory
extent:
  %at.extent = getelementptr i64, ptr %extents, i64 %k
  %its.extent = load i64, ptr %at.extent
  %one = icmp eq i64 %its.extent, 1
  %asked = trunc i64 %left to i1
  %rest = lshr i64 %left, 1
  %next = add i64 %k, 1
  %agree = icmp eq i1 %one, %asked
  br i1 %agree, label %axis, label %no
memory:
  %at.flags = getelementptr i8, ptr %value, i64 {flags}
  %flags = load i32, ptr %at.flags
  %these = and i32 %flags, {wanted}
  %good = icmp eq i32 %these, {wanted}
  %result = select i1 %good, i32 1, i32 2
  ret i32 %result
yes:
  ret i32 1
no:
  ret i32 0
}}

; Where the memory of an array begins and ends, which is contiguous.
define internal {{ptr, ptr}} @memory(%kind %row, ptr %value) {{
  %rank = extractvalue %kind %row, 2
  %size = extractvalue %kind %row, 4
  %at.start = getelementptr i8, ptr %value, i64 {data}
  %start = load ptr, ptr %at.start
  %at.extents = getelementptr i8, ptr %value, i64 {extents}
  %extents = load ptr, ptr %at.extents
  br label %axis
axis:
  %k = phi i64 [ 0, %0 ], [ %next, %extent ]
  %length = phi i64 [ %size, %0 ], [ %longer, %extent ]
  %more = icmp slt i64 %k, %rank
  br i1 %more, label %extent, label %done
extent:
  %at.extent = getelementptr i64, ptr %extents, i64 %k
  %its.extent = load i64, ptr %at.extent
  %longer = mul i64 %length, %its.extent
  %next = add i64 %k, 1
  br label %axis
done:
  %end = getelementptr i8, ptr %start, i64 %length
  %first = insertvalue {{ptr, ptr}} undef, ptr %start, 0
  %both = insertvalue {{ptr, ptr}} %first, ptr %end, 1
  ret {{ptr, ptr}} %both
}}

; Whether no other array overlaps with one that is to be alone.
define internal i1 @apart(ptr %rows, ptr %values, i64 %all) {{
  br label %one
one:
  %k = phi i64 [ 0, %0 ], [ %k.next, %skip ], [ %k.next, %other ]
  %k.next = add i64 %k, 1
  %a = icmp slt i64 %k, %all
  br i1 %a, label %asked, label %yes
asked:
  %k.place = getelementptr [{row} x i64], ptr %rows, i64 %k
  %k.row = load %kind, ptr %k.place
  %alone = extractvalue %kind %k.row, 5
  %is.alone = icmp ne i64 %alone, 0
  br i1 %is.alone, label %range, label %skip
skip:
  br label %one
range:
  %k.value = call ptr @PyTuple_GetItem(ptr %values, i64 %k)
  %mine = call {{ptr, ptr}} @memory(%kind %k.row, ptr %k.value)
  %start = extractvalue {{ptr, ptr}} %mine, 0
  %end = extractvalue {{ptr, ptr}} %mine, 1
  br label %other
other:
  %j = phi i64 [ 0, %range ], [ %j.next, %again ]
  %j.next = add i64 %j, 1
  %b = icmp slt i64 %j, %all
  br i1 %b, label %different, label %one
different:
  %j.place = getelementptr [{row} x i64], ptr %rows, i64 %j
  %j.row = load %kind, ptr %j.place
  %size = extractvalue %kind %j.row, 4
  %is.number = icmp eq i64 %size, 0
  %itself = icmp eq i64 %j, %k
  %no.matter = or i1 %is.number, %itself
  br i1 %no.matter, label %again, label %compared
compared:
  %j.value = call ptr @PyTuple_GetItem(ptr %values, i64 %j)
  %its = call {{ptr, ptr}} @memory(%kind %j.row, ptr %j.value)
  %its.start = extractvalue {{ptr, ptr}} %its, 0
  %its.end = extractvalue {{ptr, ptr}} %its, 1
  %before = icmp ule ptr %its.end, %start
  %behind = icmp ule ptr %end, %its.start
  %beside = or i1 %before, %behind
  br i1 %beside, label %again, label %no
again:
  br label %other
yes:
  ret i1 true
no:
  ret i1 false
}}

define ptr @entrance(ptr %self, ptr %args, ptr %named) {{
  %type = alloca ptr
  %error = alloca ptr
  %trace = alloca ptr
  %bytes = call ptr @PyTuple_GetItem(ptr %self, i64 0)
  %table = call ptr @PyBytes_AsString(ptr %bytes)
  %fields = load %head, ptr %table
  %given = extractvalue %head %fields, 0
  %all = extractvalue %head %fields, 1
  %guards = extractvalue %head %fields, 2
  %strict.number = extractvalue %head %fields, 3
  %strict = icmp ne i64 %strict.number, 0
  %run = extractvalue %head %fields, 4
  %finish = extractvalue %head %fields, 5
  %failed = extractvalue %head %fields, 6
  %otherwise = extractvalue %head %fields, 7
  %copy = extractvalue %head %fields, 8
  %exception = extractvalue %head %fields, 9
  %rows = getelementptr i64, ptr %table, i64 {head}
  %size = call i64 @PyTuple_Size(ptr %args)
  %as.many = icmp eq i64 %size, %given
  %no.names = icmp eq ptr %named, null
  %usual = and i1 %as.many, %no.names
  br i1 %usual, label %begin, label %other
begin:
  %values = call ptr @PyTuple_New(i64 %all)
  %no.memory = icmp eq ptr %values, null
  br i1 %no.memory, label %raised, label %value

value:
  %k = phi i64 [ 0, %begin ], [ %next, %fitting ], [ %next, %copied ]
  %next = add i64 %k, 1
  %a = icmp slt i64 %k, %given
  br i1 %a, label %argument, label %beyond
argument:
  %passed = call ptr @PyTuple_GetItem(ptr %args, i64 %k)
  call void @Py_IncRef(ptr %passed)
  br label %test
beyond:
  %b = icmp slt i64 %k, %all
  br i1 %b, label %outside, label %guard
outside:
  %j = sub i64 %k, %given
  %j.row = add i64 %j, %all
  %j.place = getelementptr [{row} x i64], ptr %rows, i64 %j.row
  %row = load %outside, ptr %j.place
  %found = call ptr @fetched(%outside %row)
  %not.found = icmp eq ptr %found, null
  br i1 %not.found, label %drop, label %test
test:
  %v = phi ptr [ %passed, %argument ], [ %found, %outside ]
  %set = call i32 @PyTuple_SetItem(ptr %values, i64 %k, ptr %v)
  %place = getelementptr [{row} x i64], ptr %rows, i64 %k
  %how = call i32 @fits(ptr %place, ptr %v)
  switch i32 %how, label %drop [ i32 1, label %fitting i32 2, label %copying ]
fitting:
  br label %value
copying:
  br i1 %strict, label %drop, label %copy.it
copy.it:
  %new = call ptr @PyObject_CallOneArg(ptr %copy, ptr %v)
  %no.copy = icmp eq ptr %new, null
  br i1 %no.copy, label %drop, label %copied
copied:
  %set.again = call i32 @PyTuple_SetItem(ptr %values, i64 %k, ptr %new)
  br label %value

guard:
  %g = phi i64 [ 0, %beyond ], [ %g.next, %asked ]
  %g.next = add i64 %g, 1
  %c = icmp slt i64 %g, %guards
  br i1 %c, label %asked, label %held
asked:
  %before = sub i64 %all, %given
  %g.all = add i64 %all, %before
  %g.row = add i64 %g, %g.all
  %g.place = getelementptr [{row} x i64], ptr %rows, i64 %g.row
  %holds = call i1 @same(ptr %g.place)
  br i1 %holds, label %guard, label %drop

held:
  br i1 %strict, label %sharing, label %go
sharing:
  %fine = call i1 @apart(ptr %rows, ptr %values, i64 %all)
  br i1 %fine, label %go, label %drop
go:
  %made = call ptr @PyObject_Call(ptr %run, ptr %values, ptr null)
  call void @Py_DecRef(ptr %values)
  %stopped = icmp eq ptr %made, null
  br i1 %stopped, label %why, label %done
done:
  %as.it.is = icmp eq ptr %finish, null
  br i1 %as.it.is, label %plain, label %finishing
plain:
  ret ptr %made
finishing:
  %nice = call ptr @PyObject_CallOneArg(ptr %finish, ptr %made)
  call void @Py_DecRef(ptr %made)
  ret ptr %nice

why:
  %matches = call i32 @PyErr_ExceptionMatches(ptr %exception)
  %is.exception = icmp ne i32 %matches, 0
  br i1 %is.exception, label %judge, label %raised
judge:
  call void @PyErr_Fetch(ptr %type, ptr %error, ptr %trace)
  call void @PyErr_NormalizeException(ptr %type, ptr %error, ptr %trace)
  %t = load ptr, ptr %type
  %e = load ptr, ptr %error
  %r = load ptr, ptr %trace
  call void @Py_DecRef(ptr %t)
  call void @Py_DecRef(ptr %r)
  %pair = call ptr @PyTuple_New(i64 2)
  %no.pair = icmp eq ptr %pair, null
  br i1 %no.pair, label %raised, label %paired
paired:
  %set.0 = call i32 @PyTuple_SetItem(ptr %pair, i64 0, ptr %e)
  call void @Py_IncRef(ptr %args)
  %set.1 = call i32 @PyTuple_SetItem(ptr %pair, i64 1, ptr %args)
  %judged = call ptr @PyObject_Call(ptr %failed, ptr %pair, ptr null)
  call void @Py_DecRef(ptr %pair)
  ret ptr %judged

drop:
  call void @Py_DecRef(ptr %values)
  %any = call ptr @PyErr_Occurred()
  %quiet = icmp eq ptr %any, null
  br i1 %quiet, label %other, label %loud
loud:
  %usual.error = call i32 @PyErr_ExceptionMatches(ptr %exception)
  %forgiven = icmp ne i32 %usual.error, 0
  br i1 %forgiven, label %clear, label %raised
clear:
  call void @PyErr_Clear()
  br label %other
other:
  %result = call ptr @PyObject_Call(ptr %otherwise, ptr %args, ptr %named)
  ret ptr %result
raised:
  ret ptr null
}}
"""


class _Method(ctypes.Structure):
    """Python's description of a function in C."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_loaded: list[Any] = []  # memory that Python goes on using


@functools.cache
def _method() -> _Method:
    hows = {"global": _GLOBAL, "cell": _CELL, "code": _CODE}
    text = _TEXT.format(triple=llvm.get_process_triple(), head=_HEAD, row=_ROW, wanted=_WANTED, **hows, **_OFFSETS)
    for name in re.findall(r"^declare .*@(\w+)", text, re.MULTILINE):
        llvm.add_symbol(name, ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name)))
    loaded = engine()
    loaded.add_object_file(llvm.ObjectFileRef.from_data(_object(text)))
    loaded.finalize_object()
    variadic, keywords = 0x1, 0x2
    made = _Method(b"jitted", loaded.get_function_address("entrance"), variadic | keywords, None)
    _loaded.extend((loaded, made))
    return made


def _object(text: str) -> bytes:
    """`text` compiled, from disk if it is there."""
    name = f"entrance-{cache.digest(text, llvmlite.__version__)}"
    found = cache.load(name)
    if found is None:
        found = target().emit_object(llvm.parse_assembly(text))
        cache.save(name, found)
    return found


@functools.cache
def _layout_is_known() -> bool:
    """Whether arrays have their fields where machine code looks for them."""
    if ctypes.sizeof(ctypes.c_void_p) != 8 or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False

    def read(place: int, kind: Any) -> Any:
        return kind.from_address(id(sample) + place).value

    for sample in (np.zeros((3, 1, 4)), np.asfortranarray(np.ones((2, 5), np.int64)), np.zeros(7, "f4")[::2]):
        objects = [read(_OFFSETS[field], ctypes.c_void_p) for field in ("class", "dtype")]
        numbers = [read(_OFFSETS[field], ctypes.c_int) for field in ("rank", "flags")]
        if read(_OFFSETS["data"], ctypes.c_void_p) != sample.ctypes.data:
            return False
        if objects != [id(np.ndarray), id(sample.dtype)] or numbers != [sample.ndim, sample.flags.num]:
            return False
        extents, strides = [read(_OFFSETS["extents"] + k, ctypes.c_void_p) or 0 for k in (0, 8)]
        if not extents or strides != extents + 8 * sample.ndim:  # one piece of memory
            return False
        if tuple((ctypes.c_int64 * sample.ndim).from_address(extents)) != sample.shape:
            return False
    return True
