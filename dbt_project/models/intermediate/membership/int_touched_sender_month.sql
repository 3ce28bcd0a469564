with

changed as (
    select * from {{ ref('int_delivery_changed') }}
    where source = 'membership'
),

unchanged as (
    select * from {{ ref('int_delivery') }}
    where source = 'membership' and not is_changed
),

known as (
    select sender, month from changed
    union
    select sender, month from unchanged
),

sender as (
    select distinct sender from known
),

-- every month that is covered, or that any state since the last complete build covered
month as (
    select {{ every('month', 'min(month)', 'max(month)') }} as month
    from known
),

stable_span as (
    select
        min(month) as first_month,
        max(month) as last_month
    from unchanged
),

-- a delivery matters from its month until an unchanged snapshot takes over
reach as (
    select
        changed.sender,
        changed.month as from_month,
        coalesce(
            (
                select min(unchanged.month)
                from unchanged
                where
                    unchanged.sender = changed.sender
                    and unchanged.mode = 'snapshot'
                    and (unchanged.month, unchanged.created, unchanged.name collate "C")
                    > (changed.month, changed.created, changed.name collate "C")
            ),
            'infinity'::date
        ) as to_month
    from changed
),

touched as (
    select reach.sender, month.month
    from reach
    inner join month on reach.from_month <= month.month and reach.to_month > month.month
    union
    -- months that entered or left the covered ones: every sender, for the silent ones keep their state
    select sender.sender, month.month
    from sender
    cross join month
    cross join stable_span
    where
        stable_span.first_month is null
        or month.month < stable_span.first_month
        or month.month > stable_span.last_month
    union
    select sender.sender, asked.month
    from sender
    cross join {{ ref('int_build') }} as build
    cross join unnest(build.months_asked) as asked (month)
),

final as (
    select
        touched.sender,
        touched.month,
        covered.month is not null as is_covered
    from touched
    left join {{ ref('int_month_covered') }} as covered on touched.month = covered.month
    {% if flags.FULL_REFRESH %}where false{% endif %}
)

select * from final
