"""Loads an inbox in a process of its own, to be killed: ``python -m tests.faults.loading INBOX [STEP]``.

Without ``STEP`` it also tries what was set aside. With ``STEP`` the process kills itself when a delivery comes to that step (before the step's transaction ends, where it
has one). It says ``ready`` when it begins.
"""

import os
import signal
import sys
from contextlib import suppress

from ingest import contracts, database, pipeline
from ingest.errors import SetAside
from ingest.settings import Settings
from warehouse import schema


def main(inbox: str, step: str | None = None) -> None:
    settings = Settings().model_copy(update={"inbox": inbox})
    dsn = database.dsn(settings)

    def on_step(name: str, detail: dict[str, object]) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    with database.connect(dsn) as conn:
        schema.migrate(conn, contracts.load())
        pipeline.register(conn, settings)
        if step is None:
            for aside in pipeline.set_aside(conn):
                pipeline.retry(conn, aside.location)
        for arrival in pipeline.pending(conn):
            with suppress(SetAside):
                pipeline.load(dsn, settings, arrival.arrival_id, on_step=on_step)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
