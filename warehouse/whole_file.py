"""Writes files that are never seen half-written: a reader finds the old content or the new one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file with mode 0600 that takes the place of ``path`` once it is complete; an error leaves the old file.

    Several processes may write the same path at once: each has a file of its own until the end, the last one stays.

    Raises:
        OSError: The folder does not exist or cannot be written to.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8; ``path`` is replaced at once."""
    with replaced(path) as file:
        file.write(text.encode())
