"""Loads an inbox in a process of its own, to be killed: ``python -m tests.faults.loading INBOX [STEP]``.

With ``STEP`` the process kills itself when a delivery comes to that step (before the step's transaction ends, where it
has one). It says ``ready`` when it begins.
"""

import os
import signal
import sys

from ingest import contracts, database, load
from ingest.settings import Settings


def main(inbox: str, step: str | None = None) -> None:
    settings = Settings().model_copy(update={"inbox": inbox})
    dsn = database.dsn(settings)

    def on_step(name: str, detail: dict[str, object]) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    with database.connect(dsn) as conn:
        database.migrate(conn, contracts.load())
        load.register(conn, settings)
        for arrival in load.pending(conn):
            load.load(dsn, settings, arrival.arrival_id, on_step=on_step)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
