{{ config(indexes=[{'columns': ['year', 'sender', 'admdvs'], 'unique': true}]) }}
with

counted as (
    select
        year,
        sender,
        admdvs,
        count(*) as employers,
        sum(spent) as spent,
        sum(frontline_spent) as frontline_spent,
        count(*) filter (where is_compliant) as compliant_employers,
        count(*) filter (where spent > 0) as spending_employers
    from {{ ref('training_fund') }}
    group by year, sender, admdvs
),

final as (
    select
        counted.year,
        counted.sender,
        counted.admdvs,
        counted.employers::integer as employers,
        round(counted.spent, 2)::numeric(18, 2) as spent,
        round(counted.frontline_spent, 2)::numeric(18, 2) as frontline_spent,
        {{ share('counted.frontline_spent', 'counted.spent') }} as frontline_share,
        counted.compliant_employers::integer as compliant_employers,
        {{ share('counted.compliant_employers', 'counted.spending_employers') }} as compliance_rate,
        counted.spending_employers::integer as spending_employers,
        sender.name as sender_name,
        region.name as region_name
    from counted
    left join {{ ref('region') }} as sender on counted.sender = sender.admdvs
    left join {{ ref('region') }} as region on counted.admdvs = region.admdvs
)

select * from final
