"""Logins of Superset: those of the warehouse, checked by PostgreSQL, beside Superset's own administrator.

Whoever may read ``marts`` logs in with the name and password of ``warehouse user add``; the account is made at the
first login. What each sees of a dashboard follows from the divisions of that login (``bi/row_rules.py``).
"""

import re
import secrets
from typing import Any

import psycopg2
from flask import current_app
from sqlalchemy.engine import make_url
from superset.security import SupersetSecurityManager

#: Superset's own role with the tables of the dashboards; ``bi/superset_setup.py`` makes it.
READER = "Warehouse reader"
ADMIN = "admin"
#: Names of logins as ``warehouse user add`` makes them. They stand in the conditions on rows, so none has a quote.
_LOGIN = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


class WarehouseSecurityManager(SupersetSecurityManager):
    """Asks PostgreSQL whether a name and a password are right."""

    def auth_user_db(self, username: str, password: str) -> Any:
        """The account of a login, or None where the password is wrong or the login may not read ``marts``."""
        if username == ADMIN:
            return super().auth_user_db(username, password)
        if not (username and password and _LOGIN.fullmatch(username) and may_read(username, password)):
            return None
        user = self.find_user(username) or self._add(username)
        if user is None or not user.is_active:
            return None
        self.update_user_auth_stat(user, True)
        return user

    def _add(self, username: str) -> Any:
        roles = [role for name in ("Gamma", READER) if (role := self.find_role(name)) is not None]
        # The password that the account needs is never asked: PostgreSQL knows the login's.
        return self.add_user(username, username, "", f"{username}@localhost", roles, secrets.token_urlsafe(32))


def may_read(username: str, password: str) -> bool:
    """Whether PostgreSQL knows the login with this password, and the login is a reader of ``marts``."""
    url = make_url(current_app.config["WAREHOUSE_DATABASE_URL"].read_text(encoding="utf-8").strip())
    try:
        conn = psycopg2.connect(
            host=url.host,
            port=url.port,
            dbname=url.database,
            user=username,
            password=password,
            connect_timeout=5,
            **url.query,
        )
    except psycopg2.OperationalError:
        return False
    try:
        with conn.cursor() as cursor:
            cursor.execute("SELECT pg_has_role(session_user, 'bi_reader', 'USAGE')")
            row = cursor.fetchone()
        return bool(row and row[0])
    finally:
        conn.close()
