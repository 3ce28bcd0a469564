{# Persons whose profile may differ: what it shows of them was touched, or it shows another month than the last one. #}
-- depends_on: {{ ref('member_month') }}
{% set standing = previous('member_profile') -%}
with

last_month as (
    select month from {{ ref('int_month_covered') }}
    where is_last
),

touched as (
    -- membership, skill, training and burden of the last month
    select touched.person_key
    from {{ ref('int_touched_hardship') }} as touched
    inner join last_month on touched.month = last_month.month
    union
    select touched.person_key
    from {{ ref('int_touched_insurance_month') }} as touched
    inner join last_month on touched.month = last_month.month
    -- events of any age are counted
    union
    select person_key from {{ ref('int_touched_person_skill') }}
    union
    select person_key from {{ ref('int_touched_person_training') }}
    {%- if standing is not none %}
    union
    select member.person_key
    from {{ ref('member_month') }} as member
    inner join last_month on member.month = last_month.month
    where member.month not in (select standing.month from {{ standing }} as standing)
    union
    select standing.person_key
    from {{ standing }} as standing
    where standing.month not in (select month from last_month)
    {%- endif %}
),

final as (
    select person_key from touched
    {% if flags.FULL_REFRESH %}where false{% endif %}
)

select * from final
