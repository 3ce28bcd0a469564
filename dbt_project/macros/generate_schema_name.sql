{# The schema of what is published: of the two build schemas the one that the caller names, else that of the profile. #}
{% macro build_schema() -%}
    {{ return(var('build', target.schema)) }}
{%- endmacro %}

{# build_a | build_b for what is published, build_a_staging | build_b_staging for everything else. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name is none -%}
        {{ build_schema() }}
    {%- else -%}
        {{ build_schema() }}_{{ custom_schema_name | trim }}
    {%- endif -%}
{%- endmacro %}
