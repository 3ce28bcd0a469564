{# Building by changed keys: docs/incremental-builds.md explains the idea, with a picture. #}

{# The incremental strategy `changed_keys` of dbt's materialization `incremental`: the rows of the changed keys are deleted
   and the recomputed rows of the changed keys inserted, in one transaction. Doing it twice gives the same as doing it once.

   dbt's own `delete+insert` takes the keys to delete from the recomputed rows, so a key that has no row any more would
   keep its old one; here they come from a table, int_changed_<what>. Rows that come out as they were can be left alone.
   Saves: a month of one sender costs 0.04 of a full build; of its recomputed member-months nineteen of twenty are not
   written (bench/README.md).

   config:
     changed_keys    model with the changed keys; the model that is built must ref() it
     changed_on      columns that both have; they are never null, because null equals nothing
     changed_match   in place of changed_on: a condition between `target` (the table) and `changed_key`
     changed_where   restricts the changed keys (`changed_key`)
     skip_unchanged  leaves rows alone that are recomputed with the same values: useful where a changed key often changes
                     nothing. Rows are compared by the columns of the first unique index. #}
{% macro get_incremental_changed_keys_sql(arguments) -%}
    {%- set target = arguments.target_relation -%}
    {%- set recomputed = arguments.temp_relation -%}
    {%- set names = arguments.dest_columns | map(attribute='quoted') | list -%}
    {%- set skip_unchanged = config.get('skip_unchanged') -%}
    {%- set changed_keys = ref(config.require('changed_keys')) %}

    delete from {{ target }} as target
    using {{ changed_keys }} as changed_key
    where {{ is_changed_key() }}
    {%- if skip_unchanged %}
        and not exists (
            select from {{ recomputed }} as recomputed
            where
                {{ is_same_row_key() }}
                and row(recomputed.{{ names | join(', recomputed.') }})
                is not distinct from row(target.{{ names | join(', target.') }})
        )
    {%- endif %};
    insert into {{ target }} ({{ names | join(', ') }})
    select {{ names | join(', ') }} from {{ recomputed }} as recomputed
    {%- if skip_unchanged %}
    where not exists (
        select from {{ target }} as target, {{ changed_keys }} as changed_key
        where {{ is_changed_key() }} and {{ is_same_row_key() }}
    )
    {%- endif %}
{%- endmacro %}

{# Whether a row of `target` has a key that is in `changed_key`. #}
{% macro is_changed_key() -%}
    {%- if config.get('changed_match') -%}
        {{ config.get('changed_match') }}
    {%- else -%}
        {%- for column in config.require('changed_on') -%}
            target.{{ column }} = changed_key.{{ column }}{{ ' and ' if not loop.last }}
        {%- endfor -%}
        {%- if 'month' in config.require('changed_on') %}
            and {{ only_months_of(config.require('changed_keys'), 'target.month') }}
        {%- endif -%}
        {%- if 'sender' in config.require('changed_on') %}
            and {{ only_senders_of(config.require('changed_keys'), 'target.sender') }}
        {%- endif -%}
    {%- endif %}
    and {{ config.get('changed_where', 'true') }}
{%- endmacro %}

{# Whether `recomputed` and `target` are one row, by the first unique index of the model. #}
{% macro is_same_row_key() -%}
    {%- set unique = config.require('indexes') | selectattr('unique', 'defined') | first -%}
    {%- for column in unique.columns -%}
        recomputed.{{ column }} = target.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# Restricts the query of a model to the changed keys in an incremental run; true in a full one.
   `columns` are those of the table of changed keys; `of` is the alias of the table that has them too, or a list of
   expressions:
   {{ only_changed('int_changed_member_month', ['month', 'person_key'], 'version') }}
   {{ only_changed('int_changed_member_month', ['month', 'person_key'], ['covered.month', 'version.person_key']) }} #}
{% macro only_changed(changed_keys, columns, of=none) -%}
    {%- set expressions = [] -%}
    {%- for column in columns -%}
        {%- do expressions.append(
            of[loop.index0] if of is not string and of is not none else (of ~ '.' ~ column if of else column)
        ) -%}
    {%- endfor -%}
    {%- if is_incremental() -%}
    ({{ expressions | join(', ') }}) in (
        select changed_key.{{ columns | join(', changed_key.') }} from {{ ref(changed_keys) }} as changed_key
    )
    {%- if 'month' in columns %}
    and {{ only_months_of(changed_keys, expressions[columns.index('month')]) }}
    {%- endif %}
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{# The table of a model that is built LATER in this run, as the last run left it; none in the first run and in a full
   refresh. A model of changed keys learns from it which rows there were before the change. It makes no edge in the graph:
   the caller must be upstream of that model. The columns are those of the last run. #}
{% macro previous(name) -%}
    {%- if execute and not flags.FULL_REFRESH -%}
        {{ return(load_relation(relation_of(name))) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{# At the end of a union of changed keys: the keys that earlier, unfinished builds found since this build schema was last
   complete. Those builds may have changed some tables and not others, and the next difference of deliveries does not tell.
   The model has a last column `generation` (see int_build); `columns` are the others. #}
{% macro carried_over(columns) -%}
    {%- set existing = previous(model.name) -%}
    {%- if existing is not none %}
    union
    select {{ columns | join(', ') }}
    from {{ existing }}
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

{# Overrides dbt's macro of this name: data tests read only what changed where their configuration says so,
     config: {where: "changed(int_changed_member_month: month, person_key)"}
   and tests that would have to read everything are left to the weekly run,
     config: {where: "weekly"}
   The weekly run over everything sets --vars '{full_tests: true}'; a full refresh reads everything as well. #}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') or '' -%}
    {%- set found = modules.re.match('^changed[(]([a-z_]+): ([a-z_0-9, ]+)[)]$', where) -%}
    {%- if found and execute -%}
        {%- if var('full_tests') or flags.FULL_REFRESH -%}
            {{ return(relation) }}
        {%- endif -%}
        {%- set changed_keys = relation_of(found.group(1)) -%}
        {%- set columns = found.group(2).split(', ') -%}
        {%- set condition -%}
            ({{ columns | join(', ') }}) in (
                select changed_key.{{ columns | join(', changed_key.') }} from {{ changed_keys }} as changed_key
            )
            {%- if 'month' in columns %}
            and {{ only_literals('month', 'select distinct month from ' ~ changed_keys, changed_keys) }}
            {%- endif %}
            {%- if 'sender' in columns %}
            and {{ only_literals('sender', 'select distinct sender from ' ~ changed_keys, changed_keys) }}
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
