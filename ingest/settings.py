"""Settings, from the environment (``WAREHOUSE_…``); everything a run makes lies below ``home``."""

from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

GIB = 1024**3


class Settings(BaseSettings):
    """Settings of every command, DAG and test.

    ``key`` is the master secret (at least 32 characters); without it ``home/key`` is used, a file with mode 0600 that
    the first run makes.
    """

    model_config = SettingsConfigDict(env_prefix="WAREHOUSE_", frozen=True)

    home: Path = Path(".warehouse")
    dsn: SecretStr | None = None
    inbox: str | None = None  # a folder or any fsspec URL; default: home/inbox
    inbox_options: dict[str, object] = Field(default_factory=dict)  # passed to fsspec (JSON in the environment)
    key: SecretStr | None = None
    archive_ratio: int = 100
    archive_bytes: int = 50 * GIB
    row_group_bytes: int = GIB
    dbt_threads: int = Field(default=4, ge=1)
    port: int = 0  # of the embedded server; 0: chosen once and kept in home
    airflow_port: int = 0

    @cached_property
    def root(self) -> Path:
        """``home`` as an absolute path, made when missing."""
        root = self.home.absolute()
        root.mkdir(parents=True, exist_ok=True)
        return root

    @property
    def inbox_url(self) -> str:
        """Where deliveries arrive."""
        return self.inbox or str(self.root / "inbox")
