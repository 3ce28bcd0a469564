"""Superset's settings: ``SUPERSET_HOME`` has its own small database, ``SUPERSET_SECRETS`` its secrets."""

import os
from pathlib import Path

from bi.superset_security import WarehouseSecurityManager

HOME = Path(os.environ["SUPERSET_HOME"])
# The file with SQLAlchemy's address of the warehouse, whose server knows the logins.
WAREHOUSE_DATABASE_URL = HOME / "database-url"
SECRETS = Path(os.environ.get("SUPERSET_SECRETS", HOME))

SECRET_KEY = (SECRETS / "secret-key").read_text(encoding="utf-8").strip()
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME / 'superset.db'}"
BABEL_DEFAULT_LOCALE = "zh"
LANGUAGES = {"zh": {"flag": "cn", "name": "中文"}, "en": {"flag": "us", "name": "English"}}
# Nothing is asked of other hosts: no usage statistics, no fonts or tiles from elsewhere.
TALISMAN_ENABLED = True
SESSION_COOKIE_SAMESITE = "Lax"
WTF_CSRF_ENABLED = True
# The rules of rows name whoever asks, by a template; they hold for queries written by hand as well.
FEATURE_FLAGS = {
    "ALLOW_ADHOC_SUBQUERY": False,
    "DASHBOARD_RBAC": True,
    "ENABLE_TEMPLATE_PROCESSING": True,
    "RLS_IN_SQLLAB": True,
}
# Somebody who is silent for this many seconds logs in again.
PERMANENT_SESSION_LIFETIME = 8 * 60 * 60
SCARF_ANALYTICS = False
# A published figure is asked for again at most once in this many seconds.
CACHE_DEFAULT_TIMEOUT = 10
DATA_CACHE_CONFIG = {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": CACHE_DEFAULT_TIMEOUT}
ROW_LIMIT = 10_000
CUSTOM_SECURITY_MANAGER = WarehouseSecurityManager
