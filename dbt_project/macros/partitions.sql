{# A condition that a column has one of the values that a query over models built before this one answers, as literals, so
   that the planner knows them. It restricts nothing that the query's own join or condition does not restrict as well:
   where they cannot be asked for (parsing, a unit test, docs on an empty database) it is simply true.
   `stands` is the relation whose absence says so. #}
{% macro only_literals(column, query, stands) -%}
    {%- if execute and model.resource_type in ('model', 'test') and load_relation(stands) is not none -%}
    {%- set values = run_query(query).columns[0].values() -%}
    {{ column }} in ({% for value in values %}'{{ value }}'{{ ', ' if not loop.last }}{% else %}null{% endfor %})
    {%- else -%}
    true
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
