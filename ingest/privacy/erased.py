"""The list of erased persons, by which their rows in later deliveries are recognised.

The list (``vault.erased``) has keyed hashes alone: person keys, and hashes of the numbers under which a source knows a
person in feeds without identity numbers. Neither tells who the person is.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import polars as pl
import psycopg
from numpy.typing import NDArray

from ingest.contracts.model import Contracts, Feed
from ingest.errors import WarehouseError
from ingest.privacy.keyring import Keyring


@dataclass(frozen=True)
class Reference:
    """A column by which rows of a feed without identity numbers name a person of another feed of the source.

    Attributes:
        column: Its name in both feeds.
        register: The feed with the person, whose only key it is.
    """

    column: str
    register: Feed


def reference(contracts: Contracts, feed: Feed) -> Reference | None:
    """The column of a feed that names a person; None where the feed has identity numbers itself, or names nobody."""
    if feed.has_person:
        return None
    for register in contracts.of_source(feed.source):
        names = [column.name for column in register.keys]
        if register.has_person and register.kind == "register" and len(names) == 1 and names[0] in feed.by_name:
            return Reference(names[0], register)
    return None


def scope(feed: Feed, sender: str, column: str) -> str:
    """What a number is hashed with: the same number of another sender, source or column is another one."""
    return f"reference {feed.source} {sender} {column}"


class HasText(Protocol):
    """A column as it lands."""

    text: pl.Series


@dataclass(frozen=True)
class Erased:
    """The list, as it concerns the rows of one feed and sender.

    Attributes:
        keys: Keyed hashes, 16 bytes each; empty where no row can be of an erased person.
        column: The column that names persons, of a feed without identity numbers.
        scope: What its numbers are hashed with.
        is_replaced: Whether all values of the column land as hashes.
    """

    keys: frozenset[bytes] = frozenset()
    column: str | None = None
    scope: str = ""
    is_replaced: bool = False

    def references(self, columns: Mapping[str, HasText], keyring: Keyring) -> list[pl.Series]:
        """The numbers that name persons, as ``Keyring.person_keys`` takes them; none where no column does.

        As they came, and as they land where the column has identity numbers: the list has what landed.
        """
        if self.column is None:
            return []
        text = columns[self.column].text
        return [
            pl.select(pl.concat_str(pl.lit(f"{self.scope}|"), numbers)).to_series()
            for numbers in (text, keyring.replaced(text))
        ]

    @cached_property
    def _heads(self) -> NDArray[np.uint64]:
        return np.frombuffer(b"".join(key[:8] for key in sorted(self.keys)), dtype=np.uint64)

    def may_have(self, keys: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which of many keys, (n, 16) bytes, may be in the list: all that are, and hardly any other."""
        return np.isin(np.ascontiguousarray(keys[:, :8]).view(np.uint64).reshape(-1), self._heads)


#: For rows of which none can be of an erased person.
NOBODY = Erased()


def keys(conn: psycopg.Connection) -> frozenset[bytes]:
    """The keyed hashes of the list."""
    return frozenset(key.bytes for (key,) in conn.execute("SELECT key_hash FROM vault.erased"))


def of_feed(
    listed: frozenset[bytes], contracts: Contracts, feed: Feed, sender: str, replaced: Collection[str]
) -> Erased:
    """The list for the rows of one feed and sender.

    Args:
        listed: From ``keys``.
        contracts: All feeds.
        feed: The feed.
        sender: The sender.
        replaced: The columns of which all values of the sender land as hashes.
    """
    if feed.has_person:
        return Erased(listed)
    named = reference(contracts, feed)
    if named is None:
        return NOBODY
    return Erased(listed, named.column, scope(feed, sender, named.column), named.column in replaced)


def require(conn: psycopg.Connection, listed: frozenset[bytes]) -> None:
    """See that the list is still as a delivery was checked against, and keep it so until the transaction ends.

    Raises:
        WarehouseError: A person was erased meanwhile; the delivery must be checked again.
    """
    conn.execute("LOCK TABLE vault.erased IN SHARE MODE")
    if keys(conn) != listed:
        raise WarehouseError("a person was erased while it was loaded")
