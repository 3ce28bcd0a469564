{# build_a | build_b for what is published, build_a_staging | build_b_staging for everything else. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set build = var('build') -%}
    {%- if custom_schema_name is none -%}
        {{ build }}
    {%- else -%}
        {{ build }}_{{ custom_schema_name | trim }}
    {%- endif -%}
{%- endmacro %}
