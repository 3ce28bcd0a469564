"""What the events say: runs, jobs and data sets in OpenLineage's words. Names alone, no value of a row.

Imported by the thread that sends, because the library takes a third of a second to import.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
    symlinks_dataset,
    tags_dataset,
)
from psycopg.conninfo import conninfo_to_dict

from ingest import shown
from ingest.settings import Settings

#: Namespace of all jobs, and who made the events.
NAMESPACE = "union-data-warehouse"
PRODUCER = f"urn:{NAMESPACE}"
#: Name of the facet with the decision about a delivery.
DECISION = "unionWarehouse_decision"

START, COMPLETE, FAIL = RunState.START, RunState.COMPLETE, RunState.FAIL


@attr.define
class DecisionRunFacet(RunFacet):
    """What was decided about a delivery, with its codes and rows."""

    status: str
    codes: list[str]
    rowsRead: int  # noqa: N815 - as OpenLineage writes names
    rowsLoaded: int  # noqa: N815
    rowsRejected: int  # noqa: N815

    @staticmethod
    def _get_schema() -> str:
        return f"{PRODUCER}:DecisionRunFacet:1"


@attr.define
class RunId:
    """A run: its number, its job and since when it has been under way."""

    run_id: str
    job: str
    begun_at: datetime
    parent: "RunId | None" = None


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def event(
    state: RunState,
    run: RunId,
    at: datetime,
    inputs: Iterable[InputDataset] = (),
    outputs: Iterable[OutputDataset] = (),
    facets: Mapping[str, RunFacet] | None = None,
    kind: str = "JOB",
) -> RunEvent:
    """An event of a run."""
    run_facets = dict(facets or {})
    if run.parent is not None:
        run_facets["parent"] = parent_run.ParentRunFacet(
            parent_run.Run(run.parent.run_id), parent_run.Job(NAMESPACE, run.parent.job), producer=PRODUCER
        )
    job_facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "UNION_DATA_WAREHOUSE", kind, producer=PRODUCER)
    }
    return RunEvent(
        eventType=state,
        eventTime=at.isoformat(),
        run=Run(run.run_id, run_facets),
        job=Job(NAMESPACE, run.job, job_facets),
        inputs=list(inputs),
        outputs=list(outputs),
        producer=PRODUCER,
    )


def failure(message: str) -> dict[str, RunFacet]:
    """The facet that says why a run failed."""
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "PYTHON", producer=PRODUCER)}


def table_namespace(dsn: str) -> tuple[str, str]:
    """Namespace of the tables of a database, and its name, with which their names begin."""
    address = conninfo_to_dict(dsn)
    host = str(address.get("host") or "localhost")
    host = "localhost" if host.startswith("/") else host
    return f"postgres://{host}:{address.get('port') or 5432}", str(address.get("dbname") or "")


def package_namespace(settings: Settings) -> tuple[str, str]:
    """Namespace of the packages of the inbox, and the path with which their names begin; without a login."""
    address = urlsplit(settings.inbox_url)
    if not address.netloc:
        return "file", shown.file(address.path)
    port = f":{address.port}" if address.port else ""
    return f"{address.scheme}://{address.hostname}{port}", shown.file(address.path.strip("/"))


def package_file(
    settings: Settings, location: str, path: str | None = None, rows: int | None = None, size: int | None = None
) -> InputDataset:
    """A package of the inbox, or a file of it."""
    namespace, folder = package_namespace(settings)
    parts = [folder, shown.location(location), *([shown.path(path, 0)] if path is not None else [])]
    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rows, size, producer=PRODUCER)
    return InputDataset(
        namespace, "/".join(filter(None, parts)), {"inputStatistics": statistics} if rows is not None else {}
    )


def input_table(dsn: str, relation: str) -> InputDataset:
    """A table that a run reads."""
    namespace, database = table_namespace(dsn)
    return InputDataset(namespace, f"{database}.{relation}")


def output_table(dsn: str, relation: str, rows: int | None = None, physical: str | None = None) -> OutputDataset:
    """A table that a run writes, by the name that stays, and in a build the name that it has there."""
    namespace, database = table_namespace(dsn)
    table = OutputDataset(namespace, f"{database}.{relation}")
    if rows is not None:
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rows, producer=PRODUCER)
        table.outputFacets = {"outputStatistics": statistics}
    if physical is not None:
        identifier = symlinks_dataset.Identifier(namespace, f"{database}.{physical}", "TABLE")
        table.facets = {"symlinks": symlinks_dataset.SymlinksDatasetFacet([identifier], producer=PRODUCER)}
    return table


def describe(table: OutputDataset, columns: Iterable[tuple[str, str, str]]) -> OutputDataset:
    """The table with its columns: (name, type, class of protection)."""
    fields, tags = [], []
    for name, kind, classification in columns:
        fields.append(schema_dataset.SchemaDatasetFacetFields(name, kind))
        tags.append(tags_dataset.TagsDatasetFacetFields("classification", classification, NAMESPACE, name))
    table.facets = {
        **(table.facets or {}),
        "schema": schema_dataset.SchemaDatasetFacet(fields, producer=PRODUCER),
        "tags": tags_dataset.TagsDatasetFacet(tags, producer=PRODUCER),
    }
    return table
