{# Seeds as dbt loads them, but only where the file or its settings changed since (a mark in the table's comment tells), and
   as one JSON value instead of a placeholder for every cell: thirty lists cost nothing then, the divisions a second. #}
{% materialization seed, adapter='postgres' %}
    {%- set old_relation = load_relation(this) -%}
    {%- set mark = '[' ~ local_md5(model['checksum']['checksum'] ~ config.get('column_types') ~ model['description']) ~ ']' -%}

    {%- set standing = none -%}
    {%- if old_relation is not none and not should_full_refresh() -%}
        {%- set answer = run_query("select obj_description('" ~ old_relation.render() ~ "'::regclass)") -%}
        {%- set standing = answer.rows[0][0] -%}
        {#- dbt asks every seed for a table -#}
        {%- do store_result('agate_table', response='OK', agate_table=answer) -%}
    {%- endif -%}

    {%- if standing is not none and mark in standing -%}
        {% call noop_statement('main', 'UNCHANGED', 'UNCHANGED', 0) %}
            -- the file is the one that was loaded
        {% endcall %}
    {%- else -%}
        {{ run_hooks(pre_hooks, inside_transaction=False) }}
        {{ run_hooks(pre_hooks, inside_transaction=True) }}
        {%- set table = load_agate_table() -%}
        {%- do store_result('agate_table', response='OK', agate_table=table) -%}
        {%- if old_relation is not none -%}
            {%- do adapter.drop_relation(old_relation) -%}
        {%- endif -%}
        {%- set create_sql = create_csv_table(model, table) -%}
        {%- set insert_sql = load_csv_as_json(model, table) -%}
        {% call noop_statement('main', 'INSERT ' ~ (table.rows | length), 'INSERT', table.rows | length) %}
            {{ create_sql }};
            {{ insert_sql }}
        {% endcall %}
        {%- do persist_docs(this.incorporate(type='table'), model) -%}
        {%- set told = (model['description'] ~ ' ' ~ mark) | replace("'", "''") -%}
        {%- do run_query("comment on table " ~ this.render() ~ " is '" ~ told ~ "'") -%}
        {%- do create_indexes(this.incorporate(type='table')) -%}
        {%- do run_query('analyze ' ~ this.render()) -%}
        {{ run_hooks(post_hooks, inside_transaction=True) }}
        {%- do adapter.commit() -%}
        {{ run_hooks(post_hooks, inside_transaction=False) }}
    {%- endif -%}

    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}

{# Rows of a seed's file in one statement with one value. #}
{% macro load_csv_as_json(model, table) -%}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set rows = [] -%}
    {%- for row in table.rows -%}
        {%- set cells = [] -%}
        {%- for cell in row.values() -%}
            {%- do cells.append(none if cell is none else cell | string) -%}
        {%- endfor -%}
        {%- do rows.append(cells) -%}
    {%- endfor -%}
    {%- set sql -%}
        insert into {{ this.render() }} ({{ get_seed_column_quoted_csv(model, table.column_names) }})
        select
            {%- for name in table.column_names %}
            (cells ->> {{ loop.index0 }})::{{ types.get(name, adapter.convert_type(table, loop.index0)) }}{{ ',' if not loop.last }}
            {%- endfor %}
        from jsonb_array_elements(%s::jsonb) as cells
    {%- endset -%}
    {%- do adapter.add_query(sql, bindings=[tojson(rows)], abridge_sql_log=True) -%}
    {{ return(sql) }}
{%- endmacro %}
