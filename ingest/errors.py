"""The codes of the delivery interface, and the errors that carry them to the ledger."""

from dataclasses import dataclass, field
from enum import StrEnum


class DeliveryCode(StrEnum):
    """Why a whole delivery is refused."""

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


#: A package refused for one of these does not take its name: a half-copied package must not burn the good one's.
NAME_FREE = frozenset(
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
    """Why a row is rejected (``E_``) or remarked upon (``W_``)."""

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
    PLACEHOLDER_DATE = "W_PLACEHOLDER_DATE"
    SEX_ID = "W_SEX_ID"
    BIRTH_ID = "W_BIRTH_ID"
    MOBILE = "W_MOBILE"
    SOFT_SUM = "W_SUM"
    UNKNOWN_COLUMN = "W_UNKNOWN_COLUMN"
    CODE_LOCAL = "W_CODE_LOCAL"


class WarehouseError(Exception):
    """An error whose message is meant for the person at the keyboard: no stack trace is shown for it."""


@dataclass(frozen=True)
class Finding:
    """One reason to refuse a delivery: the code, where it was found, and what the sender should do."""

    code: DeliveryCode
    message: str
    path: str | None = None

    def __str__(self) -> str:
        place = f" [{self.path}]" if self.path else ""
        return f"{self.code}{place}: {self.message}"


@dataclass
class DeliveryRefused(Exception):
    """Raised by a step that found the delivery unacceptable; carries every finding of that step."""

    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        return "; ".join(map(str, self.findings))

    @property
    def codes(self) -> list[str]:
        """The distinct codes, in order of name."""
        return sorted({finding.code.value for finding in self.findings})


def refused(code: DeliveryCode, message: str, path: str | None = None) -> DeliveryRefused:
    """The refusal of a delivery for one reason."""
    return DeliveryRefused([Finding(code, message, path)])
