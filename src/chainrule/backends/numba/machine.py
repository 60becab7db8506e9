"""Machine code on disk, under a key of our own, and its way back without Numba.

Numba's ``cache=True`` looks at the time stamp of a file and at byte code, not at constants, globals and callees. Here
the key is the complete text with its types and options, the versions, the processor and libmvec; nothing outside of the
text reaches the code but as an argument. What is kept is the object code with the names of what it calls, and LLVM
loads it alone: Numba is imported to compile, and to raise what compiled code raises.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import hashlib
import os
import pickle
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from chainrule.backends import cache, support
from chainrule.backends.numba import symbols
from chainrule.backends.python import Source

__all__ = ["engine", "key", "linked", "load", "packed", "target"]

_ORIGIN = re.compile(r'(?<=^    """)Of .*(?="""$)', re.MULTILINE)  # the number of a line, which moves with those before
_UNRESOLVED = ".numba.unresolved$"  # what stands before a function's name where its address is stored
_MISSING = (ImportError, AttributeError, LookupError, OSError, StopIteration)  # another Numba than we know
_lock = threading.Lock()


class _Entry(NamedTuple):
    """A compiled program: its code, the name and the symbol of what Python calls, and what both need."""

    objects: tuple[bytes, ...]
    name: str
    function: str
    environments: tuple[tuple[str, list[Any]], ...]  # its own first: a symbol, and the constants that it points to
    called: tuple[str, ...]
    before: tuple[Callable[[], None], ...]  # what Numba does before it loads such code: start threads


@functools.cache
def _platform() -> tuple[Any, ...]:
    """What compiled code depends on beside the text."""
    folder = symbols.numba_folder()
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.glob("_*"))]
    helpers = [Path(support.__file__ or "").with_name(name) for name in ("support.py", "kernels.py")]
    written = [path.read_bytes() for path in (*sorted(Path(__file__).parent.glob("*.py")), *helpers)]
    settings = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    processor = (llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    versions = (sys.implementation.cache_tag, llvmlite.__version__, np.__version__, _c_library())
    return (*versions, files, written, settings, processor, symbols.vectors() is not None)


def _c_library() -> str | None:
    names = getattr(os, "confstr_names", {})
    return os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in names else None


def key(source: Source, *options: object) -> str | None:
    """The name of the entry of `source`, compiled with these options; None where there can be none."""
    written = dataclasses.replace(source, text=_ORIGIN.sub("", source.text))
    try:
        return f"{source.entry}-{cache.digest(written, options, *_platform())}"
    except _MISSING:
        return None


# -- back from disk -----------------------------------------------------------------------------------


def load(name: str) -> Callable[..., Any] | None:
    """The entry `name` as a function, which trusts its arguments; None if there is none that this process can run."""
    content = cache.load(name)
    return None if content is None else linked(content)


def linked(content: bytes) -> Callable[..., Any] | None:
    """A packed program as a function; None if it calls what this process does not have."""
    try:
        runtime = symbols.runtime()
        return _linked(runtime, _Entry(*pickle.loads(content)))
    except _MISSING:
        return None


def _linked(runtime: Any, entry: _Entry) -> Callable[..., Any] | None:
    for prepare in entry.before:
        prepare()
    loaded = engine()
    for code in entry.objects:
        loaded.add_object_file(llvm.ObjectFileRef.from_data(code))
    with _lock:  # symbols are the process's
        pointers = {name: ctypes.c_void_p() for name in entry.called if name.startswith(_UNRESOLVED)}
        for name, pointer in pointers.items():
            llvm.add_symbol(name, ctypes.addressof(pointer))
        if not all(map(symbols.provide, entry.called)):
            return None
        loaded.finalize_object()
    for name, pointer in pointers.items():
        pointer.value = loaded.get_function_address(name.removeprefix(_UNRESOLVED)) or None
    if not all(pointer.value for pointer in pointers.values()):  # of functions that only the others of a cycle call
        return None
    environments = []
    for symbol, constants in entry.environments:
        environment = runtime.Environment({})
        environment.consts[:] = constants
        ctypes.c_void_p.from_address(loaded.get_global_value_address(symbol)).value = id(environment)
        environments.append(environment)
    address = loaded.get_function_address(entry.function)
    kept = (loaded, pointers, environments)
    made: Callable[..., Any] = runtime.make_function(
        ModuleType("chainrule"), entry.name, "", address, environments[0], kept
    )
    return made


def engine() -> Any:
    """What loads the code of one program, apart from all others: their symbols may be the same."""
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target())


def target() -> Any:
    """What makes machine code for processors like this one."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)


# -- to disk ------------------------------------------------------------------------------------------

# Every array on its way to Python asks for its class, pickled, by a function of Numba that is written in Python.
_CLASSES = """
target triple = "{triple}"
@{array} = external global i8
declare void @Py_IncRef(ptr)
declare ptr @{unpickle}(ptr, i32, ptr)
define ptr @numba_unpickle(ptr %data, i32 %size, ptr %hash) {{
  %found = load i64, ptr %hash, align 1
  %is_array = icmp eq i64 %found, {expected}
  br i1 %is_array, label %array, label %other
array:
  call void @Py_IncRef(ptr @{array})
  ret ptr @{array}
other:
  %made = call ptr @{unpickle}(ptr %data, i32 %size, ptr %hash)
  ret ptr %made
}}
"""


def packed(compiled: Any, dumps: Callable[[Any], bytes]) -> bytes | None:
    """What Numba compiled, as `linked` takes it, or None; `dumps` is Numba's way of pickling."""
    library = compiled.library
    if library.has_dynamic_globals:  # addresses of this process
        return None
    module = library._final_module
    declared = [d.name for d in (*module.functions, *module.global_variables) if d.is_declaration]
    referred = {e.env_name: e for e in (compiled.environment, *compiled._find_referenced_environments())}
    text = _CLASSES.format(
        triple=llvm.get_process_triple(),
        array=symbols.ARRAY,
        unpickle=symbols.UNPICKLE,
        expected=int.from_bytes(hashlib.sha1(dumps(np.ndarray)).digest()[:8], sys.byteorder),
    )
    entry = _Entry(
        (library.codegen._tm.emit_object(llvm.parse_assembly(text)), library._get_compiled_object()),
        compiled.fndesc.qualname,
        compiled.fndesc.llvm_cpython_wrapper_name,
        tuple((symbol, e.consts) for symbol, e in referred.items()),
        (*(d for d in declared if not d.startswith("llvm.")), symbols.ARRAY, symbols.UNPICKLE),
        tuple(compiled.reload_init),
    )
    return dumps(tuple(entry))
