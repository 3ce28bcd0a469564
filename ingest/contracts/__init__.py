"""The contracts of all feeds and their code lists.

``<source>/<feed>.yaml`` (Open Data Contract Standard 3.1) is the only place that lists a feed's columns and rules,
``codes/<list>.csv`` the only place of a code list. A new feed is a new file here.
"""

from functools import cache
from pathlib import Path

from ingest.contracts.loader import ContractError, read_contracts
from ingest.contracts.model import (
    CodeList,
    Column,
    Contracts,
    Feed,
    Kind,
    OrderRule,
    SignRule,
    SumRule,
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
    "SignRule",
    "SumRule",
    "header_key",
    "load",
]


@cache
def load(root: Path = ROOT) -> Contracts:
    """All contracts and code lists below ``root``, read once a process.

    Raises:
        ContractError: A file is no contract, or contradicts itself or another one.
    """
    return read_contracts(root)
