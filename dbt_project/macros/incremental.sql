{# The frame of everything that is built by what changed. README.md tells how it works and why it is right. #}

{# Incremental strategy `replace_touched`: the rows of the touched keys go, the recomputed rows of the touched keys come.
   config:
     touched        name of the model with the touched keys (the model must also ref() it)
     touched_on     the columns that stand in both; null equals nothing, so key columns are never null
     touched_match  instead of touched_on: a condition between `kept` (this table) and `touched`
     touched_where  only these rows of the touched keys (of `touched`)
   Both statements stand in the transaction of the node. Done twice it does the same as once. #}
{% macro get_incremental_replace_touched_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    delete from {{ target }} as kept
    using {{ ref(config.require('touched')) }} as touched
    where
        {% if config.get('touched_match') -%}
        {{ config.get('touched_match') }}
        {%- else -%}
        {% for column in config.require('touched_on') -%}
        kept.{{ column }} = touched.{{ column }}{{ ' and ' if not loop.last }}
        {%- endfor %}
        {%- if 'month' in config.require('touched_on') %}
        and {{ only_months_of(config.require('touched'), 'kept.month') }}
        {%- endif %}
        {%- endif %}
        and {{ config.get('touched_where', 'true') }};

    insert into {{ target }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict['temp_relation'] }};
{% endmacro %}

{# Restricts a query to the touched keys in an incremental run; true in a full one.
   `columns` are those of the touched table; `of` is the alias of the table that has them too, or a list of expressions:
   {{ only_touched('int_touched_member_month', ['month', 'person_key'], 'version') }}
   {{ only_touched('int_touched_member_month', ['month', 'person_key'], ['covered.month', 'version.person_key']) }} #}
{% macro only_touched(touched, columns, of=none) -%}
    {%- set own = [] -%}
    {%- for column in columns -%}
        {%- do own.append(of[loop.index0] if of is not string and of is not none else (of ~ '.' ~ column if of else column)) -%}
    {%- endfor -%}
    {%- if is_incremental() -%}
    ({{ own | join(', ') }}) in (select touched.{{ columns | join(', touched.') }} from {{ ref(touched) }} as touched)
    {%- if 'month' in columns %}
    and {{ only_months_of(touched, own[columns.index('month')]) }}
    {%- endif %}
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{# The table of a model that is built LATER in this run, as the last run left it, or none (first run, full refresh).
   This is how touched keys learn which rows stand in a table before it changes. It makes no edge in the graph: the
   caller must be upstream of that model. Columns are those of the last run. #}
{% macro previous(name) -%}
    {%- if execute and not flags.FULL_REFRESH -%}
        {{ return(load_relation(relation_of(name))) }}
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
    where generation = (select generation from {{ ref('int_build') }})
    {%- endif -%}
{%- endmacro %}

{# Post-hooks: statistics for the planner and for BI tools. A table that only changed in parts is sampled in small. #}
{% macro small_sample() -%}
    {%- if is_incremental() -%}set local default_statistics_target = 20{%- endif -%}
{%- endmacro %}

{% macro analyze() -%}
    {%- set unchanged = execute and is_incremental() and load_result('main').response.rows_affected == 0 -%}
    {%- if config.get('materialized') in ('table', 'incremental') and not unchanged -%}analyze {{ this }}{%- endif -%}
{%- endmacro %}

{# Comments and the comparison of columns with the contract follow from the code, and a table that stands was built by this
   very code (another one means a full refresh): a run that changes rows need not say and check them again. #}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- if not is_incremental() -%}
    {{ dbt.default__persist_docs(relation, model, for_relation, for_columns) }}
    {%- endif -%}
{%- endmacro %}

{% macro postgres__get_assert_columns_equivalent(sql) -%}
    {%- if not is_incremental() -%}
    {{ dbt.default__get_assert_columns_equivalent(sql) }}
    {%- endif -%}
{%- endmacro %}

{# The relation of a model by its name, without an edge in the graph. #}
{% macro relation_of(name) -%}
    {%- set nodes = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | selectattr('name', 'equalto', name) | list -%}
    {%- if nodes | length != 1 -%}
        {{ exceptions.raise_compiler_error("There is no model " ~ name) }}
    {%- endif -%}
    {{ return(api.Relation.create(database=nodes[0].database, schema=nodes[0].schema, identifier=nodes[0].alias)) }}
{%- endmacro %}

{# Data tests read only what changed where their configuration says so:
     config: {where: "changed(int_touched_member_month: month, person_key)"}
   and tests that would have to read everything only read in the weekly run:
     config: {where: "weekly"}
   The weekly run over everything sets --vars '{full_tests: true}'; a full refresh reads everything as well. #}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') or '' -%}
    {%- set found = modules.re.match('^changed[(]([a-z_]+): ([a-z_0-9, ]+)[)]$', where) -%}
    {%- if found and execute -%}
        {%- if var('full_tests') or flags.FULL_REFRESH -%}
            {{ return(relation) }}
        {%- endif -%}
        {%- set columns = found.group(2).split(', ') -%}
        {%- set condition -%}
            ({{ columns | join(', ') }}) in (
                select touched.{{ columns | join(', touched.') }} from {{ relation_of(found.group(1)) }} as touched
            )
        {%- endset -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ condition ~ ') dbt_subquery') }}
    {%- elif where == 'weekly' -%}
        {{ return(relation if var('full_tests') else '(select * from ' ~ relation ~ ' where false) dbt_subquery') }}
    {%- elif where -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') dbt_subquery') }}
    {%- else -%}
        {{ return(relation) }}
    {%- endif -%}
{%- endmacro %}
