"""The inbox behind S3 and SFTP servers on this machine: the same packages, the same decisions, nothing written."""

import datetime as dt
import hashlib
import json
import os
import socket
import stat
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import paramiko
import pytest
from moto.server import ThreadedMotoServer

from ingest import contracts
from ingest.delivery.inbox import Inbox
from ingest.delivery.integrity import check
from ingest.errors import DeliveryRefused, WarehouseError
from ingest.settings import Settings

NOW = dt.datetime(2026, 10, 20, tzinfo=dt.UTC)
SETTINGS = Settings(home=Path("unused"))
MEMBERS = "会员编号,工会编码,姓名,证件类型,证件号码,入会时间,会籍状态\n".encode()


def manifest(name: str, content: bytes = MEMBERS, path: str = "data/会员.csv") -> bytes:
    hashed = f"sha256:{hashlib.sha256(content).hexdigest()}"
    properties = {
        "name": name,
        "created": "2026-10-03T08:15:00+08:00",
        "source": "membership",
        "sender": "440000",
        "period": "2026-09",
        "mode": "delta",
        "contract_version": "1.0.0",
        "resources": [{"name": "member", "path": path, "hash": hashed}],
    }
    return json.dumps(properties).encode()


def fill(folder: Path) -> None:
    """Two packages, and things that are none."""
    (folder / "one" / "data").mkdir(parents=True)
    (folder / "one" / "data" / "会员.csv").write_bytes(MEMBERS)
    (folder / "one" / "unlisted.bin").write_bytes(b"\0" * 100)
    (folder / "one" / "datapackage.json").write_bytes(manifest("one"))
    with zipfile.ZipFile(folder / "two.zip", "w") as archive:
        archive.writestr("data/会员.csv", MEMBERS)
        archive.writestr("datapackage.json", manifest("two"))
    (folder / "unfinished" / "data").mkdir(parents=True)
    (folder / "unfinished" / "data" / "会员.csv").write_bytes(MEMBERS)
    (folder / "three.zip.part").write_bytes(b"PK")
    (folder / "notes.txt").write_bytes(b"x")


class Remote:
    """An inbox on a server: its URL and options, and a way to put a file there and to list all."""

    def __init__(self, url: str, options: dict[str, Any], put: Callable[[str, bytes], None], state: Callable[[], Any]):
        self.url, self.options, self.put, self.state = url, options, put, state

    def inbox(self) -> Inbox:
        return Inbox(self.url, self.options)


# --- S3 ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    options = {
        "key": "testing",
        "secret": "testing",
        "client_kwargs": {"endpoint_url": s3_endpoint, "region_name": "cn-north-1"},
        "skip_instance_cache": True,
    }
    bucket = f"inbox-{tmp_path.name}".replace("_", "-").lower()
    client = fsspec.filesystem("s3", **options)
    client.mkdir(bucket)
    source = tmp_path / "source"
    fill(source)

    def put(name: str, content: bytes) -> None:
        client.pipe_file(f"{bucket}/drop/{name}", content)

    for path in sorted(source.rglob("*")):
        if path.is_file():
            put(str(path.relative_to(source)), path.read_bytes())

    def state() -> Any:
        client.invalidate_cache()
        found = client.find(f"{bucket}/drop", detail=True)
        return {name: (info["ETag"], str(info["LastModified"])) for name, info in found.items()}

    return Remote(f"s3://{bucket}/drop", options, put, state)


# --- SFTP --------------------------------------------------------------------------------------------------------


class _Handle(paramiko.SFTPHandle):
    def stat(self) -> Any:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class _Files(paramiko.SFTPServerInterface):
    """A folder over SFTP; only for reading."""

    root: Path

    def _real(self, path: str) -> Path:
        return Path(os.path.normpath(f"{self.root}/{self.canonicalize(path)}"))

    def list_folder(self, path: str) -> Any:
        try:
            found = sorted(self._real(path).iterdir())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return [paramiko.SFTPAttributes.from_stat(path.lstat(), path.name) for path in found]

    def _status(self, path: str, follow: bool) -> Any:
        try:
            return paramiko.SFTPAttributes.from_stat(self._real(path).stat(follow_symlinks=follow))
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def stat(self, path: str) -> Any:
        return self._status(path, True)

    def lstat(self, path: str) -> Any:
        return self._status(path, False)

    def open(self, path: str, flags: int, attr: Any) -> Any:
        if flags & (os.O_WRONLY | os.O_RDWR):
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            stream = self._real(path).open("rb")
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        handle = _Handle(flags)
        handle.filename, handle.readfile = path, stream
        return handle


