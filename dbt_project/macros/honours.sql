{# Whether a person holds an honour on a day: it was granted by then and is valid, or was revoked after that day only. An
   honour that was revoked without a day of revocation was never held. `honour` is the alias of core.honour. #}
{% macro is_held_on(honour, day) -%}
    (
        {{ honour }}.granted_on <= {{ day }}
        and ({{ honour }}.status = '1' or {{ honour }}.revoked_on > {{ day }})
    )
{%- endmacro %}
