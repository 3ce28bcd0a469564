{# The frame of everything that is built by what changed. README.md tells how it works and why it is right. #}

{# Incremental strategy `replace_touched`: the rows of the touched keys go, the recomputed rows of the touched keys come.
   config:
     touched      name of the model with the touched keys (the model must also ref() it)
     touched_on   the columns that stand in both; null equals nothing, so key columns are never null
   Both statements stand in the transaction of the node. Done twice it does the same as once. #}
{% macro get_incremental_replace_touched_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set touched = ref(config.require('touched')) -%}
    delete from {{ target }} as kept
    using {{ touched }} as touched
    where {% for column in config.require('touched_on') -%}
        kept.{{ column }} = touched.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor %};

    insert into {{ target }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict['temp_relation'] }};
{% endmacro %}

{# Restricts a query to the touched keys in an incremental run; true in a full one.
   {{ only_touched('int_touched_member_month', ['month', 'person_key'], 'versions') }}: the third argument is the alias. #}
{% macro only_touched(touched, columns, alias=none) -%}
    {%- set prefix = alias ~ '.' if alias else '' -%}
    {%- if is_incremental() -%}
    ({{ prefix }}{{ columns | join(', ' ~ prefix) }}) in (select touched.{{ columns | join(', touched.') }} from {{ ref(touched) }} as touched)
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{# The table of a model that is built LATER in this run, as the last run left it, or none (first run, full refresh).
   This is how touched keys learn which rows stand in a table before it changes. It makes no edge in the graph: the
   caller must be upstream of that model. Columns are those of the last run. #}
{% macro previous(name) -%}
    {%- if execute and not flags.FULL_REFRESH -%}
        {%- set nodes = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | selectattr('name', 'equalto', name) | list -%}
        {%- if nodes | length != 1 -%}
            {{ exceptions.raise_compiler_error("previous('" ~ name ~ "'): no such model") }}
        {%- endif -%}
        {{ return(load_relation(api.Relation.create(database=nodes[0].database, schema=nodes[0].schema, identifier=nodes[0].alias))) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{# For a model of touched keys (materialized as table, with a last column `generation`): the keys that earlier attempts
   touched since this build schema was last complete. Without them a build that died midway would leave tables behind
   that the next difference does not know of. Give the columns without `generation`. #}
{% macro carried_over(columns) -%}
    {%- set relation = previous(model.name) -%}
    {%- if relation is not none %}
    union
    select {{ columns | join(', ') }}
    from {{ relation }}
    where generation = (select generation from {{ ref('stg_ops__build') }})
    {%- endif -%}
{%- endmacro %}

{# Post-hook: statistics for the planner and for BI tools. #}
{% macro analyze() -%}
    {%- if config.get('materialized') in ('table', 'incremental') -%}analyze {{ this }}{%- endif -%}
{%- endmacro %}
