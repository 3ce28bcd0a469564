"""Everything that a contract may say beyond the standard's own fields, as the loader reads it.

The names in the files are those of the fields below in camelCase. A misspelt or unknown one is an error: a rule must
not be silently missing. ``docs/contracts.md`` is written from these classes (``make generate``).
"""

from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ingest.contracts.model import Kind, Role

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Properties(BaseModel):
    """A group of properties. Its docstring says where they stand."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class SourceProperties(Properties):
    """Fields of `<source>/_source.yaml`, one file a source.

    每个来源一个文件。
    """

    title: str = Field(description="Name of the source in English. 来源的英文名称。")
    title_zh: str = Field(description="The same in Chinese. 来源的中文名称。")
    sender: str = Field(description="Who sends it. 报送单位的类别（英文）。")
    sender_zh: str = Field(description="The same in Chinese. 报送单位的类别（中文）。")
    snapshots: bool = Field(
        description="Whether a delivery may be the complete register of its sender (`mode: snapshot`): it then "
        "replaces what the sender delivered before and supersedes an earlier one of the same period. Otherwise every "
        "delivery is read as a delta, whatever its manifest says, and none is ever superseded. "
        "是否接受全量：true 时全量取代此前数据；false 时一律按增量读取，且不会被取代。"
    )


class CodeListProperties(Properties):
    """Fields of a list in `codes/_lists.yaml`; its codes stand in `codes/<list>.csv`.

    代码清单的属性。
    """

    label: str = Field(description="Name of the list in Chinese. 清单中文名称。")
    label_en: str = Field(description="Name of the list in English. 清单英文名称。")
    standard: str = Field(description="The standard or body it comes from. 标准号或来源。")
    types: dict[str, str] = Field(
        default={},
        description="SQL types of further columns of the file; a column that is not named here is text. "
        "附加列的数据类型，未列出者为文本。",
    )


class ContractProperties(Properties):
    """`customProperties` of the contract itself.

    合同级属性。
    """

    supported_major_versions: tuple[int, ...] = Field(
        default=(),
        description="Major versions of `contract_version` that deliveries may have; empty: that of the contract. "
        "接受的主版本号。",
    )
    rejected_share_tolerance: Decimal = Field(
        default=Decimal("0.05"),
        ge=0,
        le=1,
        description="Share of the feed's rows that may be rejected before the delivery is refused (`D_TOLERANCE`); 0: "
        "one rejected row, a repetition too, refuses it. 可容忍的错误行比例；0 表示一行错误即整体退回。",
    )


class DescriptionProperties(Properties):
    """`customProperties` of the contract's `description`.

    合同说明的属性。
    """

    purpose_zh: str = Field(default="", description="`purpose` in Chinese. 用途（中文）。")


class FeedProperties(Properties):
    """`customProperties` of the schema, that is of the feed.

    数据表级属性。
    """

    kind: Literal["register", "events"] = Field(
        description="`register`: the state of things at the end of the period; `events`: a log, in which a later "
        "delivery of the same key replaces the earlier one. 登记（期末状态）或事件（同键后者取代前者）。"
    )
    description_zh: str = Field(default="", description="`description` in Chinese. 中文说明。")
    required_in_snapshot: bool = Field(
        default=False,
        description="A snapshot without a row of this feed is refused (`D_EMPTY`); only where the source has "
        "snapshots. 全量中不可缺少。",
    )
    dropped_columns: tuple[str, ...] = Field(
        default=(),
        description="Headers that are removed when the file is read: neither landed nor kept in the text of rejected "
        "rows. 读取时即删除的列，错误行原文中亦不保留。",
    )


class ColumnProperties(Properties):
    """`customProperties` of a column.

    列级属性。
    """

    kind: Kind = Field(description="How the text is cleaned, checked and stored; see below. 列的类型，见下表。")
    description_zh: str = Field(default="", description="`description` in Chinese. 中文说明。")
    role: Role | None = Field(
        default=None, description="What the column says, where code must know it; see below. 列的角色，见下表。"
    )
    aliases: tuple[str, ...] = Field(
        default=(), description="Further headers, beside the name and `businessName`. 其他可接受的表头。"
    )
    code_list: str | None = Field(
        default=None, description="The list of a `code` or `cert_type`: `codes/<name>.csv`. 代码清单名称。"
    )
    code_match: Literal["exact", "prefix", "first_two", "open", "free"] = Field(
        default="exact",
        description="What is accepted besides the list, kept as written with `W_CODE_LOCAL`: `exact` nothing, `prefix` "
        "longer codes that begin with a listed one, `first_two` codes whose first two characters are listed, `open` "
        "any other value. Anything else is `E_CODE`. With `free`, for a column of the class `free_text`, any other "
        "text goes to the vault and `otherCode` lands. 清单外代码的处理方式；"
        "`free` 用于自由文本：原文入保险库，落地为 `otherCode`。",
    )
    other_code: str | None = Field(
        default=None,
        description="The code of the list that stands for every text that is not in it; with `codeMatch: free` only. "
        "清单外文本落地所用的代码。",
    )
    strip_leading_zeros: bool = Field(default=False, description="`000` is `0`, `01` is `1`. 去除代码的前导零。")
    pattern_code: Literal["E_PATTERN", "W_CODE_LOCAL", "W_MOBILE"] = Field(
        default="E_PATTERN",
        description="What missing the `pattern` of `logicalTypeOptions` means: the row is rejected, the value is kept "
        "as a local one, or it is no value. 不符合格式时的处理代码。",
    )
    uscc_first: str | None = Field(
        default=None,
        description="Regular expression that the beginning of a `uscc` must match (else `E_USCC`), such as `^[^8]` for "
        "an employer. 统一社会信用代码开头须符合的正则。",
    )
    maximum_year: bool = Field(
        default=False, description="An integer is a year: not after that of `created`. 年度不得晚于生成年份。"
    )
    may_lie_ahead: bool = Field(
        default=False, description="A date, month or date-time may lie after `created`. 日期可晚于生成日期。"
    )
    default_zero: bool = Field(
        default=False, description="A missing value or column counts and lands as 0. 缺失按 0 计。"
    )
    sample: str | dict[str, float] | None = Field(
        default=None,
        description="Values in synthetic deliveries: the name of a source in `ingest/synthetic`, or codes with weights "
        '(`""`: no value). 合成数据的取值来源或代码权重。',
    )


class Rule(Properties):
    """Implementations of a `quality` rule with `type: custom`, `engine: warehouse`.

    质量规则的实现。
    """


class SumProperties(Rule):
    """Sums of two sides, within a tolerance; a missing value counts as 0.

    `severity: error` rejects the row (`E_SUM`), `warning` remarks upon it (`W_SUM`), both named after the first column
    on the left. 两侧合计关系。
    """

    rule: Literal["sum"] = Field(description="`sum`")
    left: Names = Field(description="Columns; a minus sign before a name subtracts. 左侧各列，可带负号。")
    op: Literal["=", "<="] = Field(description="Relation of the sides. 关系。")
    right: Names = Field(description="As on the left. 右侧各列。")
    tolerance: Decimal = Field(default=Decimal(0), ge=0, description="In units of the columns. 允许误差。")
    when_any: tuple[str, ...] | None = Field(
        default=None,
        description="The rule is judged only where one of these has a value; by default with `<=` the columns on the "
        "right, with `=` in every row. 至少一列有值时才判断；`<=` 默认为右侧各列。",
    )


class OrderProperties(Rule):
    """A date or month does not lie before another (`E_ORDER`, named after the later column).

    先后顺序。
    """

    rule: Literal["order"] = Field(description="`order`")
    earlier: str = Field(description="The column that comes first. 较早的列。")
    later: str = Field(description="The column that must not lie before it. 较晚的列。")


class SignProperties(Rule):
    """Amounts of a reversal are not positive, all others not negative (`E_RANGE`).

    冲销金额的正负。
    """

    rule: Literal["sign"] = Field(description="`sign`")
    reversal_column: str = Field(description="The row is a reversal where this column has a value. 有值即为冲销。")
    columns: Names = Field(description="The amounts. 金额列。")


class TogetherProperties(Rule):
    """All of the columns have a value or none has; each missing one is `E_REQUIRED`.

    A value that is wrong counts as given, a placeholder date does not. 同时有值或同时为空。
    """

    rule: Literal["together"] = Field(description="`together`")
    columns: Annotated[tuple[str, ...], Field(min_length=2)] = Field(description="The columns. 各列。")


Group = TypeVar("Group", bound=Properties)

#: The rules by their names.
RULES: dict[str, type[Rule]] = {
    "sum": SumProperties,
    "order": OrderProperties,
    "sign": SignProperties,
    "together": TogetherProperties,
}

KINDS: dict[Kind, str] = {
    Kind.TEXT: "Text, stripped. 文本。",
    Kind.NAME: "Name of a person or body: one kind of middle dot, no blanks between Chinese characters. 名称。",
    Kind.IDENTIFIER: "A key or number that is text: half-width characters, without a spreadsheet's `.0`. 编号。",
    Kind.CODE: "A value of a code list, by code, label or spelling. 代码。",
    Kind.DIVISION: "Administrative division of six digits. 行政区划。",
    Kind.USCC: "Unified social credit code with its check character. 统一社会信用代码。",
    Kind.CERT_TYPE: "Type of an identity document (a code); stands beside the `certno`. 证件类型。",
    Kind.CERTNO: "Identity number, of which the person key is made; a direct identifier. 证件号码。",
    Kind.MOBILE: "Mobile telephone number; a direct identifier. 移动电话。",
    Kind.DATE: "Day, from 1900-01-01 to `created`. 日期。",
    Kind.MONTH: "Month (`yyyyMM`, `yyyy-MM`, `yyyy/MM`, `yyyy年M月`, or any date), from 1990-01 to that of `created`; "
    "lands as its first day. 月份，落地为当月首日。",
    Kind.DATETIME: "Day and time. 日期时间。",
    Kind.INTEGER: "Whole number within `minimum`, `maximum` and its SQL type. 整数。",
    Kind.NUMBER: "Decimal number within the same, rounded to the scale of its SQL type. 小数。",
    Kind.MONEY: "Yuan with two decimals; a file may be in 10,000 yuan (`amount_unit`). 金额（元）。",
    Kind.FLAG: "Yes or no. 是否。",
}

ROLES: dict[Role, str] = {
    Role.PERSON_NAME: "Name of the person; must be a direct identifier. 姓名。",
    Role.SEX: "Sex (1, 2) where the identity number does not say it; else compared (`W_SEX_ID`). 性别。",
    Role.BIRTH_DATE: "Date of birth, likewise (`W_BIRTH_ID`). 出生日期。",
    Role.EVENT_DATE: "Day, time or month that the row speaks of. 事件日期。",
    Role.ORGANISATION: "Union organisation that the row belongs to. 工会编码。",
    Role.EMPLOYER: "The employer's code. 单位代码。",
    Role.EMPLOYER_NAME: "The employer's name; masked where it is a one-person business. "
    "单位名称；个体工商户的名称脱敏。",
    Role.EMPLOYER_NATURE: "The employer's nature; the column `one_person` of its code list marks one-person "
    "businesses. 单位性质；代码清单的 `one_person` 列标出个体工商户。",
    Role.ORGANISATION_NAME: "Name of the union organisation, which has the employer's in it; masked likewise. "
    "工会名称；同样脱敏。",
}


def validate(group: type[Group], values: Any, location: str = "") -> Group:
    """The values as a group of properties.

    Raises:
        ValueError: In one line, what is unknown, missing or wrong.
    """
    try:
        return group.model_validate(values)
    except ValidationError as error:
        found = []
        for item in error.errors(include_url=False):
            name = ".".join(map(str, item["loc"]))
            if item["type"] == "extra_forbidden":
                found.append(f"unknown custom property {name}")
            elif item["type"] == "missing":
                found.append(f"no {name}")
            else:
                found.append(f"{name}: {item['msg']}")
        raise ValueError("; ".join(f"{location}: {text}" if location else text for text in found)) from None
