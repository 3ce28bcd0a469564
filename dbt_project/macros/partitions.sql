{# `column in (query)` for a query over models built before this one, with its answer as literals, so that the planner knows
   them. Where it cannot be asked for (parsing, a unit test, docs on an empty database) the query itself stands there.
   `stands` is the relation whose absence says so. #}
{% macro only_literals(column, query, stands) -%}
    {%- if execute and model.resource_type in ('model', 'test') and load_relation(stands) is not none -%}
    {%- set values = run_query(query).columns[0].values() -%}
    {{ column }} in ({% for value in values %}'{{ value }}'{{ ', ' if not loop.last }}{% else %}null{% endfor %})
    {%- else -%}
    {{ column }} in ({{ query }})
    {%- endif -%}
{%- endmacro %}

{# The same for a query with one answer, as an expression of a type. #}
{% macro only_literal(query, type, stands) -%}
    {%- if execute and model.resource_type in ('model', 'test') and load_relation(stands) is not none -%}
    {%- set values = run_query(query).columns[0].values() -%}
    {{ "'" ~ values[0] ~ "'" if values else 'null' }}::{{ type }}
    {%- else -%}
    ({{ query }})
    {%- endif -%}
{%- endmacro %}

{# The partitions of a landing table that are to be opened; `deliveries` is a query for delivery_id. #}
{% macro only_partitions_of(deliveries, alias) -%}
    {{ only_literals(alias ~ '.delivery_id', deliveries, ref('int_delivery')) }}
{%- endmacro %}

{# The touched months, which are few of a table that lies in the order of months. #}
{% macro only_months_of(touched, month) -%}
    {{ only_literals(month, "select distinct month from " ~ ref(touched), ref(touched)) }}
{%- endmacro %}

{# The first touched month as an expression; without any, a month before all. What ends before it need not be read. #}
{% macro first_month_of(touched) -%}
    {{ only_literal("select coalesce(min(month), '0001-01-01') from " ~ ref(touched), 'date', ref(touched)) }}
{%- endmacro %}
