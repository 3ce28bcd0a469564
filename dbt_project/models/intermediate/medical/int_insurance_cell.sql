{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_coverage_month',
    changed_on=['month'],
) }}
-- depends_on: {{ ref('int_changed_coverage_month') }}
with

final as (
    select
        member.month,
        member.sender,
        member.admdvs,
        count(*) as members,
        count(*) filter (where insured.is_employee_insured) as employee_insured,
        count(*) filter (where insured.is_resident_insured) as resident_insured,
        count(*) filter (where insured.is_flexible) as flexible,
        count(*) filter (where insured.is_retired) as retired
    from {{ ref('member_month') }} as member
    left join {{ ref('insurance_month') }} as insured
        on
            member.month = insured.month
            and member.person_key = insured.person_key
            and {{ in_changed_months('int_changed_coverage_month', 'insured.month') }}
    where {{ only_changed('int_changed_coverage_month', ['month'], 'member') }}
    group by member.month, member.sender, member.admdvs
)

select * from final
