"""Which rows of a dataset a login of Superset sees: those of its divisions, as in the views of the warehouse.

Superset reads all figures with one login of its own. For each dataset it is given a condition, which it adds to every
query of everybody but its administrator, and in which it writes the name of whoever asks. The condition asks the table
of logins and divisions, so that a change of divisions holds from the next query on. It says the same as the view's
condition (``divisions.condition``) without the operators that Superset's parser of SQL does not know.
"""

from collections.abc import Mapping
from typing import Any

from warehouse.access import divisions


def condition(model: Mapping[str, Any]) -> str | None:
    """The condition on the rows of a table, in SQL with one expression of Jinja; None: all rows are for everyone.

    Args:
        model: The model as its yml file describes it.
    """
    columns = {column["name"]: column for column in model["columns"]}
    rule = divisions.rule_of(model["name"], (model.get("config") or {}).get("meta") or {}, columns)
    if rule.scope == "everyone":
        return None
    of_login = "SELECT 1 FROM ops.login_division AS d WHERE d.login = '{{ current_username() }}' AND "
    if rule.scope == "country":
        return f"EXISTS ({of_login}d.sees_country)"
    division = rule.columns[0] if len(rule.columns) == 1 else f"coalesce({', '.join(rule.columns)})"
    prefixes = f"SELECT 1 FROM unnest(d.divisions) AS p (prefix) WHERE starts_with({division}, p.prefix)"
    return f"{division} = '{divisions.COUNTRY}' OR EXISTS ({of_login}(d.sees_country OR EXISTS ({prefixes})))"
