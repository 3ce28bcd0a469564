"""Files that are replaced at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from warehouse import whole_file


def test_many_writers_of_one_path(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    texts = [f"{number}\n" * 1000 for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: whole_file.write_text(path, text), texts))
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def write_half() -> None:
        with whole_file.replaced(path) as file:
            file.write(b"new")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
