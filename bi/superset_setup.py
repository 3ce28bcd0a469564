"""Run by Superset's own Python: its database brought up to date, administrator, dashboards, who sees which rows.

``python -m bi.superset_setup BUNDLE``; the administrator's password comes from standard input. The bundle also holds
``row_rules.json``: the condition on the rows of each dataset, by its UUID.
"""

import json
import sys
from zipfile import ZipFile

import flask_migrate
from flask import g
from superset.app import create_app

from bi.superset_security import ADMIN, READER


def main(bundle: str) -> None:
    """Bring Superset's database up to date and import the bundle; a second time changes nothing."""
    password = sys.stdin.readline().strip()
    app = create_app()
    with app.app_context():
        # Superset's modules can be imported only within an application.
        from superset import appbuilder, security_manager
        from superset.commands.importers.v1.assets import ImportAssetsCommand
        from superset.commands.importers.v1.utils import get_contents_from_bundle

        flask_migrate.upgrade(directory=f"{app.root_path}/migrations")
        appbuilder.add_permissions(update_perms=True)
        security_manager.sync_role_definitions()
        if security_manager.find_user(ADMIN) is None:
            role = security_manager.find_role("Admin")
            security_manager.add_user(ADMIN, "Warehouse", "Administrator", "admin@localhost", role, password)
        g.user = security_manager.find_user(ADMIN)
        with ZipFile(bundle) as archive:
            ImportAssetsCommand(get_contents_from_bundle(archive)).run()
            _rule_rows(json.loads(archive.read("row_rules.json")))


def _rule_rows(conditions: dict[str, str | None]) -> None:
    """Let readers see the datasets, and everybody but the administrator only the rows that are theirs.

    Args:
        conditions: By the UUID of a dataset; None: all its rows are for everyone.
    """
    from superset import db, security_manager
    from superset.connectors.sqla.models import RowLevelSecurityFilter, SqlaTable

    reader, exempt = security_manager.add_role(READER), security_manager.find_role("Admin")
    datasets = {str(dataset.uuid): dataset for dataset in db.session.query(SqlaTable)}
    rules = {rule.name: rule for rule in db.session.query(RowLevelSecurityFilter)}
    for uuid, condition in conditions.items():
        dataset = datasets[uuid]
        permission = security_manager.add_permission_view_menu("datasource_access", dataset.perm)
        security_manager.add_permission_role(reader, permission)
        # A rule of the kind "Base" holds for every role but those that it names.
        columns = {"filter_type": "Base", "roles": [exempt], "tables": [dataset], "clause": condition}
        columns["description"] = f"{dataset.table_name}: the divisions of a login 所属区划"
        rule = rules.get(uuid)
        if condition is None:
            if rule is not None:
                db.session.delete(rule)
        elif rule is None:
            db.session.add(RowLevelSecurityFilter(name=uuid, **columns))
        else:
            for name, value in columns.items():
                setattr(rule, name, value)
    db.session.commit()


if __name__ == "__main__":
    main(sys.argv[1])