class _Door(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        known = (username, password) == ("sender", "secret-word")
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[Remote]:
    root = tmp_path / "server"
    fill(root / "drop")
    files = type("Files", (_Files,), {"root": root})
    listener = socket.create_server(("127.0.0.1", 0))
    key = paramiko.RSAKey.generate(2048)
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, files)
            transport.start_server(server=_Door())
            transports.append(transport)

    threading.Thread(target=serve, daemon=True).start()

    def put(name: str, content: bytes) -> None:
        path = root / "drop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (time.time() + 5, time.time() + 5))  # SFTP tells whole seconds

    def state() -> Any:
        found = sorted(root.rglob("*"))
        return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in found}

    options = {"username": "sender", "password": "secret-word", "skip_instance_cache": True}
    yield Remote(f"sftp://127.0.0.1:{listener.getsockname()[1]}/drop", options, put, state)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for transport in transports:
        transport.close()


@pytest.fixture(params=["s3", "sftp"])
def remote(request: pytest.FixtureRequest) -> Remote:
    found: Remote = request.getfixturevalue(request.param)
    return found


# --- the tests ---------------------------------------------------------------------------------------------------


def test_packages_are_found_fetched_and_checked_and_nothing_changes(remote: Remote, tmp_path: Path) -> None:
    before = remote.state()
    inbox = remote.inbox()
    found = list(inbox.scan())
    assert [(package.location, package.is_zip) for package in found] == [("one", False), ("two.zip", True)]
    hashes = []
    for package in found:
        assert inbox.read_manifest(package)["source"] == "membership"
        workdir = tmp_path / f"work-{package.location}"
        workdir.mkdir()
        local = inbox.fetch(package, workdir)
        assert workdir in local.parents
        assert not (local / "unlisted.bin").exists(), "only what the manifest lists is fetched"
        checked = check(local, package.is_zip, workdir, contracts.load(), SETTINGS, NOW)
        assert checked.files["data/会员.csv"].read_bytes() == MEMBERS
        hashes.append(checked.sha256)
    assert hashes[0] == hashes[1]
    assert remote.state() == before


def test_fingerprints_change_with_the_package_only(remote: Remote) -> None:
    before = {package.location: package.fingerprint for package in remote.inbox().scan()}
    assert {package.location: package.fingerprint for package in remote.inbox().scan()} == before
    remote.put("one/unlisted.bin", b"other")
    assert {package.location: package.fingerprint for package in remote.inbox().scan()} == before
    remote.put("one/data/会员.csv", MEMBERS + b"x")
    after = {package.location: package.fingerprint for package in remote.inbox().scan()}
    assert after["one"] != before["one"]
    assert after["two.zip"] == before["two.zip"]
    remote.put("unfinished/datapackage.json", manifest("unfinished"))
    assert "unfinished" in {package.location for package in remote.inbox().scan()}


def test_what_is_missing_or_broken_is_found_by_the_check(remote: Remote, tmp_path: Path) -> None:
    remote.put("broken/datapackage.json", b"{")
    remote.put("missing/datapackage.json", manifest("missing"))
    remote.put("up/datapackage.json", manifest("up", path="../one/data/会员.csv"))
    remote.put("broken.zip", b"PK\x03\x04")
    inbox = remote.inbox()
    packages = {package.location: package for package in inbox.scan()}
    for name, code in {
        "broken": "D_MANIFEST",
        "missing": "D_MISSING_FILE",
        "up": "D_PATH",
        "broken.zip": "D_ARCHIVE",
    }.items():
        workdir = tmp_path / f"work-{name}"
        workdir.mkdir()
        local = inbox.fetch(packages[name], workdir)
        with pytest.raises(DeliveryRefused) as refused:
            check(local, packages[name].is_zip, workdir, contracts.load(), SETTINGS, NOW)
        assert refused.value.codes == [code]
    assert inbox.read_manifest(packages["broken"]) == inbox.read_manifest(packages["broken.zip"]) == {}


def test_a_link_on_the_server_refuses(sftp: Remote, tmp_path: Path) -> None:
    secret = tmp_path / "server" / "secret.csv"
    secret.write_bytes(MEMBERS)
    path = tmp_path / "server" / "drop" / "linked"
    (path / "data").mkdir(parents=True)
    (path / "data" / "会员.csv").symlink_to(secret)
    (path / "datapackage.json").write_bytes(manifest("linked"))
    inbox = sftp.inbox()
    package = next(package for package in inbox.scan() if package.location == "linked")
    workdir = tmp_path / "work"
    workdir.mkdir()
    local = inbox.fetch(package, workdir)
    assert stat.S_ISLNK((local / "data" / "会员.csv").lstat().st_mode)
    with pytest.raises(DeliveryRefused) as refused:
        check(local, False, workdir, contracts.load(), SETTINGS, NOW)
    assert refused.value.codes == ["D_PATH"]


