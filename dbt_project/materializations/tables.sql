{# Tables as this project builds them. dbt's own materializations ask the database a dozen things about every table, and
   make, swap and drop it anew; that costs more than the rows of most builds do. Here a table that stands keeps its
   columns, indexes and comments, because it was built by this very code (another one means a full refresh), and only its
   rows change, in one round: compute them, take the old ones out, put them in. #}

{# All rows anew. With leave_same (see below) those that change. #}
{% materialization table, adapter='postgres' %}
    {%- set take_out = "delete from " ~ this ~ " as kept where true" if config.get('leave_same') else "truncate " ~ this -%}
    {{ return(bring_up_to_date(take_out)) }}
{% endmaterialization %}

{# The rows of the touched keys go, the recomputed rows of the touched keys come; done twice it does the same as once.
   Without a touched table rows only come.
   config:
     touched        name of the model with the touched keys (the model must also ref() it)
     touched_on     the columns that stand in both; null equals nothing, so key columns are never null
     touched_match  instead of touched_on: a condition between `kept` (this table) and `touched`
     touched_where  only these rows of the touched keys (of `touched`)
     leave_same     rows that are computed as they stand are left alone: worth while where a touched key often changes
                    nothing. Rows are told apart by the first unique index; needs an enforced contract. #}
{% materialization incremental, adapter='postgres' %}
    {{ return(bring_up_to_date(delete_touched() if config.get('touched') else none)) }}
{% endmaterialization %}

{% macro bring_up_to_date(take_out) %}
    {%- set standing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='table') -%}
    {%- set stands = standing is not none and standing.is_table and not should_full_refresh() -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if stands -%}
        {%- set columns = adapter.dispatch('get_column_names', 'dbt')() if config.get('contract').enforced else none -%}
        {%- set computed = adapter.quote('computed__' ~ this.identifier) -%}
        {%- call statement('main') %}
            create temporary table {{ computed }} on commit drop as ({{ sql }});
            {%- if config.get('leave_same') %}
            {{ take_out }}
                and not exists (
                    select from {{ computed }} as fresh
                    where {{ same_key() }} and {{ all_columns('fresh') }} is not distinct from {{ all_columns('kept') }}
                );
            insert into {{ target }} ({{ columns }})
            select {{ columns }} from {{ computed }} as fresh
            where not exists (select {{ of_touched() }} and {{ same_key() }})
            {%- else %}
            {{ take_out ~ ';' if take_out }}
            insert into {{ target }} {{ '(' ~ columns ~ ')' if columns }}
            select {{ columns or '*' }} from {{ computed }}
            {%- endif %}
        {%- endcall %}
    {%- else -%}
        {%- if standing is not none -%}
            {%- do adapter.drop_relation(standing) -%}
        {%- endif -%}
        {%- call statement('main') %}
            {{ get_create_table_as_sql(False, target, sql) }}
        {%- endcall %}
        {%- do create_indexes(target) -%}
        {%- do persist_docs(target, model) -%}
    {%- endif -%}

    {#- Statistics for the planner and for BI tools; of a table that stands from a small sample, and only once a
        hundredth of it has changed since. Where autovacuum is at the table already, it does the work: to wait for it
        would take up to `deadlock_timeout`, after which the server calls it off. -#}
    {%- set written = load_result('main').response.rows_affected -%}
    {%- if not stands -%}
        {%- call statement('analyze') %} analyze {{ target }} {%- endcall %}
    {%- elif written > 0 -%}
        {%- call statement('analyze') %}
            set local default_statistics_target = 10;
            do $$
            begin
                if (
                    select {{ written }} + coalesce(pg_stat_get_mod_since_analyze(oid), 0) > reltuples / 100
                    from pg_class where oid = '{{ target }}'::regclass
                ) then
                    analyze (skip_locked) {{ target }};
                end if;
            end
            $$
        {%- endcall %}
    {%- endif -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmacro %}

{% macro delete_touched() -%}
    delete from {{ this }} as kept
    using {{ ref(config.require('touched')) }} as touched
    where {{ is_touched() }}
{%- endmacro %}

{# The rows that still stand of those that were recomputed, from `from` on. #}
{% macro of_touched() -%}
    from {{ this }} as kept
    {%- if config.get('touched') %}, {{ ref(config.get('touched')) }} as touched {%- endif %}
    where {{ is_touched() if config.get('touched') else 'true' }}
{%- endmacro %}

{# Whether a row of `kept` belongs to a key of `touched`. #}
{% macro is_touched() -%}
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
    and {{ config.get('touched_where', 'true') }}
{%- endmacro %}

{% macro same_key() -%}
    {%- set unique = config.require('indexes') | selectattr('unique', 'defined') | first -%}
    {%- for column in unique.columns -%}
    fresh.{{ column }} = kept.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro all_columns(of) -%}
    row({% for name in model.columns %}{{ of }}.{{ name }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}
