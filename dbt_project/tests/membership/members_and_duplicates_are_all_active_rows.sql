{#
What: at every month members plus duplicate rows are the active rows of all registers, and members are the persons among
them. A normal build looks at the changed persons of the last changed month that is covered, the weekly run at all persons.
When: always; a finding means that member months and registers disagree.
How to resolve: build the schema anew (dbt build --full-refresh), and report the month that the message names.
#}
-- depends_on: {{ ref('int_changed_month') }}
-- depends_on: {{ ref('int_changed_member_month') }}
{% set changed_only = not (var('full_tests') or flags.FULL_REFRESH) -%}
{#- A join, so that only the changed persons are looked up. -#}
{% set changed_person = ref('int_changed_member_month') -%}
with

month as (
    select covered.month, covered.last_day
    from {{ ref('int_month_covered') }} as covered
    {%- if changed_only %}
    where
        covered.month = (
            select max(month) from {{ ref('int_changed_month') }}
            where is_covered
        )
    {%- endif %}
),

active as (
    select
        month.month,
        count(*) as active_rows,
        count(distinct version.person_key) as persons
    from month
    inner join {{ ref('int_member_version') }} as version
        on month.month >= version.valid_from and month.month < version.valid_to
    {%- if changed_only %}
    inner join {{ changed_person }} as changed_key
        on month.month = changed_key.month and version.person_key = changed_key.person_key
    {%- endif %}
    where version.status = '1' and version.joined_on <= month.last_day
    group by month.month
),

member as (
    select member_month.month, count(*) as members
    from {{ ref('member_month') }} as member_month
    {%- if changed_only %}
    inner join {{ changed_person }} as changed_key
        on member_month.month = changed_key.month and member_month.person_key = changed_key.person_key
    {%- endif %}
    where member_month.month in (select month from month)
    group by member_month.month
),

duplicate as (
    select duplicate_row.month, count(*) as duplicates
    from {{ ref('duplicate_membership') }} as duplicate_row
    {%- if changed_only %}
    inner join {{ changed_person }} as changed_key
        on duplicate_row.month = changed_key.month and duplicate_row.person_key = changed_key.person_key
    {%- endif %}
    where duplicate_row.month in (select month from month)
    group by duplicate_row.month
)

select
    format(
        'In %s registers have %s active rows of %s persons, core.member_month has %s members and '
        'casework.duplicate_membership %s rows.',
        month.month, coalesce(active_rows, 0), coalesce(persons, 0), coalesce(members, 0), coalesce(duplicates, 0)
    ) as audit_message
from month
left join active on month.month = active.month
left join member on month.month = member.month
left join duplicate on month.month = duplicate.month
where
    coalesce(active_rows, 0) <> coalesce(members, 0) + coalesce(duplicates, 0)
    or coalesce(persons, 0) <> coalesce(members, 0)
