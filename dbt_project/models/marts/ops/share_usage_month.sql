{{ config(materialized='view', tags=['static']) }}
{# A view of the ledger: it changes with what happens to shares, not with a build. #}
with

step as (
    select * from {{ ref('stg_ops__share_step') }}
),

-- everything that happened, by month
event as (
    select
        name,
        month
    from step
    union all
    select
        name,
        month
    from {{ ref('stg_ops__share_access') }}
    union all
    select
        name,
        month
    from {{ ref('stg_ops__share_extract') }}
),

last_known as (
    select max(month) as month from event
),

still_live as (
    select distinct name from {{ ref('stg_ops__share') }}
    where state not in ('expired', 'revoked')
),

-- a share that has ended has no month after the last in which something happened to it
span as (
    select
        event.name,
        min(event.month) as first_month,
        case when still_live.name is null then max(event.month) else last_known.month end as last_month
    from event
    cross join last_known
    left join still_live on event.name = still_live.name
    group by event.name, still_live.name, last_known.month
),

name_month as (
    select
        name,
        {{ every('month', 'first_month', 'last_month') }} as month
    from span
),

share_month as (
    select
        name,
        month,
        (month + interval '1 month' - interval '1 day')::date as last_day
    from name_month
),

-- the last step of each version up to the end of each month
version_month as (
    select distinct on (share_month.name, share_month.month, step.version)
        share_month.name,
        share_month.month,
        share_month.last_day,
        step.version,
        step.step_id,
        step.step
    from share_month
    inner join step on share_month.name = step.name and share_month.month >= step.month
    order by share_month.name asc, share_month.month asc, step.version asc, step.step_id desc
),

last_step as (
    select
        name,
        version,
        max(step_id) as step_id
    from step
    group by name, version
),

stated as (
    select
        version_month.*,
        share.valid_until,
        case
            -- nothing has happened since: as the ledger says
            when version_month.step_id = last_step.step_id then share.state
            when version_month.step in ('opened', 'published', 'written') then 'open'
            else version_month.step
        end as state
    from version_month
    inner join last_step on version_month.name = last_step.name and version_month.version = last_step.version
    inner join {{ ref('stg_ops__share') }} as share
        on version_month.name = share.name and version_month.version = share.version
),

-- the version that is served, else the newest
in_force as (
    select distinct on (name, month) *
    from stated
    order by name asc, month asc, (state = 'open') desc, version desc
),

access as (
    select
        name,
        month,
        count(*) as accesses,
        count(distinct login) as logins
    from {{ ref('stg_ops__share_access') }}
    group by name, month
),

extract as (
    select
        name,
        month,
        count(*) as extracts,
        sum(rows) as rows
    from {{ ref('stg_ops__share_extract') }}
    group by name, month
),

person as (
    select
        written.name,
        written.month,
        count(distinct person.person_key) as persons
    from {{ ref('stg_ops__share_extract') }} as written
    inner join {{ ref('stg_ops__share_extract_person') }} as person
        on
            written.name = person.name and written.version = person.version
            and written.publication = person.publication
    group by written.name, written.month
),

final as (
    select
        in_force.month,
        in_force.name,
        in_force.state,
        coalesce(access.accesses, 0)::integer as accesses,
        coalesce(access.logins, 0)::integer as logins,
        coalesce(extract.extracts, 0)::integer as extracts,
        coalesce(extract.rows, 0)::bigint as rows,
        coalesce(person.persons, 0)::bigint as persons,
        case
            when in_force.state in ('expired', 'revoked') then 0
            else greatest(in_force.valid_until - in_force.last_day, 0)
        end as days_left,
        in_force.version,
        {{ month_key('in_force.month') }} as month_key
    from in_force
    left join access on in_force.name = access.name and in_force.month = access.month
    left join extract on in_force.name = extract.name and in_force.month = extract.month
    left join person on in_force.name = person.name and in_force.month = person.month
)

select * from final
