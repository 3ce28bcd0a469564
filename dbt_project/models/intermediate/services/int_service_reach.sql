{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_service_reach_month',
    changed_on=['month'],
    indexes=[{'columns': ['month', 'sender', 'admdvs', 'service_group'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_service_reach_month') }}
with

member as (
    select
        month,
        sender,
        admdvs,
        person_key
    from {{ ref('member_month') }}
    where {{ only_changed('int_changed_service_reach_month', ['month']) }}
),

reached as (
    select
        member.month,
        member.sender,
        member.admdvs,
        reach.service_group,
        count(*) as reached
    from member
    inner join {{ ref('int_person_service') }} as reach
        on
            member.person_key = reach.person_key
            and member.month >= reach.valid_from
            and member.month < reach.valid_to
    {%- if is_incremental() %}
    where reach.valid_to > {{ first_month_of('int_changed_service_reach_month') }}
    {%- endif %}
    group by member.month, member.sender, member.admdvs, reach.service_group
),

cell as (
    select
        month,
        sender,
        admdvs,
        count(*) as members
    from member
    group by month, sender, admdvs
),

service_group as (
    select distinct service_group
    from {{ ref('service_type') }}
    union all
    select 'any' as service_group
),

final as (
    select
        cell.month,
        cell.sender,
        cell.admdvs,
        service_group.service_group,
        cell.members,
        coalesce(reached.reached, 0) as reached
    from cell
    cross join service_group
    left join reached
        on
            cell.month = reached.month
            and cell.sender = reached.sender
            and cell.admdvs = reached.admdvs
            and service_group.service_group = reached.service_group
)

select * from final
