"""Logins of people for the tests of access: made on the real server, and dropped from it again."""

from collections.abc import Sequence

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.database import connect
from warehouse.access import users


class Logins:
    """Makes logins in one database and connects with them."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.passwords: dict[str, str] = {}

    def add(self, login: str, groups: Sequence[str], divisions: Sequence[str]) -> str:
        with connect(self.dsn) as conn:
            self.passwords[login] = users.add(conn, login, groups, divisions, "tester")
        return login

    def __call__(self, login: str) -> psycopg.Connection:
        parameters = {**conninfo_to_dict(self.dsn), "user": login, "password": self.passwords[login]}
        return psycopg.connect(make_conninfo(**parameters), autocommit=True)

    def drop(self) -> None:
        """Drop them: roles belong to the server, and so to every test."""
        with connect(self.dsn) as conn:
            for login in self.passwords:
                conn.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [login])
                conn.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(login)))
                conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))
