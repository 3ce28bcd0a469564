{#
What: incomes by which hardship is measured are given once, are positive, and the country has one as a fallback.
When: a year's incomes were added to seeds/regional_income.csv.
How to resolve: mend the row that the message names, and build again. Nothing is published before.
#}
with

income as (
    select * from {{ ref('regional_income') }}
),

failing as (
    select format('The income of %s in %s stands %s times: keep one row.', admdvs, year, count(*)) as audit_message
    from income
    group by admdvs, year
    having count(*) > 1
    union all
    select format('The income of %s in %s is %s: give yuan above 0.', admdvs, year, amount)
    from income
    where amount is null or amount <= 0 or year is null
    union all
    select format('The division "%s" is not six digits: mend admdvs.', admdvs)
    from income
    where coalesce(admdvs, '') !~ '^[0-9]{6}$'
    union all
    select 'There is no income of the whole country: add rows with admdvs 100000.'
    from income
    having count(*) filter (where admdvs = '100000') = 0
)

select audit_message from failing
