"""Generates ``dbt_project/models/exposures.yml``: in dbt's lineage each dashboard stands behind the tables it shows.

``make generate`` writes it; a test fails when it is out of date.
"""

from pathlib import Path

import yaml

from bi import bundle

PAGE = Path(__file__).resolve().parents[1] / "dbt_project" / "models" / "exposures.yml"
HEAD = "# Written by `make generate` from bi/dashboards.yaml: change that, not this file.\n"


def page() -> str:
    """The whole file."""
    exposures = [
        {
            "name": f"dashboard_{slug}",
            "label": bundle.both(dashboard["title"]),
            "type": "dashboard",
            "maturity": "high",
            "description": "; ".join(bundle.both(chart["title"]) for chart in dashboard["charts"]),
            "owner": {"name": "union data warehouse", "email": "warehouse@localhost"},
            "depends_on": [f"ref('{name}')" for name in sorted({chart["dataset"] for chart in dashboard["charts"]})],
        }
        for slug, dashboard in bundle.load()["dashboards"].items()
    ]
    return HEAD + yaml.safe_dump({"version": 2, "exposures": exposures}, allow_unicode=True, sort_keys=False, width=120)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
