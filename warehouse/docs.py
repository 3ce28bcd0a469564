"""The pages below ``home/docs``: dbt's own documentation and the validation results. Readable without a network."""

import shutil
from pathlib import Path

from expectations import docs as validation
from ingest.database import connect
from ingest.settings import Settings
from warehouse import dbt, server

INDEX = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Union data warehouse</title>
<h1>Union data warehouse 工会智慧数据库</h1>
<ul><li><a href="dbt.html">Models, columns and lineage (dbt)</a> 数据模型</li>
<li><a href="validation/index.html">Validation of deliveries and builds</a> 质量校验</li></ul></html>
"""


def folder(settings: Settings) -> Path:
    """Where the pages lie."""
    return settings.root / "docs"


def refresh(settings: Settings) -> Path:
    """Write all pages anew and return the index; dbt's only when code or published build have changed."""
    place = folder(settings)
    dsn = server.ensure_running(settings)
    validation.build(dsn, place / "validation")
    with connect(dsn) as conn:
        row = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone()
    published = row[0] if row else dbt.BUILDS[0]
    mark, wanted = place / "dbt.code", f"{published} {dbt.code_hash()}"
    if not mark.exists() or mark.read_text() != wanted:
        shutil.copyfile(dbt.document(dsn, settings, published), place / "dbt.html")
        mark.write_text(wanted)
    index = place / "index.html"
    index.write_text(INDEX, encoding="utf-8")
    return index
