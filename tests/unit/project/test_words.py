"""One Chinese word for one decision: 退回 for a delivery as a whole, 剔除 for a row."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: A third word that would stand for both.
AMBIGUOUS = "拒收"


def test_a_refused_delivery_and_a_rejected_row_have_each_their_word() -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    found = [
        name
        for name in files
        if name
        and (ROOT / name).is_file()
        and ROOT / name != Path(__file__)
        and AMBIGUOUS.encode() in (ROOT / name).read_bytes()
    ]
    assert found == []
    glossary = (ROOT / "docs/glossary.md").read_text("utf-8")
    assert "| accepted, refused | 接收、退回 |" in glossary
    assert "| rejected row | 剔除行 |" in glossary
