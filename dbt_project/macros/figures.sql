{# A share: numeric, null where the denominator is 0, rounded once. #}
{% macro share(numerator, denominator) -%}
    round(({{ numerator }})::numeric / nullif({{ denominator }}, 0), 6)::numeric(18, 6)
{%- endmacro %}

{# 202609 for the month of September 2026: what BI tools join and sort on. #}
{% macro month_key(month) -%}
    (extract(year from {{ month }}) * 100 + extract(month from {{ month }}))::integer
{%- endmacro %}
