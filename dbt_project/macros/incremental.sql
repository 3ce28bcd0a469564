{# The frame of everything that is built by what changed. README.md tells how it works and why it is right. #}

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
        {%- set touched = relation_of(found.group(1)) -%}
        {%- set columns = found.group(2).split(', ') -%}
        {%- set condition -%}
            ({{ columns | join(', ') }}) in (
                select touched.{{ columns | join(', touched.') }} from {{ touched }} as touched
            )
            {%- if 'month' in columns %}
            and {{ only_literals('month', 'select distinct month from ' ~ touched, touched) }}
            {%- endif %}
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
