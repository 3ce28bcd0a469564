{{ config(
    materialized='incremental',
    touched='int_touched_coverage_month',
    touched_on=['month'],
    leave_same=true,
    indexes=[{'columns': ['month', 'sender', 'admdvs'], 'unique': true}, {'columns': ['admdvs', 'month']}],
) }}
-- depends_on: {{ ref('int_touched_coverage_month') }}
with

counted as (
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
        on member.month = insured.month and member.person_key = insured.person_key
    where {{ only_touched('int_touched_coverage_month', ['month'], 'member') }}
    group by member.month, member.sender, member.admdvs
),

final as (
    select
        counted.month,
        counted.sender,
        counted.admdvs,
        counted.members::integer as members,
        counted.employee_insured::integer as employee_insured,
        counted.resident_insured::integer as resident_insured,
        (counted.members - counted.employee_insured - counted.resident_insured)::integer as uninsured,
        counted.flexible::integer as flexible,
        counted.retired::integer as retired,
        {{ share('counted.employee_insured', 'counted.members') }} as employee_insured_rate,
        {{ month_key('counted.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name
    from counted
    left join {{ ref('region') }} as sender on counted.sender = sender.admdvs
    left join {{ ref('region') }} as region on counted.admdvs = region.admdvs
)

select * from final
