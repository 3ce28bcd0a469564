{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_employment_cell',
    changed_on=['month'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'sender', 'admdvs'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_employment_cell') }}
with

member as (
    select
        member.month,
        member.sender,
        member.admdvs,
        employment.person_key is not null as is_employed,
        coalesce(employment.is_unit_employed, false) as is_unit_employed,
        coalesce(employment.is_flexible_employed, false) as is_flexible_employed,
        coalesce(paid.is_pension, false) as is_pension,
        coalesce(paid.has_resident_pension and not paid.is_pension, false) as is_resident_pension,
        coalesce(paid.is_unemployment, false) as is_unemployment,
        coalesce(paid.is_injury, false) as is_injury,
        coalesce(paid.is_occupational_injury, false) as is_occupational_injury,
        coalesce(insured.is_employee_insured, false) as is_medical,
        -- maternity insurance was merged into the medical insurance of employees
        coalesce(paid.has_maternity, false) or coalesce(insured.is_employee_insured, false) as is_maternity
    from {{ ref('member_month') }} as member
    left join {{ ref('int_employment_month') }} as employment
        on
            member.month = employment.month
            and member.person_key = employment.person_key
            and {{ in_changed_months('int_changed_employment_cell', 'employment.month') }}
    left join {{ ref('int_paid_month') }} as paid
        on
            member.month = paid.month
            and member.person_key = paid.person_key
            and {{ in_changed_months('int_changed_employment_cell', 'paid.month') }}
    left join {{ ref('insurance_month') }} as insured
        on
            member.month = insured.month
            and member.person_key = insured.person_key
            and {{ in_changed_months('int_changed_employment_cell', 'insured.month') }}
    where {{ only_changed('int_changed_employment_cell', ['month'], 'member') }}
),

final as (
    select
        month,
        sender,
        admdvs,
        count(*) as members,
        count(*) filter (where is_employed) as employed,
        count(*) filter (where is_unit_employed) as unit_employed,
        count(*) filter (where is_flexible_employed) as flexible_employed,
        count(*) filter (where is_pension) as pension,
        count(*) filter (where is_resident_pension) as resident_pension,
        count(*) filter (where is_unemployment) as unemployment,
        count(*) filter (where is_injury) as injury,
        count(*) filter (where is_occupational_injury) as occupational_injury,
        count(*) filter (where is_medical) as medical,
        count(*) filter (where is_maternity) as maternity,
        count(*) filter (
            where is_pension and is_medical and is_unemployment and is_injury and is_maternity
        ) as all_five,
        count(*) filter (
            where not (is_pension or is_resident_pension or is_unemployment or is_injury or is_medical)
        ) as without_any
    from member
    group by month, sender, admdvs
)

select * from final
