# %% [markdown]
# # The indicators of the reform, as charts · 产改指标图表
#
# A notebook in the percent format: VS Code, PyCharm and Spyder run it cell by cell, JupyterLab with jupytext opens it
# as a notebook, and `.venv/bin/python docs/notebooks/indicators.py indicators.html` runs it from top to bottom and
# writes one page that needs no network. It reads as the role `analyst`: no data of persons.
# 采用 percent 格式的笔记本：可在 VS Code 等工具中逐单元运行，也可用上述命令从头运行并生成无需网络的页面；以 `analyst`
# 角色读取，不含个人数据。

# %%
import subprocess
import sys
from pathlib import Path

import pandas as pd
import plotly.express as px
import polars as pl
import sqlalchemy

warehouse = Path(sys.executable).with_name("warehouse")
dsn = subprocess.run([warehouse, "dsn", "--role", "analyst"], check=True, capture_output=True, text=True).stdout.strip()
engine = sqlalchemy.create_engine(dsn.replace("postgresql://", "postgresql+psycopg://", 1))

# %% [markdown]
# ## The country, month by month · 全国逐月
#
# Shares only: `is_share` says that the numerator is a part of the denominator. 仅比例类指标。

# %%
country = pl.read_database(
    """
    SELECT indicator_label, month, value FROM marts.reform_indicator
    WHERE admdvs = '100000' AND is_share AND value IS NOT NULL
    ORDER BY indicator_label, month
    """,
    engine,
)
months = px.line(
    country.with_columns(pl.col("value").cast(pl.Float64)).to_pandas(),
    x="month",
    y="value",
    color="indicator_label",
    markers=True,
    title="全国产改指标 Indicators of the country",
    labels={"month": "", "value": "", "indicator_label": ""},
)
months.update_yaxes(tickformat=".0%", range=[0, 1])
months

# %% [markdown]
# ## Provinces in the last month · 各省最近月份
#
# An indicator of persons has no row where 1 to 10 persons stand behind it: a missing cell is not zero.
# 按人计的指标分子为 1 至 10 时无记录，空白不等于零。

# %%
provinces = pd.read_sql(
    """
    SELECT DISTINCT ON (indicator, admdvs) indicator_label, region_name, value::float8 AS value
    FROM marts.reform_indicator
    WHERE admdvs <> '100000' AND is_share AND value IS NOT NULL
    ORDER BY indicator, admdvs, month DESC
    """,
    engine,
).pivot(index="indicator_label", columns="region_name", values="value")
heat = px.imshow(
    provinces,
    text_auto=".0%",
    aspect="auto",
    zmin=0,
    zmax=1,
    color_continuous_scale="Blues",
    title="各省指标 Indicators by province",
    labels={"x": "", "y": "", "color": ""},
)
heat

# %% [markdown]
# ## Members · 会员

# %%
members = pl.read_database(
    """
    SELECT month, sender_name, sum(members)::int8 AS members FROM marts.union_coverage_month
    GROUP BY month, sender_name
    ORDER BY month, sender_name
    """,
    engine,
)
coverage = px.bar(
    members.to_pandas(),
    x="month",
    y="members",
    color="sender_name",
    title="会员人数 Members",
    labels={"month": "", "members": "", "sender_name": ""},
)
coverage

# %% [markdown]
# ## From training to insurance · 培训—取证—就业—参保
#
# Suppressed rows are left out of the sums. 被抑制的行不计入合计。

# %%
steps = {
    "trained": "结业 trained",
    "certified": "取证 certified",
    "certified_employed": "取证就业 certified, employed",
    "certified_employed_insured": "取证就业参保 whole chain",
}
chain = pd.read_sql(
    "SELECT * FROM marts.training_chain_month WHERE training_type = 'all' AND NOT is_suppressed", engine
)
persons = chain[list(steps)].sum().rename(steps).rename_axis("step").reset_index(name="persons")
funnel = px.funnel(
    persons, x="persons", y="step", title="培训—取证—就业—参保 Training to insurance", labels={"step": ""}
)
funnel

# %% [markdown]
# ## One page · 写成一个页面
#
# Run as a program with the path of a page: all charts, with the script that draws them.
# 以页面路径为参数运行时，写出全部图表。

# %%
if len(sys.argv) == 2 and sys.argv[1].endswith(".html"):
    charts = [months, heat, coverage, funnel]
    parts = [chart.to_html(full_html=False, include_plotlyjs=not index) for index, chart in enumerate(charts)]
    Path(sys.argv[1]).write_text(
        f'<!doctype html><meta charset="utf-8"><title>产改指标 Indicators</title>{"".join(parts)}', encoding="utf-8"
    )
