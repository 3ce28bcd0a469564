{# Literal delivery ids, so that the planner opens only their partitions of a landing table and knows their size.
   It restricts nothing that the query's own join on the delivery does not restrict as well: where the ids cannot be
   asked for (parsing, a unit test, docs on an empty database) it is simply true.
   `deliveries` is a query for delivery_id over models built before this one. #}
{% macro only_partitions_of(deliveries, alias) -%}
    {%- if execute and model.resource_type in ('model', 'test') and load_relation(ref('int_delivery')) is not none -%}
    {%- set ids = run_query(deliveries).columns[0].values() -%}
    {{ alias }}.delivery_id in ({{ ids | join(', ') if ids else 'null' }})
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{# The same for months: literal ones, so that the planner knows how few there are of a table that lies in their order. #}
{% macro only_months_of(touched, month) -%}
    {%- if execute and model.resource_type == 'model' and load_relation(ref(touched)) is not none -%}
    {%- set months = run_query("select distinct month from " ~ ref(touched)).columns[0].values() -%}
    {{ month }} in ({% for one in months %}'{{ one }}'{{ ', ' if not loop.last }}{% else %}null{% endfor %})
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}
