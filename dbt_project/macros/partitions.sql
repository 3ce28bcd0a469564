{# `column in (query)` for a query over models built before this one, with its answer as literals, so that the planner
   knows them. Where it cannot be asked for (parsing, a unit test, docs on an empty database) the query itself is
   written there. `needed` is a relation that the query reads: while it does not exist, the query cannot be asked. #}
{% macro only_literals(column, query, needed) -%}
    {%- if execute and model.resource_type in ('model', 'test') and load_relation(needed) is not none -%}
    {%- set values = run_query(query).columns[0].values() -%}
    {{ column }} in ({% for value in values %}'{{ value }}'{{ ', ' if not loop.last }}{% else %}null{% endfor %})
    {%- else -%}
    {{ column }} in ({{ query }})
    {%- endif -%}
{%- endmacro %}

{# The same for a query with one answer, as an expression of a type. #}
{% macro only_literal(query, type, needed) -%}
    {%- if execute and model.resource_type in ('model', 'test') and load_relation(needed) is not none -%}
    {%- set values = run_query(query).columns[0].values() -%}
    {{ "'" ~ values[0] ~ "'" if values else 'null' }}::{{ type }}
    {%- else -%}
    ({{ query }})
    {%- endif -%}
{%- endmacro %}

{# The partitions of a landing table that are to be read; `deliveries` is a query for delivery_id. #}
{% macro only_partitions_of(deliveries, alias) -%}
    {{ only_literals(alias ~ '.delivery_id', deliveries, ref('int_delivery')) }}
{%- endmacro %}

{# The months of the changed keys: few of a table whose rows lie in the order of months. #}
{% macro only_months_of(changed_keys, month) -%}
    {{ only_literals(month, "select distinct month from " ~ ref(changed_keys), ref(changed_keys)) }}
{%- endmacro %}

{# The same for a table that is joined to one with changed keys: the planner does not take the months from one to the
   other, and would read all of it. True in a full build. #}
{% macro in_changed_months(changed_keys, month) -%}
    {{ only_months_of(changed_keys, month) if is_incremental() else 'true' }}
{%- endmacro %}

{# The senders of the changed keys: mostly one, and then the rows of the others need not be read, however the planner
   joins. #}
{% macro only_senders_of(changed_keys, sender) -%}
    {{ only_literals(sender, "select distinct sender from " ~ ref(changed_keys), ref(changed_keys)) }}
{%- endmacro %}

{# The first month of the changed keys as an expression; a month before all where there is none. What ends before it
   need not be read. #}
{% macro first_month_of(changed_keys) -%}
    {{ only_literal("select coalesce(min(month), '0001-01-01') from " ~ ref(changed_keys), 'date', ref(changed_keys)) }}
{%- endmacro %}
