{{ config(indexes=[{'columns': ['sender', 'month'], 'unique': true}]) }}
with

sender as (
    select distinct sender from {{ ref('int_delivery') }}
    where source = 'membership'
),

-- the sender's own figure takes precedence over the country's, a later year over an earlier one
final as (
    select distinct on (sender.sender, covered.month)
        sender.sender,
        covered.month,
        income.amount as income
    from sender
    cross join {{ ref('int_month_covered') }} as covered
    inner join {{ ref('regional_income') }} as income
        on
            income.admdvs in (sender.sender, '100000')
            and income.year <= date_part('year', covered.month)
    order by sender.sender asc, covered.month asc, income.admdvs = sender.sender desc, income.year desc
)

select * from final
