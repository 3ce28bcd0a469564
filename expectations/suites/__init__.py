"""The suites: ``<source>/<feed>.py`` for what a feed adds to its contract, ``figures`` for the published figures.

A module of a feed has one function, ``expectations(context)``. Nothing lists them: a feed of a contract is looked for
under its own name, and a feed without a module has the contract's suite alone.
"""

import importlib
from pathlib import Path

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext
from expectations.contract_suite import base_suite


def suite_of(context: SuiteContext) -> list[Expectation]:
    """The whole suite of a feed: the contract's part, then the feed's own where a module for it exists."""
    source, feed = context.feed.source, context.feed.name
    suite = base_suite(context.feed)
    if (Path(__file__).parent / source / f"{feed}.py").is_file():
        suite += importlib.import_module(f"{__name__}.{source}.{feed}").expectations(context)
    return suite
