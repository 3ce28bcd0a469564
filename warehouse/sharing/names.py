"""Names in the database that belong to a share: its schema, which is also its group role, and its logins."""

import hashlib
import re

SHARE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
#: The one view in the schema of a share.
VIEW = "data"
#: PostgreSQL cuts longer identifiers.
_MAX_IDENTIFIER = 63


def schema(share: str) -> str:
    """The schema of a share, and the role of those who may use it."""
    return _shortened(f"share_{share.replace('-', '_')}", share, 0)


def login(share: str, number: int) -> str:
    """A login role of a share. The number is its last part, so that no two shares have the same."""
    suffix = f"_{number}"
    return _shortened(f"login_{share.replace('-', '_')}", share, len(suffix)) + suffix


def _shortened(name: str, share: str, reserved: int) -> str:
    """A name that fits into an identifier; of a long one the end is replaced by a hash of the share's name."""
    if len(name) <= _MAX_IDENTIFIER - reserved:
        return name
    digest = hashlib.sha256(share.encode()).hexdigest()[:8]
    return f"{name[: _MAX_IDENTIFIER - reserved - 9]}_{digest}"
