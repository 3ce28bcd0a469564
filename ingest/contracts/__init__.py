"""The contracts of all feeds and their code lists.

``<source>/<feed>.yaml`` (Open Data Contract Standard 3.1) is the only place that lists a feed's columns and rules,
``<source>/_source.yaml`` says who sends them, ``codes/<list>.csv`` is the only place of a code list. A new feed is a
new file here; ``docs/contracts.md`` says what may stand in it.
"""

from functools import cache
from pathlib import Path

from ingest.contracts.model import (
    SOURCE_FILE,
    CodeList,
    Column,
    ContractError,
    Contracts,
    Feed,
    Kind,
    OrderRule,
    Role,
    SignRule,
    Source,
    SumRule,
    TogetherRule,
    header_key,
)

#: The folder of the contracts in use.
ROOT = Path(__file__).parent

__all__ = [
    "ROOT",
    "CodeList",
    "Column",
    "ContractError",
    "Contracts",
    "Feed",
    "Kind",
    "OrderRule",
    "Role",
    "SignRule",
    "Source",
    "SumRule",
    "TogetherRule",
    "header_key",
    "load",
    "source_names",
]


def source_names(root: Path = ROOT) -> tuple[str, ...]:
    """Names of the sources, sorted, without reading a contract: DAG files are read in every task."""
    return tuple(sorted(path.parent.name for path in root.glob(f"*/{SOURCE_FILE}")))


@cache
def load(root: Path = ROOT) -> Contracts:
    """All contracts and code lists below ``root``, read once a process.

    Raises:
        ContractError: A file is no contract, or contradicts itself or another one.
    """
    from ingest.contracts.loader import read_contracts  # its libraries take a quarter of a second to import

    return read_contracts(root)
