"""Servers that receive notifications, and that can refuse them: mail by SMTP, JSON by HTTP."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope


@dataclass
class Webhook:
    """What came by HTTP, and what is answered."""

    url: str = ""
    status: int = 200
    answer: bytes = b"ok"
    requests: list[tuple[str, Any]] = field(default_factory=list)  # path, JSON


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    received = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/json; charset=utf-8"
            received.requests.append((self.path, json.loads(body)))
            self.send_response(received.status)
            if received.status == 302:
                self.send_header("Location", f"{received.url}/elsewhere")
            self.send_header("Content-Length", str(len(received.answer)))
            self.end_headers()
            self.wfile.write(received.answer)

        do_GET = do_POST  # noqa: N815 - nobody asks

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}/robot/send?key=hidden-key"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield received
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Mailbox:
    """What came by SMTP, and who logged in."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    received = Mailbox()

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802 - of aiosmtpd
            assert isinstance(envelope.content, bytes)
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            received.mails.append(mail)
            received.recipients.append(envelope.rcpt_tos)
            return "250 OK"

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        received.logins.append((login.login, login.password))
        return AuthResult(success=login.password == b"right", handled=False)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        received.port = free.getsockname()[1]
    controller = Controller(
        Handler(),
        hostname="127.0.0.1",
        port=received.port,
        authenticator=authenticate,
        auth_require_tls=False,
        auth_required=False,
    )
    controller.start()
    yield received
    controller.stop()
