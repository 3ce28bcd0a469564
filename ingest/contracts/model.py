"""The content of contracts, as the rest of the code uses it.

The values come from the Open Data Contract Standard files beside this module (see ``loader``); nothing here names a
feed or a column.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from ingest.errors import WarehouseError

#: A column of this classification names a person: it goes to the vault and nowhere else.
DIRECT_IDENTIFIER = "direct_identifier"
#: A column of this classification holds what its sender likes to write: the text goes to the vault, a code lands.
FREE_TEXT = "free_text"
#: The classification that the code of a free text has.
PERSONAL = "personal"
#: All classifications of columns, from the least to the most protected.
CLASSIFICATIONS = ("public", "internal", PERSONAL, "health", FREE_TEXT, DIRECT_IDENTIFIER)

#: The file in a source's folder that says who sends it.
SOURCE_FILE = "_source.yaml"

#: Bits of the SQL types for whole numbers, without the sign.
INTEGER_BITS: Mapping[str, int] = {"smallint": 15, "integer": 31, "bigint": 63}


class ContractError(WarehouseError):
    """A contract or code list that cannot be used; the message names the file and the property."""


def header_key(text: str) -> str:
    """A header in the form in which headers are compared: lower case, without blanks and invisible characters."""
    return "".join(text.split()).strip("\ufeff\u200b\u3000").lower()


class Kind(StrEnum):
    """How a column's text is cleaned, checked and stored."""

    TEXT = "text"
    NAME = "name"  # a person's or body's name: dots and blanks are normalised
    IDENTIFIER = "identifier"  # a key or number that is text: NFKC, no more
    CODE = "code"  # a value of a code list
    DIVISION = "division"  # six-digit administrative division
    USCC = "uscc"  # unified social credit code
    CERT_TYPE = "cert_type"  # the code list of document types; decides how CERTNO is read
    CERTNO = "certno"  # identity number
    MOBILE = "mobile"
    DATE = "date"
    MONTH = "month"  # kept as its first day
    DATETIME = "datetime"
    INTEGER = "integer"
    NUMBER = "number"
    MONEY = "money"  # two decimals, yuan; the file's unit may be 10,000 yuan
    FLAG = "flag"


class Role(StrEnum):
    """What a column means, where the code must know which column of a feed means it."""

    PERSON_NAME = "person_name"
    SEX = "sex"
    BIRTH_DATE = "birth_date"
    EVENT_DATE = "event_date"
    ORGANISATION = "organisation"
    EMPLOYER = "employer"
    EMPLOYER_NAME = "employer_name"
    EMPLOYER_NATURE = "employer_nature"
    ORGANISATION_NAME = "organisation_name"


#: The kinds that a column of a role may have.
ROLE_KINDS: Mapping[Role, frozenset[Kind]] = {
    Role.PERSON_NAME: frozenset({Kind.NAME}),
    Role.SEX: frozenset({Kind.CODE}),
    Role.BIRTH_DATE: frozenset({Kind.DATE}),
    Role.EVENT_DATE: frozenset({Kind.DATE, Kind.DATETIME, Kind.MONTH}),
    Role.ORGANISATION: frozenset({Kind.IDENTIFIER}),
    Role.EMPLOYER: frozenset({Kind.USCC}),
    Role.EMPLOYER_NAME: frozenset({Kind.NAME, Kind.TEXT}),
    Role.EMPLOYER_NATURE: frozenset({Kind.CODE}),
    Role.ORGANISATION_NAME: frozenset({Kind.NAME, Kind.TEXT}),
}


#: The kinds whose values land as they were written.
_TEXTS = frozenset({Kind.TEXT, Kind.NAME, Kind.IDENTIFIER, Kind.USCC})


#: The column of a code list that marks the codes of one-person businesses, whose name is that of a person.
ONE_PERSON = "one_person"


@dataclass(frozen=True)
class CodeList:
    """One code list.

    ``codes`` maps a code to its Chinese label, ``spellings`` every accepted text (code, label, further spelling; all
    in NFKC) to its code. ``extra`` holds the further columns of the file, by column and code, empty cells left out,
    ``types`` the SQL types of all columns of the file. ``standard`` is the norm or body that the list comes from.
    """

    name: str
    codes: Mapping[str, str]
    spellings: Mapping[str, str]
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    label: str = ""
    label_en: str = ""
    standard: str = ""
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """One column of a feed."""

    name: str
    label: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    required: bool = False
    key: bool = False
    personal: bool = False  # a direct identifier: goes to the vault, never to landing
    max_length: int | None = None
    min_length: int | None = None
    pattern: str | None = None  # anchored; what it costs to miss it is pattern_code
    pattern_code: str = "E_PATTERN"  # or W_CODE_LOCAL (kept), W_MOBILE (no value)
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    maximum_year: bool = False  # the upper bound is the year of the delivery's created date
    may_lie_ahead: bool = False  # dates only: later than created is fine
    code_list: CodeList | None = None
    code_match: str = "exact"  # exact | prefix (longer ones are local) | open | first_two | free (see other_code)
    other_code: str | None = None  # free only: what lands for a text that is not in the list
    strip_leading_zeros: bool = False
    default_zero: bool = False  # a missing column or value counts as 0
    role: Role | None = None
    uscc_first: str | None = None  # regular expression that a USCC must match besides its check character
    sql_type: str = "text"
    description: str = ""
    description_zh: str = ""
    sample: str | Mapping[str, float] | None = None  # synthetic values: their source, or weights of codes ("": none)
    classification: str = "internal"  # one of CLASSIFICATIONS

    @property
    def is_free_text(self) -> bool:
        """Whether what is delivered goes to the vault and only a code lands."""
        return self.classification == FREE_TEXT

    @property
    def landed_classification(self) -> str:
        """The classification of what lands of the column."""
        return PERSONAL if self.is_free_text else self.classification

    @property
    def takes_any_text(self) -> bool:
        """Whether a landed value is what the sender wrote, and not one of a list or of a type."""
        if self.personal or self.is_free_text:
            return False
        return self.kind in _TEXTS or (self.kind is Kind.CODE and self.code_match != "exact")

    @property
    def has_form(self) -> bool:
        """Whether every landed value matches the column's pattern."""
        return self.pattern is not None and self.pattern_code != "W_CODE_LOCAL"


