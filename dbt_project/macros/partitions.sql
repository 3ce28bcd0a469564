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
