{#
What: at every month members plus duplicate rows are the active rows of all registers, and members are the persons among
them. A normal build looks at the persons it touched in the last covered month it touched, the weekly run at everybody.
When: always; a finding means that member months and registers have parted.
How to resolve: build the schema anew (dbt build --full-refresh), and report the month that the message names.
#}
-- depends_on: {{ ref('int_touched_month') }}
-- depends_on: {{ ref('int_touched_member_month') }}
{% set of_touched -%}
{%- if not (var('full_tests') or flags.FULL_REFRESH) -%}
and person_key in (
    select person_key from {{ ref('int_touched_member_month') }}
    where month in (select month from month)
)
{%- endif -%}
{%- endset -%}
with

month as (
    select covered.month, covered.last_day
    from {{ ref('int_month_covered') }} as covered
    {%- if not (var('full_tests') or flags.FULL_REFRESH) %}
    where
        covered.month = (
            select max(month) from {{ ref('int_touched_month') }}
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
    where version.status = '1' and version.joined_on <= month.last_day {{ of_touched }}
    group by month.month
),

member as (
    select month, count(*) as members
    from {{ ref('member_month') }}
    where month in (select month from month) {{ of_touched }}
    group by month
),

duplicate as (
    select month, count(*) as duplicates
    from {{ ref('duplicate_membership') }}
    where month in (select month from month) {{ of_touched }}
    group by month
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
