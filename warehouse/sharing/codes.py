"""Why a share is not served: the codes and their sentences."""

from dataclasses import dataclass
from enum import StrEnum


class ShareCode(StrEnum):
    """A reason not to serve a share."""

    DECLARATION = "S_DECLARATION"
    NAME = "S_NAME"
    RESOURCE = "S_RESOURCE"
    COLUMN = "S_COLUMN"
    ROWS = "S_ROWS"
    PURPOSE = "S_PURPOSE"
    BASIS = "S_BASIS"
    RECIPIENT = "S_RECIPIENT"
    VALID = "S_VALID"
    PERSONS = "S_PERSONS"
    ONWARD = "S_ONWARD"
    APPROVAL = "S_APPROVAL"
    CHANGED = "S_CHANGED"
    EXPIRED = "S_EXPIRED"
    REVOKED = "S_REVOKED"
    SMALL = "S_SMALL"
    PUBLICATION = "S_PUBLICATION"


#: Reasons that lie in the declaration itself: the share is refused until somebody writes another version.
DEFECTS = frozenset(ShareCode) - {
    ShareCode.APPROVAL,
    ShareCode.CHANGED,
    ShareCode.EXPIRED,
    ShareCode.REVOKED,
    ShareCode.PUBLICATION,
}
#: Reasons that pass by themselves: somebody approves, something is published.
PENDING = frozenset({ShareCode.APPROVAL, ShareCode.PUBLICATION})


@dataclass(frozen=True, order=True)
class ShareFinding:
    """One reason why a share is not served."""

    code: ShareCode
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
