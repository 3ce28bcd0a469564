"""What the commands share: where they print, options that several have, settings, and the progress bar."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ingest.errors import NotDecided, SetAside, WarehouseError
from ingest.settings import Settings

if TYPE_CHECKING:  # importing these takes longer than most commands
    from ingest.pipeline import Outcome

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Inbox = Annotated[str | None, typer.Option(help="Folder or fsspec URL; default: WAREHOUSE_INBOX, else home/inbox.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
DeliveryName = Annotated[str, typer.Argument(help="Name of the delivery.")]

#: The stage in which the rows of one file are counted.
READ = "read"

STATUS_COLORS = {
    "accepted": "green",
    "refused": "red",
    "superseded": "yellow",
    "withdrawn": "yellow",
    "set aside": "red",
    "duplicate": "yellow",
}


def load_settings(inbox: str | None = None) -> Settings:
    """The settings, with another inbox where one is given.

    Raises:
        WarehouseError: The inbox is no folder, or the home cannot be used.
    """
    from warehouse.local import preflight

    settings = Settings()
    preflight.require_home(settings)
    if inbox is None:
        return settings
    if "://" not in inbox:
        if not inbox or not Path(inbox).is_dir():
            raise WarehouseError(f"There is no folder {inbox}.")
        inbox = str(Path(inbox).absolute())
    return settings.model_copy(update={"inbox": inbox})


def load_checked_settings(inbox: str | None = None) -> Settings:
    """The settings of a command that loads or builds: home and database are checked before it does anything."""
    from warehouse.local import preflight

    settings = load_settings(inbox)
    preflight.require(settings)
    return settings


class RateColumn(ProgressColumn):
    """How many items (packages, rows of a file, nodes of dbt) are done in a second."""

    def render(self, task: Task) -> Text:
        """Empty until a rate is known."""
        return Text("" if task.speed is None else f"{task.speed:,.{0 if task.speed >= 10 else 1}f}/s")


@contextmanager
def progress_bar() -> Iterator[Callable[[str, str, int, int], None]]:
    """A progress bar with rate, elapsed and remaining time while the output is a terminal.

    Yields a function of the stage, the name of the current item, the number of finished items, and the number of all
    (0 where it is unknown).
    """
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[stage]:7}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, item: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(item, stage=stage, total=total or None)
            elif done < bar.tasks[tasks[stage]].completed:  # another file: its rate and time begin anew
                bar.reset(tasks[stage])
            if READ in tasks:
                bar.update(tasks[READ], visible=stage == READ)
            bar.update(tasks[stage], description=item, completed=done, total=total or None)

        yield report


def print_json(facts: object) -> None:
    """Print facts for programs: JSON in UTF-8, two spaces of indentation."""
    out.print(json.dumps(facts, ensure_ascii=False, indent=2, default=str), markup=False)


def print_outcome(outcome: "Outcome") -> None:
    """Print the decision about a delivery, and why it was refused."""
    color = STATUS_COLORS.get(outcome.status, "white")
    reason = outcome.reason or " ".join(outcome.codes)
    out.print(f"[{color}]{outcome.status:10}[/{color}] {escape(f'{outcome.name}  {reason}'.rstrip())}")


def print_not_decided(failure: NotDecided) -> None:
    """Print why a package could not be decided."""
    out.print(f"[red]{'set aside' if isinstance(failure, SetAside) else 'not decided'}[/red] ", end="")
    out.print(f"{failure.package}: {failure.reason}", markup=False)


def fail_if_not_decided(failures: Sequence[NotDecided]) -> None:
    """Raise WarehouseError when packages were not decided: at the end of a command, after everything else was done."""
    again = dict.fromkeys(failure.package for failure in failures if not isinstance(failure, SetAside))
    set_aside = dict.fromkeys(failure.package for failure in failures if isinstance(failure, SetAside))
    messages = []
    if again:
        messages.append(
            f"Not decided: {', '.join(again)}. The next pass tries again; ops.delivery_step and the engineers' guide"
            " say more."
        )
    if set_aside:
        messages.append(f"Set aside: {', '.join(set_aside)}. `warehouse explain NAME` says what to do.")
    if messages:
        raise WarehouseError(" ".join(messages))