@pytest.mark.timeout(60)
def test_only_regular_files_are_opened_on_the_server(sftp: Remote, tmp_path: Path) -> None:
    """To open a FIFO there would wait for ever; SFTP tells of it as an empty file."""
    drop = tmp_path / "server" / "drop"
    for name in ("m-fifo", "m-folder", "m-link", "f-fifo", "f-folder"):
        (drop / name / "data").mkdir(parents=True)
        (drop / name / "data" / "会员.csv").write_bytes(MEMBERS)
        (drop / name / "datapackage.json").write_bytes(manifest(name))
    for name in ("m-fifo", "m-folder", "m-link"):
        (drop / name / "datapackage.json").unlink()
    os.mkfifo(drop / "m-fifo" / "datapackage.json")
    (drop / "m-folder" / "datapackage.json").mkdir()
    (drop / "m-link" / "datapackage.json").symlink_to(drop / "one" / "datapackage.json")
    for name in ("f-fifo", "f-folder"):
        (drop / name / "data" / "会员.csv").unlink()
    os.mkfifo(drop / "f-fifo" / "data" / "会员.csv")
    (drop / "f-folder" / "data" / "会员.csv").mkdir()
    os.mkfifo(drop / "z-fifo.zip")
    (drop / "z-link.zip").symlink_to(drop / "two.zip")
    inbox = sftp.inbox()
    found = {}
    for package in inbox.scan():
        assert next(inbox.scan(only=package.location)) == package
        told = inbox.read_manifest(package)
        workdir = tmp_path / f"work-{package.location}"
        workdir.mkdir()
        try:
            check(inbox.fetch(package, workdir), package.is_zip, workdir, contracts.load(), SETTINGS, NOW)
        except DeliveryRefused as refused:
            found[package.location] = refused.codes
        assert bool(told) == (package.location in ("one", "two.zip", "f-fifo", "f-folder"))
    assert found == {
        "m-fifo": ["D_MANIFEST"],
        "m-folder": ["D_MANIFEST"],
        "m-link": ["D_PATH"],
        "f-fifo": ["D_HASH"],
        "f-folder": ["D_PATH"],
        "z-fifo.zip": ["D_ARCHIVE"],
        "z-link.zip": ["D_PATH"],
    }


def test_what_an_object_store_can_hold_and_a_folder_cannot(s3: Remote, tmp_path: Path) -> None:
    """A manifest with something below it, and a file that is a folder too."""
    s3.put("m-folder/datapackage.json/x", b"{}")
    s3.put("f-both/datapackage.json", manifest("f-both"))
    s3.put("f-both/data/会员.csv", MEMBERS)
    s3.put("f-both/data", b"x")
    inbox = s3.inbox()
    found = {}
    for package in inbox.scan():
        workdir = tmp_path / f"work-{package.location}"
        workdir.mkdir()
        inbox.read_manifest(package)
        try:
            check(inbox.fetch(package, workdir), package.is_zip, workdir, contracts.load(), SETTINGS, NOW)
        except DeliveryRefused as refused:
            found[package.location] = refused.codes
    assert found == {"m-folder": ["D_MANIFEST"]}


def test_a_local_inbox_is_read_in_place(tmp_path: Path) -> None:
    fill(tmp_path / "drop")
    for url in (str(tmp_path / "drop"), f"file://{tmp_path}/drop"):
        inbox = Inbox(url)
        found = {package.location: package for package in inbox.scan()}
        assert sorted(found) == ["one", "two.zip"]
        assert inbox.fetch(found["one"], tmp_path / "unused") == tmp_path / "drop" / "one"
        assert inbox.read_manifest(found["two.zip"])["name"] == "two"


def test_a_name_that_is_not_utf8_is_escaped(tmp_path: Path) -> None:
    fill(tmp_path)
    name = os.fsdecode("会员".encode("gb18030"))
    (tmp_path / "one").rename(tmp_path / name)
    inbox = Inbox(str(tmp_path))
    package = next(package for package in inbox.scan() if not package.is_zip)
    package.location.encode()
    assert inbox.read_manifest(package)["name"] == "one"
    assert (Inbox(str(tmp_path)).fetch(package, tmp_path) / "datapackage.json").exists()


def test_a_missing_inbox_is_reported(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="WAREHOUSE_INBOX"):
        list(Inbox(str(tmp_path / "nowhere")).scan())
    with pytest.raises(WarehouseError) as error:
        Inbox("nosuchprotocol://user:secret-word@host/x")
    assert "secret-word" not in str(error.value)