@dataclass(frozen=True)
class SumRule:
    """A money or count identity: left (op) right within a tolerance; ``hard`` rejects (E_SUM), else W_SUM.

    ``left`` and ``right`` map column names to +1 or -1; a missing value counts as 0. ``when_any`` lists columns of
    which at least one must be given for the rule to apply.
    """

    name: str
    left: Mapping[str, int]
    right: Mapping[str, int]
    op: str  # "=" or "<="
    tolerance: Decimal
    hard: bool
    when_any: tuple[str, ...] = ()


@dataclass(frozen=True)
class OrderRule:
    """``later`` must not lie before ``earlier``: E_ORDER, named after ``later``."""

    earlier: str
    later: str


@dataclass(frozen=True)
class SignRule:
    """Columns are >= 0 where ``reversal_column`` has no value and <= 0 where it has one (E_RANGE)."""

    reversal_column: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class TogetherRule:
    """Of these columns all are given or none; each that is missing beside a given one is E_REQUIRED."""

    columns: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Who sends a folder of feeds, and how their deliveries are read.

    ``snapshots``: a delivery may be the complete register of its sender, which replaces the one before and supersedes
    an earlier one of the same period. Otherwise every delivery is read as a delta, whatever its manifest says.
    """

    name: str
    title: str
    title_zh: str
    sender: str
    sender_zh: str
    snapshots: bool


@dataclass(frozen=True)
class Feed:
    """One feed of a source: its columns in file order, and its rules."""

    source: str
    name: str
    label: str
    kind: str  # register | events
    versions: tuple[int, ...]  # supported major versions
    columns: tuple[Column, ...]
    dropped: frozenset[str] = frozenset()  # lower-case headers removed at the door
    required_in_snapshot: bool = False
    tolerance: Decimal = Decimal("0.05")
    sums: tuple[SumRule, ...] = ()
    orders: tuple[OrderRule, ...] = ()
    signs: tuple[SignRule, ...] = ()
    together: tuple[TogetherRule, ...] = ()
    description: str = ""
    description_zh: str = ""
    purpose: str = ""
    retention: str = ""
    frequency: str = ""  # how often deliveries come: an ISO 8601 duration, P1M
    version: str = "1.0.0"  # of the contract itself

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def keys(self) -> tuple[Column, ...]:
        """The key columns, in file order."""
        return tuple(column for column in self.columns if column.key)

    @cached_property
    def landed(self) -> tuple[Column, ...]:
        """The columns that reach the landing table: all but direct identifiers."""
        return tuple(column for column in self.columns if not column.personal)

    @cached_property
    def headers(self) -> dict[str, str]:
        """Column names by every accepted header, as ``header_key`` normalises it."""
        return {
            header_key(text): column.name
            for column in self.columns
            for text in (column.name, column.label, *column.aliases)
        }

    def first(self, kind: Kind) -> Column | None:
        """The first column of a kind, or None."""
        return next((column for column in self.columns if column.kind is kind), None)

    def role(self, role: Role) -> Column | None:
        """The column of a role, or None."""
        return next((column for column in self.columns if column.role is role), None)

    @property
    def requires_person(self) -> bool:
        """Whether every row must carry an identity number."""
        number = self.first(Kind.CERTNO)
        return number is not None and number.required

    @property
    def has_person(self) -> bool:
        """Whether rows carry an identity number, hence a ``person_key``."""
        return self.first(Kind.CERTNO) is not None

    @property
    def table(self) -> str:
        """Name of the landing table: ``<source>_<feed>``."""
        return f"{self.source}_{self.name}"


@dataclass(frozen=True)
class Contracts:
    """All feeds, code lists and sources."""

    feeds: Mapping[tuple[str, str], Feed]
    code_lists: Mapping[str, CodeList]
    source_files: Mapping[str, Source] = field(default_factory=dict)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, sorted."""
        return tuple(sorted({source for source, _ in self.feeds}))

    def has_snapshots(self, source: str | None) -> bool:
        """Whether a delivery of the source may be a snapshot; otherwise each is read as a delta."""
        source_file = self.source_files.get(source or "")
        return source_file is not None and source_file.snapshots

    def of_source(self, source: str) -> tuple[Feed, ...]:
        """The feeds of a source, sorted by name."""
        return tuple(feed for (owner, _), feed in sorted(self.feeds.items()) if owner == source)
