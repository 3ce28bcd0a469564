{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_profile',
    changed_on=['person_key'],
    skip_unchanged=true,
    indexes=[
        {'columns': ['person_key'], 'unique': true},
        {'columns': ['sender', 'admdvs']},
        {'columns': ['org_code', 'sender']},
    ],
) }}
-- depends_on: {{ ref('int_changed_profile') }}
{% set last_month = only_literal(
    'select month from ' ~ ref('int_month_covered') ~ ' where is_last', 'date', ref('int_month_covered')
) -%}
{% set from_month = '(' ~ last_month ~ " - interval '11 months')::date" -%}
with

member as (
    select member_month.*
    from {{ ref('member_month') }} as member_month
    where
        member_month.month = {{ last_month }}
        and {{ only_changed('int_changed_profile', ['person_key'], 'member_month') }}
),

certificate as (
    select
        person_key,
        count(*) as certificates,
        max(issued_on) as last_certificate_on
    from {{ ref('certificate') }}
    where
        is_counted
        and month <= {{ last_month }}
        and {{ only_changed('int_changed_profile', ['person_key']) }}
    group by person_key
),

enrolment as (
    select
        person_key,
        count(*) as enrolments,
        count(*) filter (where month >= {{ from_month }}) as enrolments_12m,
        count(*) filter (where result = '1') as passed,
        max(started_on) as last_training_on
    from {{ ref('enrolment') }}
    where month <= {{ last_month }} and {{ only_changed('int_changed_profile', ['person_key']) }}
    group by person_key
),

insurance as (
    select * from {{ ref('insurance_month') }}
    where month = {{ last_month }} and {{ only_changed('int_changed_profile', ['person_key']) }}
),

employment as (
    select * from {{ ref('int_employment_month') }}
    where month = {{ last_month }} and {{ only_changed('int_changed_profile', ['person_key']) }}
),

paid as (
    select * from {{ ref('int_paid_month') }}
    where month = {{ last_month }} and {{ only_changed('int_changed_profile', ['person_key']) }}
),

burden as (
    select
        person_key,
        count(*) as settlements_12m,
        sum(medfee_sumamt) as medfee_12m,
        sum(fund_pay_sumamt) as fund_pay_12m,
        sum(psn_pay) as psn_pay_12m
    from {{ ref('settlement') }}
    where
        is_net
        and setl_month between {{ from_month }} and {{ last_month }}
        and {{ only_changed('int_changed_profile', ['person_key']) }}
    group by person_key
),

final as (
    select
        member.person_key,
        member.month,
        member.sender,
        member.org_code,
        member.admdvs,
        region.full_name as region_name,
        member.industry,
        industry.label as industry_label,
        member.employer_nature,
        nature.label as employer_nature_label,
        member.employer_uscc,
        member.sex,
        sex.label as sex_label,
        member.birth_year,
        member.joined_on,
        member.education,
        member.employment_status,
        employment_status.label as employment_status_label,
        member.household_type,
        household_type.label as household_type_label,
        member.is_migrant_worker,
        member.is_new_form,
        member.new_form_type,
        new_form_type.label as new_form_label,
        member.skill_rank,
        coalesce(skill.label, '无等级') as skill_label,
        member.is_certified,
        member.is_skilled,
        member.is_high_skilled,
        coalesce(certificate.certificates, 0)::integer as certificates,
        certificate.last_certificate_on,
        coalesce(enrolment.enrolments, 0)::integer as enrolments,
        coalesce(enrolment.enrolments_12m, 0)::integer as enrolments_12m,
        coalesce(enrolment.passed, 0)::integer as passed,
        enrolment.last_training_on,
        member.is_trained_12m,
        coalesce(insurance.is_employee_insured, false) as is_employee_insured,
        coalesce(insurance.is_resident_insured, false) as is_resident_insured,
        coalesce(insurance.is_flexible, false) as is_flexible,
        coalesce(insurance.is_retired, false) as is_retired,
        coalesce(burden.settlements_12m, 0)::integer as settlements_12m,
        coalesce(burden.medfee_12m, 0)::numeric(18, 2) as medfee_12m,
        coalesce(burden.fund_pay_12m, 0)::numeric(18, 2) as fund_pay_12m,
        coalesce(burden.psn_pay_12m, 0)::numeric(18, 2) as psn_pay_12m,
        employment.person_key is not null as is_employed,
        employment.employment_form,
        employment.employment_uscc,
        coalesce(paid.is_pension, false) as is_pension,
        coalesce(paid.is_unemployment, false) as is_unemployment,
        coalesce(paid.is_injury, false) as is_injury,
        coalesce(paid.is_occupational_injury, false) as is_occupational_injury,
        employment_form.label as employment_form_label,
        province.name as sender_name
    from member
    left join certificate on member.person_key = certificate.person_key
    left join enrolment on member.person_key = enrolment.person_key
    left join insurance on member.person_key = insurance.person_key
    left join burden on member.person_key = burden.person_key
    left join employment on member.person_key = employment.person_key
    left join paid on member.person_key = paid.person_key
    left join {{ ref('employment_form') }} as employment_form on employment.employment_form = employment_form.code
    left join {{ ref('region') }} as region on member.admdvs = region.admdvs
    left join {{ ref('region') }} as province on member.sender = province.admdvs
    left join {{ ref('industry') }} as industry on member.industry = industry.code
    left join {{ ref('employer_nature') }} as nature on member.employer_nature = nature.code
    left join {{ ref('sex') }} as sex on member.sex = sex.code
    left join {{ ref('employment_status') }} as employment_status on member.employment_status = employment_status.code
    left join {{ ref('household_type') }} as household_type on member.household_type = household_type.code
    left join {{ ref('new_form_type') }} as new_form_type on member.new_form_type = new_form_type.code
    left join {{ ref('skill_level') }} as skill on member.skill_rank = skill.rank
)

select * from final
