{# What dbt does with a table after its rows are in it. #}

{# Post-hook: statistics for the planner and for BI tools. A new table is always analyzed; one that existed from a small
   sample, and only once a hundredth of its rows have changed since the last time. Where autovacuum is at the table, it
   does the work: waiting for it would take up to `deadlock_timeout`, after which the server cancels it. #}
{% macro analyze_changed() -%}
    {%- if model.config.materialized != 'view' %}
    do $$
    declare
        analyzed_rows real;
        changed_rows bigint;
    begin
        select
            reltuples,
            coalesce(pg_stat_get_mod_since_analyze(oid), 0)
            + pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_deleted(oid)
        into analyzed_rows, changed_rows
        from pg_class where oid = '{{ this }}'::regclass;
        if analyzed_rows >= 0 then
            set local default_statistics_target = 10;
        end if;
        if changed_rows > analyzed_rows / 100 then
            analyze (skip_locked) {{ this }};
        end if;
    end
    $$
    {%- endif %}
{%- endmacro %}

{# Overrides dbt's macro of this name: an incremental model that exists has its comments already, because the same code
   made it. To write them again would ask the catalogue twice, and wait for autovacuum where that is at the table. #}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- if not is_incremental() -%}
        {{ default__persist_docs(relation, model, for_relation, for_columns) }}
    {%- endif -%}
{%- endmacro %}

{# Overrides dbt's macro of this name: under an enforced contract the columns of an incremental model are those of the
   contract, which dbt has just compared with the query. To compare them with two tables as well would ask the catalogue
   twice, a quarter of what such a node takes; a table that lacks one of them refuses the rows. #}
{% macro process_schema_changes(on_schema_change, source_relation, target_relation) -%}
    {%- if not config.get('contract').enforced -%}
        {{ return(dbt.process_schema_changes(on_schema_change, source_relation, target_relation)) }}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for column in model.columns.values() -%}
        {%- do columns.append(api.Column.create(column.name, column.data_type)) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{# Overrides dbt's macro of this name, which asks the catalogue once more for columns that dbt has just asked for. #}
{% macro postgres__alter_column_comment(relation, column_dict) -%}
    {%- for column in column_dict.values() %}
    comment on column {{ relation }}.{{ column.name }} is {{ postgres_escape_comment(column.description) }};
    {%- endfor %}
{%- endmacro %}
