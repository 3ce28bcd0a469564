{# How many rows of each sender name each code in a column; what they name is a ``thing``. #}
{% macro rows_naming(feed, column, thing) %}
    select
        '{{ feed }}' as feed,
        '{{ column }}' as reference,
        '{{ thing }}' as thing,
        delivery.sender,
        {{ feed }}.{{ column }} as code,
        count(*) as row_count
    from {{ ref(feed) }} as {{ feed }}
    inner join {{ ref('int_delivery') }} as delivery on {{ feed }}.delivery_id = delivery.delivery_id
    where {{ feed }}.{{ column }} is not null
    group by delivery.sender, {{ feed }}.{{ column }}
{% endmacro %}
