{# dbt called by hand, not by `warehouse` (warehouse/build/dbt.py says so in the environment), works on the schema that nobody
   reads. Called when a run starts, and by a model, for `dbt docs generate` knows no such start. #}
{% macro refuse_published() -%}
    {%- if execute and is_by_hand() -%}
        {%- set publication = api.Relation.create(database=target.database, schema='ops', identifier='publication') -%}
        {%- if load_relation(publication) is not none -%}
            {%- set published = run_query("select build from " ~ publication ~ " where is_current") -%}
            {%- if build_schema() in published.columns[0].values() -%}
                {%- do exceptions.raise_compiler_error(
                    "The schema " ~ build_schema() ~ " is published: dbt by hand works on the other build schema only,"
                    ~ " which your profile may name."
                ) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# What was built by hand is no state that `warehouse` may go on from or publish: it begins anew. #}
{% macro forget_what_it_held() -%}
    {%- if execute and is_by_hand() and flags.WHICH != 'test' -%}
        {%- set ledger = api.Relation.create(database=target.database, schema='ops', identifier='build') -%}
        {%- if load_relation(ledger) is not none -%}
    update {{ ledger }}
    set completed_at = null, code_hash = null, ledger_hash = null
    where build = '{{ build_schema() }}'
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro is_by_hand() -%}
    {{ return(env_var('WAREHOUSE_DBT_CALLER', '') != 'warehouse') }}
{%- endmacro %}
