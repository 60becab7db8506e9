"""Machine code on disk, under a key of our own.

Numba's ``cache=True`` looks at the time stamp of a file and at byte code, not at constants, globals and callees. Here
the key is the complete text with its types and options, the versions, the processor and libmvec; nothing outside of the
text reaches the code but as an argument.
"""

from __future__ import annotations

import functools
import pickle
import sys
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite.binding import address_of_symbol
from numba.core import compiler, serialize
from numba.core.caching import NullCache
from numba.core.registry import cpu_target
from numba.core.runtime.nrt import rtsys

from chainrule.backends import cache, support
from chainrule.backends.numba import simd, special
from chainrule.backends.python import Source

__all__ = ["MachineCode"]

_rebuild: Any = compiler.CompileResult._rebuild
_dumps: Any = serialize.dumps


@functools.cache
def _platform() -> tuple[Any, ...]:
    """What compiled code depends on beside the text."""
    versions = (sys.implementation.cache_tag, numba.__version__, llvmlite.__version__, np.__version__)
    called = Path(support.__file__ or "").read_bytes()
    return (*versions, cpu_target.target_context.codegen().magic_tuple(), simd.variants(), called)


class MachineCode(NullCache):
    """What a dispatcher asks for its compiled entry, and gives it to when it has compiled it."""

    def __init__(self, source: Source, options: dict[str, Any]) -> None:
        key = cache.digest(source.text, source.signatures, sorted(options.items()), *_platform())
        self.name = f"{source.entry}-{key}"
        self.content = cache.load(self.name)

    @property
    def hit(self) -> bool:
        return self.content is not None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        if self.content is None:
            return None
        called, reduced = pickle.loads(self.content)
        rtsys.initialize(target_context)
        for symbol in called:
            special.provide(symbol)
            simd.provide(symbol)
        if not all(map(address_of_symbol, called)):
            target_context.refresh()  # imports what Numba has for compiling, and the rest of SciPy
        return _rebuild(target_context, *reduced)

    def save_overload(self, sig: Any, data: Any) -> None:
        if data.library.has_dynamic_globals:  # addresses of this process
            return
        called = [f.name for f in data.library._final_module.functions if f.is_declaration]
        called = [name for name in called if not name.startswith("llvm.")]
        cache.save(self.name, _dumps((called, data._reduce())))
