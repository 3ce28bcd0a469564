"""Loops over the bytes of a delivery, compiled: one pass where array libraries would take a dozen.

Numba compiles them when they are first imported and keeps the result beside the source (the set-up sees to that), in a
folder of this version of all of them: one has others built in, and Numba itself would look only at its own file. Every
function runs without Python's lock and knows nothing of contracts: columns are SPANS (a block of UTF-8 bytes, and for
each row where its text begins and ends in it) or whole numbers of 64 bit. A span of no bytes, or the number ``NULL``,
is no value. ``odd`` collects the rows that a function leaves to slower and more patient code.
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

#: The whole number that stands for no value.
NULL = -(2**63)

Block = NDArray[np.uint8]
Places = NDArray[np.int32]
Integers = NDArray[np.int64]
Marks = NDArray[np.bool_]
Hashes = NDArray[np.uint64]

#: What is only read; arrays that may be written to fit too.
BYTES = numba.types.Array(numba.uint8, 1, "C", readonly=True)
PLACES = numba.types.Array(numba.int32, 1, "C", readonly=True)
INTEGERS = numba.types.Array(numba.int64, 1, "C", readonly=True)
HASHES = numba.types.Array(numba.uint64, 1, "C", readonly=True)


def compiled(result: object, *arguments: object, inline: str = "never") -> Callable[[Callable[..., Any]], Any]:
    """Compile a function for one signature, or take what was compiled before; where nothing can be kept, compile."""

    def compile_(function: Callable[..., Any]) -> Any:
        signature = result(*arguments)  # type: ignore[operator]
        options: dict[str, Any] = {"nogil": True, "inline": inline}
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(signature, **options)(function)

    return compile_
