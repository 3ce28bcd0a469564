"""Writes the pages below ``home/docs``: the portal, and beside it dbt's documentation. They need no network."""

from pathlib import Path

from ingest.database import connect
from ingest.settings import Settings
from warehouse import whole_file
from warehouse.build import dbt
from warehouse.local import server
from warehouse.portal import pages as portal


def folder(settings: Settings) -> Path:
    """The folder of the pages."""
    return settings.root / "docs"


def refresh_portal(settings: Settings) -> Path:
    """Write the portal; of packages only the pages that have changed. Returns the first page."""
    return portal.write(server.ensure_running(settings), folder(settings))


def refresh(settings: Settings) -> Path:
    """Write all pages and return the first one.

    dbt's page is written once something is published, and again only if the code or the published build has changed.
    """
    target = folder(settings)
    index = refresh_portal(settings)
    dsn = server.ensure_running(settings)
    with connect(dsn) as conn:
        row = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone()
    if row is None:
        return index
    version_file, version = target / "dbt.code", f"{row[0]} {dbt.code_hash()}"
    if not version_file.exists() or version_file.read_text() != version:
        with whole_file.replaced(target / "dbt.html") as page:
            page.write(dbt.document(dsn, settings, row[0]).read_bytes())
        whole_file.write_text(version_file, version)
    return index
