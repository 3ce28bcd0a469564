"""Settings, from the environment (``WAREHOUSE_…``); all files that a run creates are below ``home``."""

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB, GIB = 1024**2, 1024**3
#: A day that every year has.
MonthDay = Annotated[
    str,
    StringConstraints(
        pattern=r"^((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))$"
    ),
]
Uscc = Annotated[str, StringConstraints(pattern=r"^[0-9A-HJ-NPQRTUWXY]{18}$")]


class _Channel(BaseModel):
    """A way that notifications go."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = ""  # in ops.notification; default: the type. Needed where there are several of a type.

    @model_validator(mode="before")
    @classmethod
    def _name_it(cls, values: object) -> object:
        return {"name": values["type"], **values} if isinstance(values, dict) and "type" in values else values


class LogChannel(_Channel):
    """The log: of a task in Airflow, of a command its standard error."""

    name: str = "log"
    type: Literal["log"] = "log"


class MailChannel(_Channel):
    """Mail by SMTP."""

    type: Literal["smtp"]
    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: SecretStr | None = None
    sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    recipients: tuple[Annotated[str, StringConstraints(pattern=r"^[^@\s,]+@[^@\s,]+$")], ...] = Field(min_length=1)


class WebhookChannel(_Channel):
    """A group robot of WeCom (企业微信) or DingTalk (钉钉), or a webhook of Slack. Its address is a secret."""

    type: Literal["wecom", "dingtalk", "slack"]
    url: SecretStr
    secret: SecretStr | None = None  # of a DingTalk robot that wants signatures

    @field_validator("url")
    @classmethod
    def _require_http(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return url

    @model_validator(mode="after")
    def _require_dingtalk(self) -> Self:
        if self.secret is not None and self.type != "dingtalk":
            raise ValueError("only robots of DingTalk have a secret beside their address")
        return self


Channel = Annotated[LogChannel | MailChannel | WebhookChannel, Field(discriminator="type")]


class Settings(BaseSettings):
    """Settings of every command, DAG and test.

    ``key`` is the master secret (at least 32 characters); without it ``home/key`` is used, a file with mode 0600 that
    the first run creates.
    """

    model_config = SettingsConfigDict(env_prefix="WAREHOUSE_", frozen=True, hide_input_in_errors=True)

    home: Path = Path(".warehouse")
    dsn: SecretStr | None = None
    inbox: str | None = None  # a folder or any fsspec URL; default: home/inbox
    inbox_options: dict[str, object] = Field(default_factory=dict)  # passed to fsspec (JSON in the environment)
    key: SecretStr | None = None
    archive_ratio: int = 100
    archive_bytes: int = 50 * GIB
    row_group_bytes: int = GIB
    #: Rejected rows of a delivery that are kept with their text, and bytes of that text; beyond they are only counted.
    kept_rejected_rows: int = Field(default=100_000, ge=1)
    kept_rejected_bytes: int = Field(default=64 * MIB, ge=1)
    #: A package is set aside once the processes of so many attempts at it were killed or crashed.
    broken_attempts: int = Field(default=2, ge=1)
    dbt_threads: int = Field(default=4, ge=1)
    #: Whether rows in the usual form take the fast path; without it every row is checked in full, with the same result.
    fast_path: bool = True
    #: Deliveries that one command loads side by side, where there are many.
    load_processes: int = Field(default=min(os.cpu_count() or 1, 4), ge=1)
    shares: Path | None = None  # folder of the declarations of shares; default: warehouse/shares
    outbox: Path | None = None  # where extracts for recipients are written; default: home/outbox
    #: Days of the year (MM-DD) from which the next publication replaces all months that shares show of marts with
    #: suppressed cells.
    share_revisions: tuple[MonthDay, ...] = ("01-01", "07-01")
    #: Where refused and missing deliveries, builds, publications and ends of shares are told; empty: nowhere.
    notify: tuple[Channel, ...] = (LogChannel(),)
    #: Where events of OpenLineage about loads and builds go: a transport of its client library (JSON). Empty: nowhere.
    openlineage: dict[str, object] = Field(default_factory=dict)
    #: The federation, as the catalogue of shared resources names its provider, and its unified social credit code.
    federation_name: str = "示例总工会"
    federation_uscc: Uscc = "81440000MB2D00003C"
    open_marts: tuple[str, ...] = ()  # marts that are open to the public: marts.<name>
    vault_openings: int = Field(default=50, ge=1)  # persons that a login may open in the vault on a day
    #: The login of who opens persons (a member of ``caseworker``), as a connection string; default: the owner.
    vault_dsn: SecretStr | None = None
    #: Folder for the write-ahead log of the embedded server, on another disk: needed for backups. Empty: none is kept.
    wal_archive: Path | None = None
    port: int = 0  # of the embedded server; 0: chosen at the first start and stored in home
    airflow_port: int = 0
    portal_port: int = 0  # 0: 8090 where it is free, else any free one

    @field_validator("notify")
    @classmethod
    def _require_names(cls, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        if len({channel.name for channel in channels}) < len(channels):
            raise ValueError("two channels have the same name: give each a name of its own")
        return channels

    @field_validator("openlineage")
    @classmethod
    def _require_type(cls, transport: dict[str, object]) -> dict[str, object]:
        if transport and not isinstance(transport.get("type"), str):
            raise ValueError('must name a transport of OpenLineage: {"type": "http", "url": …}')
        return transport

    @cached_property
    def root(self) -> Path:
        """``home`` as an absolute path; the folder is created, for its owner alone, if it does not exist."""
        root = self.home.absolute()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return root

    @property
    def outbox_path(self) -> Path:
        """Where extracts for recipients are written."""
        return self.outbox.absolute() if self.outbox is not None else self.root / "outbox"

    @property
    def vault_head_path(self) -> Path:
        """Where the last entry of the vault's log is noted, outside the database."""
        return self.root / "vault-log-head.json"

    @property
    def inbox_url(self) -> str:
        """Where deliveries arrive."""
        return self.inbox or str(self.root / "inbox")
