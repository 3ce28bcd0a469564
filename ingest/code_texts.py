"""What each code of a delivery or of a row means to its sender, and what to do about it, in English and Chinese."""

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

TEXTS = Path(__file__).with_name("code_texts.yaml")


class Text(BaseModel):
    """A sentence in both languages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    en: str
    zh: str


class CodeText(BaseModel):
    """What a code means, and what its sender does about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    meaning: Text
    remedy: Text


@cache
def load() -> dict[str, CodeText]:
    """The texts of all codes, in the order of the senders' guide.

    Returns:
        By code (``D_HEADER``, ``E_ID``, …) its text.
    """
    return TypeAdapter(dict[str, CodeText]).validate_python(yaml.safe_load(TEXTS.read_text(encoding="utf-8")))
