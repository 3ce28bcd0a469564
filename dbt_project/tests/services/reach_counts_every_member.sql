{#
What: wherever there are members, service_reach_month has a row for every group and for `any`, each with all the members
of core.member_month.
When: always; in a normal build for the months that changed, weekly (full_tests) for all.
How to resolve: nothing is published before. Rebuild with `--full-refresh`; if that mends it, the changed keys are
incomplete: see int_changed_service_reach_month.
#}
-- depends_on: {{ ref('int_changed_service_reach_month') }}
{% set is_full = var('full_tests') or flags.FULL_REFRESH %}
with

service_group as (
    select distinct service_group
    from {{ ref('service_type') }}
    union all
    select 'any' as service_group
),

expected as (
    select
        member.month,
        member.sender,
        service_group.service_group,
        member.members
    from {{ ref('int_member_summary_month') }} as member
    cross join service_group
    {%- if not is_full %}
    where member.month in (select month from {{ ref('int_changed_service_reach_month') }})
    {%- endif %}
),

found as (
    select
        month,
        sender,
        service_group,
        sum(members) as members
    from {{ ref('service_reach_month') }}
    {%- if not is_full %}
    where month in (select month from {{ ref('int_changed_service_reach_month') }})
    {%- endif %}
    group by month, sender, service_group
),

final as (
    select
        format(
            'Group %s of %s in %s: %s members in service_reach_month, %s in member_month.',
            service_group, sender, month, coalesce(found.members, 0), coalesce(expected.members, 0)
        ) as audit_message
    from expected
    full outer join found using (month, sender, service_group)
    where found.members is distinct from expected.members
)

select * from final
