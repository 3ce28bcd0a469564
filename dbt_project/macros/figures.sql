{# A share: numeric, null where the denominator is 0, rounded once, at the end. #}
{% macro share(numerator, denominator) -%}
    round(({{ numerator }})::numeric / nullif({{ denominator }}, 0), 6)::numeric(18, 6)
{%- endmacro %}
