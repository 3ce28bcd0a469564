"""Run by Superset's own Python: its database brought up to date, the administrator, and the dashboards imported.

``python -m bi.superset_setup BUNDLE``; the administrator's password comes from standard input.
"""

import sys
from zipfile import ZipFile

import flask_migrate
from flask import g
from superset.app import create_app

ADMIN = "admin"


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


if __name__ == "__main__":
    main(sys.argv[1])
