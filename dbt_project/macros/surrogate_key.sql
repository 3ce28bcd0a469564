{# The one recipe for surrogate keys: the key's columns in the order given, as 32 hexadecimal digits.
   A missing value differs from an empty text. #}
{% macro surrogate_key(columns) -%}
    md5(concat_ws('|',
        {%- for column in columns %} coalesce({{ column }}::text, '~'){{ ',' if not loop.last }}{% endfor -%}
    ))
{%- endmacro %}
