"""Group robots of WeCom and DingTalk, and incoming webhooks of Slack: the JSON that each takes, and what it answers.

Formats: https://developer.work.weixin.qq.com/document/path/91770 (WeCom),
https://open.dingtalk.com/document/robots/custom-robot-access (DingTalk),
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (Slack).
"""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from ingest.settings import WebhookChannel

TIMEOUT_SECONDS = 10
#: Most bytes of a text: WeCom's limit; DingTalk's of a request, with room for escapes; what Slack advises.
MAX_BYTES = {"wecom": 2048, "dingtalk": 12_000, "slack": 4000}
#: Longest answer that is read.
_MAX_ANSWER = 10_000


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET without the message: it is an error here."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow none."""


_opener = urllib.request.build_opener(_NoRedirects)


class WebhookRefused(Exception):
    """A service did not take a message. The text holds no address, because addresses hold secrets."""


def payload(type_: str, text: str) -> dict[str, Any]:
    """A message of plain text as a service takes it.

    Plain text, because names of deliveries may hold what another format would read as a link or a mention.
    """
    if type_ == "slack":
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {"text": escaped, "mrkdwn": False}
    if type_ == "dingtalk":
        return {"msgtype": "text", "text": {"content": text}, "at": {"isAtAll": False}}
    return {"msgtype": "text", "text": {"content": text}}


def signed(url: str, secret: str, milliseconds: int) -> str:
    """The address of a DingTalk robot with the signature of this moment."""
    digest = hmac.digest(secret.encode(), f"{milliseconds}\n{secret}".encode(), hashlib.sha256)
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}timestamp={milliseconds}&sign={quote_plus(base64.b64encode(digest))}"


def send(channel: WebhookChannel, text: str) -> None:
    """Send a message.

    Raises:
        WebhookRefused: The service cannot be reached or did not take it.
    """
    url = channel.url.get_secret_value()
    if channel.secret is not None:
        url = signed(url, channel.secret.get_secret_value(), int(time.time() * 1000))
    request = urllib.request.Request(  # noqa: S310 - the settings allow http and https alone
        url,
        data=json.dumps(payload(channel.type, text), ensure_ascii=False).encode(),
        headers={"Content-Type": "application/json; charset=utf-8"},
        method="POST",
    )
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            _require_success(response.read(_MAX_ANSWER))
    except urllib.error.HTTPError as error:
        raise WebhookRefused(f"HTTP {error.code}") from None
    except urllib.error.URLError as error:
        raise WebhookRefused(_reason(error.reason)) from None
    except (OSError, ValueError) as error:  # a connection that breaks off, an address that cannot be read
        raise WebhookRefused(type(error).__name__) from None


def _require_success(body: bytes) -> None:
    """WeCom and DingTalk say in the answer whether they took a message; Slack answers ``ok``."""
    try:
        answer = json.loads(body)
    except ValueError:
        return
    if isinstance(answer, Mapping) and answer.get("errcode", 0) != 0:
        raise WebhookRefused(f"errcode {answer['errcode']}")


def _reason(reason: object) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return type(reason).__name__
