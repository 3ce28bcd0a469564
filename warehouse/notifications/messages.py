"""What a message says: Chinese first, then English, then names and figures that need no translation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingest.validation.constants import MOBILE_PATTERN


class Kind(StrEnum):
    """What a message is about."""

    REFUSED = "refused"
    SET_ASIDE = "set_aside"
    MISSING = "missing"
    FAILED = "failed"
    PUBLISHED = "published"
    SHARE = "share"
    DEADLINE = "deadline"
    VAULT = "vault"


@dataclass(frozen=True)
class Item:
    """One thing to tell. Things of the same kind that wait together become one message.

    ``key`` says what it is about: the same key is told once.
    """

    kind: Kind
    key: str
    zh: str
    en: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """A message as it is sent."""

    kind: Kind
    subject: str
    text: str  # begins with the subject


#: Names the sender of all messages; robots of DingTalk may ask for it as their keyword.
_SENDER = "数据仓库"
#: Of each kind the Chinese subject, and the English one for one thing and for several.
_SUBJECTS = {
    Kind.REFUSED: ("退回 {} 批数据", "{} delivery refused", "{} deliveries refused"),
    Kind.SET_ASIDE: ("搁置 {} 个数据包", "{} package set aside", "{} packages set aside"),
    Kind.MISSING: ("{} 批应报未报", "{} delivery missing", "{} deliveries missing"),
    Kind.FAILED: ("{} 次构建失败", "{} build failed", "{} builds failed"),
    Kind.PUBLISHED: ("{} 次发布", "{} publication", "{} publications"),
    Kind.SHARE: ("{} 项共享即将到期", "{} share ends soon", "{} shares end soon"),
    Kind.DEADLINE: ("{} 个任务超时", "{} run is late", "{} runs are late"),
    Kind.VAULT: ("保密库 {} 次紧急开启", "{} emergency opening of the vault", "{} emergency openings of the vault"),
}
_MORE = "……另有 {0} 项，见 ops.notification · and {0} more: ops.notification"
#: Numbers that may identify a person: of an identity document (15 digits or more), of a mobile telephone.
_PERSONAL = re.compile(rf"\d{{14,}}[0-9Xx]|(?<!\d){MOBILE_PATTERN}(?!\d)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def clean(text: str) -> str:
    """A text in one line, without numbers that may identify a person: names of deliveries and files are a sender's."""
    return _PERSONAL.sub("***", _CONTROL.sub(" ", text))


def compose(kind: Kind, items: Sequence[Item], max_bytes: int) -> Message:
    """The message about things of one kind.

    Args:
        kind: Of all items.
        items: In the order in which they are listed.
        max_bytes: Most bytes of the text in UTF-8. What does not fit is counted at the end.
    """
    zh, singular, plural = _SUBJECTS[kind]
    count = len(items)
    subject = f"{_SENDER}：{zh.format(count)} · {(singular if count == 1 else plural).format(count)}"
    blocks = ["\n".join([f"- {item.zh}", f"  {item.en}", *(f"  {line}" for line in item.details)]) for item in items]
    for shown in range(count, 0, -1):
        text = _join(subject, blocks[:shown], count - shown)
        if len(text.encode()) <= max_bytes:
            return Message(kind, subject, text)
    # Not even one fits: its first lines.
    room = max_bytes - len(_join(subject, ["…"], count - 1).encode())
    first = blocks[0].encode()[: max(room, 0)].decode(errors="ignore") + "…"
    return Message(kind, subject, _join(subject, [first], count - 1))


def _join(subject: str, blocks: Sequence[str], left_out: int) -> str:
    return "\n".join([subject, *blocks, *([_MORE.format(left_out)] if left_out else [])])
