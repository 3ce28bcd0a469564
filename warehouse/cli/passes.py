"""Commands that load, build and publish."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest.errors import NotDecided, WarehouseError
from ingest.settings import Settings
from warehouse.cli.console import (
    AsJson,
    Inbox,
    fail_if_not_decided,
    load_checked_settings,
    load_settings,
    out,
    print_json,
    print_not_decided,
    print_outcome,
    progress_bar,
)

if TYPE_CHECKING:  # importing these takes longer than `--help` should
    from ingest.pipeline import Outcome
    from warehouse.build.planning import BuildPlan
    from warehouse.build.publish import PublicationResult

app = typer.Typer()


@app.command()
def run(inbox: Inbox = None, as_json: AsJson = False) -> None:
    """One whole pass without Airflow: register, load, build, audit, publish."""
    from warehouse import operations

    settings = load_checked_settings(inbox)
    on_outcome, on_fault = _printers(as_json)
    with progress_bar() as progress:
        report = operations.run(settings, progress, on_outcome=on_outcome, on_fault=on_fault)
    if as_json:
        print_json(
            {
                "registered": report.registered,
                **_decided(report.outcomes, report.not_decided),
                "publication": _publication(report.plan, report.moved),
                "portal": _refresh_portal(settings),
            }
        )
        fail_if_not_decided(report.not_decided)
        return
    counts = ", ".join(f"{number} {status}" for status, number in sorted(report.statuses.items()))
    out.print(f"{report.registered} packages new, {len(report.outcomes)} decided: {counts or 'nothing to load'}")
    _print_publication(report.plan, report.moved)
    _write_portal(settings)
    fail_if_not_decided(report.not_decided)


@app.command()
def load(inbox: Inbox = None, as_json: AsJson = False) -> None:
    """Register and load what is undecided; builds nothing."""
    from warehouse import operations

    outcomes: list[Outcome] = []
    failures: list[NotDecided] = []
    print_decided, print_failed = _printers(as_json)

    def on_outcome(outcome: "Outcome") -> None:
        outcomes.append(outcome)
        print_decided(outcome)

    def on_failure(failure: NotDecided) -> None:
        failures.append(failure)
        print_failed(failure)

    settings = load_checked_settings(inbox)
    with progress_bar() as progress:
        registered = operations.load_all(
            settings,
            on_outcome,
            on_failure,
            lambda *started: progress("load", *started),
            lambda file, rows, stated: progress("read", file, rows, stated or 0),
        )
    if as_json:
        print_json({"registered": registered, **_decided(outcomes, failures)})
    fail_if_not_decided(failures)


def _printers(as_json: bool) -> "tuple[Callable[[Outcome], None], Callable[[NotDecided], None]]":
    """What is printed as soon as a package is decided, or is not: nothing where JSON follows at the end."""
    if as_json:
        return lambda _: None, lambda _: None
    return print_outcome, print_not_decided


def _decided(outcomes: "list[Outcome]", failures: list[NotDecided]) -> dict[str, Any]:
    """For JSON: what was decided about packages, and which could not be."""
    return {
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "not_decided": [{"package": failure.package, "reason": failure.reason} for failure in failures],
    }


@app.command()
def build(as_json: AsJson = False) -> None:
    """Build, audit and publish what is new in the ledger."""
    _build(None, as_json=as_json)


@app.command()
def rebuild(month: Annotated[str, typer.Option(help="Month, as 2026-09.")], as_json: AsJson = False) -> None:
    """Rebuild a month whatever changed, and publish."""
    _build(month, as_json=as_json)


def _build(month: str | None, *, as_json: bool) -> None:
    from warehouse import operations

    settings = load_checked_settings()
    with progress_bar() as progress:
        plan, result = operations.build_and_publish(settings, progress, month)
    if as_json:
        print_json({"publication": _publication(plan, result), "portal": _refresh_portal(settings)})
        return
    _print_publication(plan, result)
    _write_portal(settings)


def _write_portal(settings: Settings) -> None:
    """Write the portal and say where it lies; a pass without a publication may have refused something."""
    out.print(f"Portal: {_refresh_portal(settings)}", soft_wrap=True, markup=False)


def _refresh_portal(settings: Settings) -> str:
    from warehouse.documentation import pages

    return str(pages.refresh_portal(settings))


def _publication(plan: "BuildPlan | None", result: "PublicationResult | None") -> dict[str, Any] | None:
    """For JSON: what was published; None where nothing is new."""
    if plan is None or result is None:
        return None
    return {"build": plan["build"], "deliveries": plan["deliveries"], **asdict(result)}


def _print_publication(plan: "BuildPlan | None", result: "PublicationResult | None") -> None:
    if plan is None or result is None:
        out.print("Nothing is new: the publication stands.")
        return
    out.print(
        f"Published {plan['build']}: {len(plan['deliveries'])} deliveries, {len(result.row_counts)} relations, "
        f"{sum(result.row_counts.values())} rows"
    )
    for view in result.abandoned:
        out.print(f"[yellow]{view} is no longer built; its view stays at the last state. Drop it when nobody needs it.")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Whether the home and the database will do, then every data test over all that is published."""
    from warehouse import operations
    from warehouse.local import preflight

    settings = Settings()
    checked: list[str] = []
    for subject, problem in preflight.findings(settings):
        checked.append(subject)
        if not as_json:
            out.print(f"{'no' if problem else 'ok'}  {subject}", markup=False)
        if problem is not None:
            raise WarehouseError(problem)
    with progress_bar() as progress:
        build = operations.check_published(settings, lambda node, done, total: progress("check", node, done, total))
    if as_json:
        print_json({"checked": checked, "tested_build": build})
        return
    out.print(f"{build}: all tests passed" if build else "Nothing is published yet.")


@app.command()
def publish(
    previous: Annotated[
        bool, typer.Option("--previous", help="Return to the publication before the current one.")
    ] = False,
) -> None:
    """Return to the previous publication (a build publishes by itself)."""
    from warehouse import operations

    if not previous:
        raise WarehouseError(
            "A build publishes by itself (`warehouse build`). To go back: `warehouse publish --previous`."
        )
    settings = load_settings()
    result = operations.publish_previous(settings)
    out.print(
        f"Back at the previous publication: {sum(result.row_counts.values())} rows. It stays until something new comes."
    )
    _write_portal(settings)
