{# The feeds that carry an identity number, hence a person key: staging model, columns of sex and year of birth. #}
{% macro person_feeds() %}
    {{ return([
        {'staging': 'stg_membership__member', 'sex': 'sex', 'birth_year': 'birth_year'},
        {'staging': 'stg_training__enrolment', 'sex': 'sex', 'birth_year': 'birth_year'},
        {'staging': 'stg_training__certificate', 'sex': 'sex', 'birth_year': 'birth_year'},
        {'staging': 'stg_medical__person', 'sex': 'person_sex', 'birth_year': 'person_birth_year'},
        {'staging': 'stg_medical__settlement', 'sex': 'person_sex', 'birth_year': 'person_birth_year'},
    ]) }}
{% endmacro %}

{# Which row speaks for a person: one that knows the sex before one that does not, then the last delivery; within a
    delivery (only documents without the two in their number can differ) the greater year and sex. Packed into one number
    so that the rows need not be sorted. #}
{% macro person_rows(feed, condition) %}
    select
        {{ feed.staging }}.person_key,
        (({{ feed.sex }} is not null)::integer * 1000000000::bigint + delivery.event_rank) * 100000
        + coalesce({{ feed.birth_year }}, 0) * 10 + coalesce({{ feed.sex }}::integer, 0) as spoken
    from {{ ref(feed.staging) }} as {{ feed.staging }}
    inner join {{ ref('int_delivery') }} as delivery on {{ feed.staging }}.delivery_id = delivery.delivery_id
    where {{ feed.staging }}.person_key is not null and {{ condition }}
{% endmacro %}
