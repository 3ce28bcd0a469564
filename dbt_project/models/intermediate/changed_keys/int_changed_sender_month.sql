with

changed as (
    select * from {{ ref('int_changed_delivery') }}
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

-- a delivery has an effect from its month until an unchanged snapshot replaces the register
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

changed_key as (
    select reach.sender, month.month
    from reach
    inner join month on reach.from_month <= month.month and reach.to_month > month.month
    union
    -- months that became covered or are no longer: for every sender, because those without a delivery keep their state
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
        changed_key.sender,
        changed_key.month,
        covered.month is not null as is_covered
    from changed_key
    left join {{ ref('int_month_covered') }} as covered on changed_key.month = covered.month
    {% if flags.FULL_REFRESH %}where false{% endif %}
)

select * from final
