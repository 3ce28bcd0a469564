"""The ways that a message goes: the log, mail, a webhook."""

import logging
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from ingest.settings import Channel, LogChannel, MailChannel
from warehouse.notifications import webhooks
from warehouse.notifications.messages import Item, Kind, Message, compose

TIMEOUT_SECONDS = 10
#: Most bytes of a mail's text and of an entry of the log.
MAX_BYTES = 100_000
_LEVELS = {Kind.FAILED: logging.ERROR, Kind.PUBLISHED: logging.INFO}

log = logging.getLogger("warehouse.notifications")


def send(channel: Channel, kind: Kind, items: Sequence[Item]) -> None:
    """Send one message about things of one kind.

    Raises:
        smtplib.SMTPException, OSError, webhooks.WebhookRefused: It could not be sent; ``reason`` says why.
    """
    if isinstance(channel, LogChannel):
        log.log(_LEVELS.get(kind, logging.WARNING), "%s", compose(kind, items, MAX_BYTES).text)
    elif isinstance(channel, MailChannel):
        _send_mail(channel, compose(kind, items, MAX_BYTES))
    else:
        webhooks.send(channel, compose(kind, items, webhooks.MAX_BYTES[channel.type]).text)


def reason(error: Exception) -> str:
    """Why a message could not be sent, without anything of an address, a login or an answer's text."""
    if isinstance(error, webhooks.WebhookRefused):
        return str(error)
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {error.smtp_code}"
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return type(error).__name__


def _send_mail(channel: MailChannel, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.recipients)
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain=channel.sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    with _connect(channel) as server:
        if channel.user is not None and channel.password is not None:
            server.login(channel.user, channel.password.get_secret_value())
        server.send_message(mail)


def _connect(channel: MailChannel) -> smtplib.SMTP:
    """A connection to the mail server, encrypted as the settings say; certificates are checked."""
    if channel.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(channel.host, channel.port, timeout=TIMEOUT_SECONDS, context=context)
    server = smtplib.SMTP(channel.host, channel.port, timeout=TIMEOUT_SECONDS)
    if channel.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
