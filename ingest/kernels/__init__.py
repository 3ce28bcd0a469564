"""Compiled loops over the bytes of a delivery: a single pass where array libraries would need a dozen.

Numba compiles the functions at their first import and caches the result beside the source. The cache folder is named by
a hash of all kernel files, because functions are inlined across files and Numba itself only watches the file that it
compiles. Every function releases the GIL and knows nothing of contracts. A column is either text (``buffer``: UTF-8
bytes; ``starts`` and ``ends``: the offsets of each row's text) or 64-bit integers. Empty text and the integer ``NULL``
mean a missing value. Functions set ``needs_check`` for the rows that they leave to the full check.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_HERE = Path(__file__).parent
_VERSION = sha256(b"".join(file.read_bytes() for file in sorted(_HERE.glob("*.py")))).hexdigest()[:16]
numba.config.CACHE_DIR = str(Path(numba.config.CACHE_DIR or _HERE / "__pycache__") / _VERSION)  # type: ignore[attr-defined]

#: The integer that means a missing value.
NULL = -(2**63)

Buffer = NDArray[np.uint8]
Offsets = NDArray[np.int32]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Hashes = NDArray[np.uint64]

#: Types of read-only arguments; Numba also accepts writable arrays for them.
BYTES = numba.types.Array(numba.uint8, 1, "C", readonly=True)
OFFSETS = numba.types.Array(numba.int32, 1, "C", readonly=True)
INTEGERS = numba.types.Array(numba.int64, 1, "C", readonly=True)
HASHES = numba.types.Array(numba.uint64, 1, "C", readonly=True)


def compiled(result: object, *arguments: object, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function for one signature, with Numba's options; without a cache where Numba can write none."""

    def compile_(function: Callable[..., Any]) -> Any:
        signature = result(*arguments)  # type: ignore[operator]
        try:
            return numba.njit(signature, nogil=True, cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(signature, nogil=True, **options)(function)

    return compile_


def inlined(result: object, *arguments: object) -> Callable[[Callable[..., Any]], Any]:
    """Compile a part of a kernel, which LLVM then inlines. It must not allocate.

    Numba counts the references to an array in each function that gets it, and does not always notice that the counts
    cancel out. ``_nrt`` turns that off: with it, ``split`` is a third slower than as a single function.
    """
    return compiled(result, *arguments, forceinline=True, _nrt=False)
