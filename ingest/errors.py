"""The codes of the delivery interface, and the errors that carry them to the ledger."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class DeliveryCode(StrEnum):
    """Why a delivery is refused as a whole."""

    MANIFEST = "D_MANIFEST"
    NAME_REUSED = "D_NAME_REUSED"
    PATH = "D_PATH"
    ARCHIVE = "D_ARCHIVE"
    MISSING_FILE = "D_MISSING_FILE"
    HASH = "D_HASH"
    BYTES = "D_BYTES"
    ROWS = "D_ROWS"
    FEED = "D_FEED"
    VERSION = "D_VERSION"
    HEADER = "D_HEADER"
    ENCODING = "D_ENCODING"
    TOLERANCE = "D_TOLERANCE"
    EXPECTATION = "D_EXPECTATION"
    EMPTY = "D_EMPTY"


#: A package refused with one of these codes does not own its name, so that a half-copied package does not block the
#: complete one.
CODES_WITHOUT_NAME = frozenset(
    {
        DeliveryCode.MANIFEST,
        DeliveryCode.ARCHIVE,
        DeliveryCode.PATH,
        DeliveryCode.MISSING_FILE,
        DeliveryCode.HASH,
        DeliveryCode.BYTES,
        DeliveryCode.ROWS,
    }
)


class RowCode(StrEnum):
    """Why a row is rejected (``E_``) or gets a warning (``W_``)."""

    COLUMNS = "E_COLUMNS"
    REQUIRED = "E_REQUIRED"
    TYPE = "E_TYPE"
    LENGTH = "E_LENGTH"
    CODE = "E_CODE"
    PATTERN = "E_PATTERN"
    RANGE = "E_RANGE"
    ID = "E_ID"
    SCI = "E_SCI"
    USCC = "E_USCC"
    KEY_DUPLICATE = "E_KEY_DUPLICATE"
    REPEAT = "E_REPEAT"
    SUM = "E_SUM"
    ORDER = "E_ORDER"
    ERASED = "E_ERASED"
    PLACEHOLDER_DATE = "W_PLACEHOLDER_DATE"
    SEX_ID = "W_SEX_ID"
    BIRTH_ID = "W_BIRTH_ID"
    MOBILE = "W_MOBILE"
    SOFT_SUM = "W_SUM"
    UNKNOWN_COLUMN = "W_UNKNOWN_COLUMN"
    CODE_LOCAL = "W_CODE_LOCAL"
    FREE_TEXT = "W_FREE_TEXT"
    IDENTIFIER = "W_IDENTIFIER"
    IDENTIFIER_COLUMN = "W_IDENTIFIER_COLUMN"


class WarehouseError(Exception):
    """An error whose message is meant for the user: commands print it without a stack trace."""


class NotDecided(WarehouseError):
    """An internal error, not an error of the sender, prevented the decision on a package; the next pass retries it.

    ``package`` is its name (its location in the inbox if the name is not known), ``reason`` says what happened and
    ``trace`` where. None of them contains data of the package.
    """

    def __init__(self, package: str, reason: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(f"{package} is not decided: {reason}. The next pass tries it again.")
        self.package, self.reason, self.trace = package, reason, trace

    def __reduce__(self) -> tuple[type["NotDecided"], tuple[str, str, tuple[str, ...]]]:
        """How it goes from one process to another."""
        return type(self), (self.package, self.reason, self.trace)


class SetAside(NotDecided):
    """The process that worked on a package was killed or crashed too often; no pass tries the package by itself."""

    def __init__(self, package: str, reason: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(package, reason, trace)
        self.args = (f"{package} is set aside: {reason}. `warehouse retry {shlex.quote(package)}` tries it again.",)


@dataclass(frozen=True)
class Finding:
    """A reason to refuse a delivery: the code, the file, and a message that tells the sender what to do."""

    code: DeliveryCode
    message: str
    path: str | None = None

    def __str__(self) -> str:
        path = f" [{self.path}]" if self.path else ""
        return f"{self.code}{path}: {self.message}"


def first_in_words(findings: Sequence[str]) -> str:
    """The first finding in one line, with the number of further ones; empty where there is none."""
    more = f" (+{len(findings) - 1})" if len(findings) > 1 else ""
    return findings[0] + more if findings else ""


@dataclass
class DeliveryRefused(Exception):
    """Raised by a step that refuses the delivery, with all findings of that step."""

    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        return "; ".join(map(str, self.findings))

    @property
    def codes(self) -> list[str]:
        """The distinct codes, sorted."""
        return sorted({finding.code.value for finding in self.findings})


def refused(code: DeliveryCode, message: str, path: str | None = None) -> DeliveryRefused:
    """The refusal of a delivery for one reason."""
    return DeliveryRefused([Finding(code, message, path)])
