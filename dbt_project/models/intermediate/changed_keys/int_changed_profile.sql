{# Persons whose profile may differ: something that it shows of them changed, or it shows another month than the last
   one. #}
-- depends_on: {{ ref('member_month') }}
{% set existing = previous('member_profile') -%}
with

last_month as (
    select month from {{ ref('int_month_covered') }}
    where is_last
),

changed_key as (
    -- membership, skill, training, burden, insurance and employment of the last month
    {%- for changed_keys in [
        'int_changed_hardship', 'int_changed_insurance_month', 'int_changed_employment_month', 'int_changed_paid_month'
    ] %}
    select changed_key.person_key
    from {{ ref(changed_keys) }} as changed_key
    inner join last_month on changed_key.month = last_month.month
    union
    {%- endfor %}
    -- events of every month are counted
    select person_key from {{ ref('int_changed_person_skill') }}
    union
    select person_key from {{ ref('int_changed_person_training') }}
    {%- if existing is not none %}
    union
    select member.person_key
    from {{ ref('member_month') }} as member
    inner join last_month on member.month = last_month.month
    where member.month not in (select existing.month from {{ existing }} as existing)
    union
    select existing.person_key
    from {{ existing }} as existing
    where existing.month not in (select month from last_month)
    {%- endif %}
),

final as (
    select person_key from changed_key
    {% if flags.FULL_REFRESH %}where false{% endif %}
)

select * from final
