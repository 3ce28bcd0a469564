{{ config(materialized='view', tags=['static']) }}
with

member as (
    select * from {{ ref('int_member_summary_month') }}
),

organisation as (
    select * from {{ ref('int_organisation_summary_month') }}
),

final as (
    select
        'joining_rate' as indicator,
        month,
        sender,
        coalesce(member.members, 0)::numeric as numerator,
        coalesce(organisation.employees, 0)::numeric as denominator
    from member
    full outer join organisation using (month, sender)
    union all
    select
        'workers_congress_rate' as indicator,
        month,
        sender,
        with_workers_congress::numeric as numerator,
        organisations::numeric as denominator
    from organisation
    union all
    select
        'open_affairs_rate' as indicator,
        month,
        sender,
        with_open_affairs::numeric as numerator,
        organisations::numeric as denominator
    from organisation
    union all
    select
        'collective_contract_rate' as indicator,
        month,
        sender,
        with_collective_contract::numeric as numerator,
        organisations::numeric as denominator
    from organisation
    union all
    select
        'new_form_share' as indicator,
        month,
        sender,
        new_form_members::numeric as numerator,
        members::numeric as denominator
    from member
)

select * from final
