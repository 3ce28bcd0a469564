{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_platform_month',
    changed_on=['month'],
) }}
-- depends_on: {{ ref('int_changed_platform_month') }}
{# Every month that contributions were paid for has its cells here, also months that are not covered. #}
with

paid as (
    select
        payment.month,
        payment.sender,
        coalesce(payment.platform_code, 'unknown') as platform_code,
        payment.person_key,
        payment.employer_uscc
    from {{ ref('social_insurance_month') }} as payment
    where
        {{ is_paid('payment', ['900']) }}
        and {{ only_changed('int_changed_platform_month', ['month'], 'payment') }}
),

together as (
    select * from paid
    union all
    select
        month,
        sender,
        'all' as platform_code,
        person_key,
        employer_uscc
    from paid
),

unit_with_union as (
    select distinct
        month,
        employer_uscc
    from {{ ref('int_organisation_month') }}
    where
        is_base
        and employer_uscc is not null
        and {{ only_changed('int_changed_platform_month', ['month']) }}
),

final as (
    select
        together.month,
        together.sender,
        together.platform_code,
        count(distinct together.person_key) as workers,
        count(distinct member.person_key) as members,
        count(distinct together.employer_uscc) as units,
        count(distinct unit_with_union.employer_uscc) as units_with_union
    from together
    left join {{ ref('member_month') }} as member
        on
            together.person_key = member.person_key
            and together.month = member.month
            and {{ in_changed_months('int_changed_platform_month', 'member.month') }}
    left join unit_with_union
        on together.employer_uscc = unit_with_union.employer_uscc and together.month = unit_with_union.month
    group by together.month, together.sender, together.platform_code
)

select * from final
