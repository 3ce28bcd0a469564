"""What is shown of the words of a sender: only what has the form that it must have.

A manifest, a file name or a header may hold anything, also the name and the numbers of a person. The ledger, and with
it logs, pages, notifications and return files, get such a word only in its form; otherwise a neutral one stands there.
"""

import hashlib
import re
from functools import cache

#: Forms of what a manifest says: wider than its rules, so that a wrong month or mode can still be seen.
_FORMS = {
    "source": re.compile(r"[a-z][a-z_]{0,29}"),
    "sender": re.compile(r"[0-9]{6}"),
    "period": re.compile(r"[0-9]{4}-[0-9]{2}"),
    "mode": re.compile(r"[a-z]{1,12}"),
    "contract_version": re.compile(r"[0-9]{1,5}(\.[0-9]{1,5}){0,3}(-[a-z]{1,10}(\.[0-9]{1,3})?)?"),
}
#: Names of files and packages: letters, digits and signs of ASCII.
_FILE_NAME = re.compile(r"[A-Za-z0-9._ ()+@=,-]{1,200}")
_PATH = re.compile(rf"{_FILE_NAME.pattern}(/{_FILE_NAME.pattern}){{0,20}}")
#: Digits that may be those of a person: of an identity document, of an old one, of a mobile telephone.
_NUMBER = re.compile(r"[0-9]{17}[0-9Xx]|(?<![0-9])(?:[0-9]{15}|1[0-9]{10})(?![0-9])")
#: Trying out all identity numbers takes so many steps each.
_HASH_ROUNDS = 100_000
_SALT = b"union-data-warehouse"
#: Characters of an ending that is shown.
_ENDING = re.compile(r"\.(csv|tsv|txt|xlsx|xls|parquet)$", re.IGNORECASE)
_ZIP = ".zip"
_QUOTED = re.compile(r"""b?'[^']*'|b?"[^"]*"|“[^”]*”|‘[^’]*’|[^\x00-\x7f]+""")


def holds_number(text: str) -> bool:
    """Whether a text holds digits that may be those of a person."""
    return _NUMBER.search(text) is not None


def _is_name(text: str) -> bool:
    return _FILE_NAME.fullmatch(text) is not None and not holds_number(text)


def of_manifest(name: str, value: str | None) -> str | None:
    """What a manifest says in one of its properties; None where it has not the form of it."""
    return value if value is not None and _FORMS[name].fullmatch(value) else None


def path(given: str, index: int) -> str:
    """The path of a file of a package, or a name made of its place in the manifest's list, from 0, and its ending."""
    if _PATH.fullmatch(given) and not holds_number(given):
        return given
    ending = _ENDING.search(given)
    return f"file-{index + 1}" + (ending[0].lower() if ending else "")


@cache
def location(name: str) -> str:
    """The name of a package in the inbox, or one made of a hash of it; the same for the same name."""
    if _is_name(name):
        return name
    digest = hashlib.pbkdf2_hmac("sha256", name.encode(errors="surrogateescape"), _SALT, _HASH_ROUNDS, 6)
    return f"package-{digest.hex()}" + (_ZIP if name.lower().endswith(_ZIP) else "")


def file(name: str) -> str:
    """A path on this machine, each part of which is shown as that of a package is."""
    return "/".join(part if not part or _is_name(part) else "…" for part in name.split("/"))


def header(cell: str, position: int) -> str:
    """A cell of a header that the contract does not know; its position, from 0, where it holds a number of a person."""
    return f"column {position + 1}" if holds_number(cell) else cell


def error(text: str) -> str:
    """What a library says of a file, without what it quotes of the content."""
    return _NUMBER.sub("…", _QUOTED.sub("…", text))
