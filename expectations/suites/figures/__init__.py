"""Suites of the published figures, one module a subject, run on a build before it is published.

The keys are relation names inside the build schema. Exact definitions of the figures are tested in dbt; these suites
look at the finished numbers alone: shares, parts and wholes, the country and its provinces, changes from month to
month, and cells too small to be shown.
"""

from collections.abc import Sequence

from great_expectations.expectations.expectation import Expectation

from expectations.suites.figures import (
    employment,
    funds,
    honours,
    medical,
    membership,
    ops,
    reform,
    rights,
    services,
    training,
)

_SUBJECTS = (employment, funds, honours, medical, membership, ops, reform, rights, services, training)


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    return {relation: suite for subject in _SUBJECTS for relation, suite in subject.suites().items()}
