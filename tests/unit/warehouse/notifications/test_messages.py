"""What a message says, and what each service takes: compared with the JSON that their guides show."""

import json

import pytest
from pydantic import SecretStr, ValidationError

from ingest.settings import LogChannel, Settings, WebhookChannel
from warehouse.notifications import webhooks
from warehouse.notifications.messages import Item, Kind, clean, compose

REFUSED = Item(
    Kind.REFUSED,
    "1 D_HEADER",
    "training-1（training 440000 2026-08）已退回：必备列缺失或重复。",
    "training-1 (training 440000 2026-08) is refused: A required column is missing.",
    ("D_HEADER [a.csv]: <started_on> & more", "warehouse explain training-1"),
)
TEXT = """数据仓库：退回 1 批数据 · 1 delivery refused
- training-1（training 440000 2026-08）已退回：必备列缺失或重复。
  training-1 (training 440000 2026-08) is refused: A required column is missing.
  D_HEADER [a.csv]: <started_on> & more
  warehouse explain training-1"""


def test_a_message_is_chinese_first_and_says_how_to_know_more() -> None:
    message = compose(Kind.REFUSED, [REFUSED], 10_000)
    assert message.text == TEXT
    assert message.subject == TEXT.splitlines()[0]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_subject_for_one_and_several(kind: Kind) -> None:
    item = Item(kind, "k", "中", "en")
    one, two = compose(kind, [item], 1000), compose(kind, [item, item], 1000)
    assert one.subject.startswith("数据仓库：")
    assert "1 " in one.subject
    assert "2 " in two.subject
    assert one.subject != two.subject.replace("2", "1")


@pytest.mark.parametrize("limit", [200, 300, 2048])
def test_what_does_not_fit_is_counted(limit: int) -> None:
    items = [Item(Kind.MISSING, str(n), f"第 {n} 项" * 5, f"number {n}", ()) for n in range(60)]
    text = compose(Kind.MISSING, items, limit).text
    assert len(text.encode()) <= limit
    listed = text.count("number ")
    assert f"另有 {60 - listed} 项" in text
    assert f"and {60 - listed} more" in text


def test_one_thing_that_does_not_fit_is_cut_between_characters() -> None:
    text = compose(Kind.FAILED, [Item(Kind.FAILED, "k", "长" * 4000, "long")], 2048).text
    assert 1900 < len(text.encode()) <= 2048
    assert text.endswith("长…")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("list-119901190001011009.csv", "list-***.csv"),  # as in an identity number
        ("11990119000101100X", "***"),
        ("tel 13800001111.", "tel ***."),
        ("training-440000-20260903080000", "training-440000-20260903080000"),
        ("two\nlines\x00", "two lines "),
    ],
)
def test_numbers_of_persons_are_left_out(text: str, shown: str) -> None:
    assert clean(text) == shown


GOLDEN = {
    "wecom": {"msgtype": "text", "text": {"content": TEXT}},
    "dingtalk": {"msgtype": "text", "text": {"content": TEXT}, "at": {"isAtAll": False}},
    "slack": {"text": TEXT.replace("<started_on> & more", "&lt;started_on&gt; &amp; more"), "mrkdwn": False},
}


@pytest.mark.parametrize("type_", sorted(GOLDEN))
def test_each_service_gets_its_json(type_: str) -> None:
    text = compose(Kind.REFUSED, [REFUSED], webhooks.MAX_BYTES[type_]).text
    assert json.loads(json.dumps(webhooks.payload(type_, text))) == GOLDEN[type_]


def test_the_signature_of_dingtalk() -> None:
    """HMAC-SHA256 of the time and the secret, by the secret; computed with openssl."""
    url = webhooks.signed("https://oapi.dingtalk.com/robot/send?access_token=x", "SECabc", 1_700_000_000_000)
    assert url == (
        "https://oapi.dingtalk.com/robot/send?access_token=x&timestamp=1700000000000"
        "&sign=jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM%3D"
    )


def configured(*channels: dict[str, object]) -> Settings:
    return Settings(notify=json.loads(json.dumps(channels)))


def test_the_log_is_told_by_default() -> None:
    assert Settings().notify == (LogChannel(),)


def test_channels_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_NOTIFY", '[{"type": "slack", "url": "https://hooks.slack.com/services/secret"}]')
    settings = Settings()
    assert settings.notify == (
        WebhookChannel(name="slack", type="slack", url=SecretStr("https://hooks.slack.com/services/secret")),
    )
    assert "services/secret" not in repr(settings)


@pytest.mark.parametrize(
    ("channel", "problem"),
    [
        ({"type": "wecom", "url": "ftp://hidden"}, "must begin with https"),
        ({"type": "slack", "url": "https://hidden", "secret": "hidden"}, "only robots of DingTalk"),
        ({"type": "smtp", "host": "mail", "sender": "a@b", "recipients": []}, "at least 1 item"),
        ({"type": "smtp", "host": "mail", "sender": "a@b\nBcc: x@y", "recipients": ["c@d"]}, "match pattern"),
        (
            {"type": "smtp", "host": "mail", "sender": "a@b", "recipients": ["c@d"], "passwort": "hidden"},
            "Extra inputs",
        ),
        ({"type": "log"}, "the same name"),
        ({"type": "pigeon", "url": "hidden"}, "pigeon"),
    ],
)
def test_a_wrong_channel_is_refused_without_quoting_it(channel: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as raised:
        configured({"type": "log"}, channel)
    assert "hidden" not in str(raised.value)
