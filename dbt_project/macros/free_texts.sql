{# The code of a free text as it landed. Rows of before the contract had the code list hold the text itself. #}
{% macro code_of_free_text(table, column) %}
    {%- set known = free_texts()[table ~ '.' ~ column] -%}
    case
        when {{ column }} is null or {{ column }} in ('{{ known.codes | join("', '") }}') then {{ column }}
        {%- for text, code in known.texts.items() %}
        when {{ column }} = '{{ text | replace("'", "''") }}' then '{{ code }}'
        {%- endfor %}
        else '{{ known.other }}'
    end
{%- endmacro %}
