"""The fixtures of loading serve the fault tests too."""

from tests.integration.conftest import database_dsn, load_inbox, warehouse  # noqa: F401
