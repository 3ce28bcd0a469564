{# Which row speaks for a person: one that knows the sex before one that does not, then the last delivery; within a
    delivery (only documents without the two in their number can differ) the greater year and sex. Packed into one number
    so that the rows need not be sorted. #}
{% macro person_rows(feed, condition) %}
    select
        {{ feed }}.person_key,
        ((sex is not null)::integer * 1000000000::bigint + delivery.event_rank) * 100000
        + coalesce(birth_year, 0) * 10 + coalesce(sex::integer, 0) as precedence
    from {{ ref(feed) }} as {{ feed }}
    inner join {{ ref('int_delivery') }} as delivery on {{ feed }}.delivery_id = delivery.delivery_id
    where {{ feed }}.person_key is not null and {{ condition }}
{% endmacro %}
