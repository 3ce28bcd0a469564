{# 202609 for the month of September 2026: what BI tools join and sort on. #}
{% macro month_key(month) -%}
    (extract(year from {{ month }}) * 100 + extract(month from {{ month }}))::integer
{%- endmacro %}

{# Every month or day from the first to the last one, as dates. They are counted as timestamps without a zone: dates alone
would be counted in the session's, where an hour of summer time is missing on some midnights. #}
{% macro every(step, first, last) -%}
    generate_series(({{ first }})::timestamp, ({{ last }})::timestamp, interval '1 {{ step }}')::date
{%- endmacro %}
