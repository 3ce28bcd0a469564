{#
What: of one type of honour the top holders of a year, over all senders and levels, are as many as the different persons who
hold such an honour at its end.
When: always; a finding means that a person was counted twice or left out.
How to resolve: compare the persons of core.honour with marts.honour_ladder_year for the year and type that the message
names; the rule is in marts.honour_ladder_year.
#}
with

year_end as (
    select
        extract(year from month) as year,
        max(last_day) as last_day
    from {{ ref('int_month_covered') }}
    group by extract(year from month)
),

holder as (
    select
        year_end.year,
        honour.honour_type,
        count(distinct honour.person_key) as persons
    from {{ ref('honour') }} as honour
    inner join year_end on {{ is_held_on('honour', 'year_end.last_day') }}
    group by year_end.year, honour.honour_type
),

counted as (
    select
        year,
        honour_type,
        sum(top_holders) as top_holders
    from {{ ref('honour_ladder_year') }}
    group by year, honour_type
),

failing as (
    select
        format(
            'Year %s, type %s: %s persons hold such an honour, %s are counted as top holders.',
            year, honour_type, coalesce(holder.persons, 0), coalesce(counted.top_holders, 0)
        ) as audit_message
    from holder
    full outer join counted using (year, honour_type)
    where coalesce(holder.persons, 0) <> coalesce(counted.top_holders, 0)
)

select audit_message from failing
