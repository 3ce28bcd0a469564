"""Decide about a delivery in a task, and show on Airflow's page and in the task's log what was decided and why."""

import logging
from collections.abc import MutableMapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from ingest.errors import SetAside
from ingest.pipeline import Outcome
from ingest.settings import Settings

#: What a mapped task is called on Airflow's page: the delivery, and once it is decided the decision.
MAP_INDEX_TEMPLATE = "{{ decision | default(task.op_kwargs['delivery']['name']) }}"

log = logging.getLogger(__name__)


def decide(delivery: dict[str, Any], context: MutableMapping[str, Any]) -> Outcome:
    """Take an arrival to its decision.

    Args:
        delivery: ``arrival_id`` and ``name``.
        context: Of the task; ``decision`` is added for ``MAP_INDEX_TEMPLATE``.

    Raises:
        NotDecided: An internal error prevented it.
        AirflowFailException: It is set aside: the processes of its tasks were killed or crashed too often.
    """
    from warehouse import operations

    settings = Settings()
    try:
        outcome = operations.load_one(settings, delivery["arrival_id"])
    except SetAside as fault:
        context["decision"] = f"{fault.package} · set aside"
        operations.notify(settings)
        raise AirflowFailException(str(fault)) from None  # without retries
    context["decision"] = " ".join([outcome.name, "·", outcome.status, *outcome.codes])
    log.info("%s", operations.explain(settings, outcome.name))
    return outcome
