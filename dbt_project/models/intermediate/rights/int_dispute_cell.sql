{{ config(indexes=[{'columns': ['month', 'sender', 'admdvs', 'dispute_type'], 'unique': true}]) }}
with

final as (
    select
        month,
        sender,
        admdvs,
        dispute_type,
        count(distinct person_key) as persons,
        count(*) as cases,
        sum(workers) as workers,
        count(*) filter (where closed_on is not null) as closed,
        count(*) filter (where closed_on is not null and outcome in ('1', '2')) as settled,
        count(*) filter (where days <= 15) as closed_15d,
        count(*) filter (where days <= 45) as closed_45d,
        count(*) filter (where days <= 60) as closed_60d,
        percentile_disc(0.5) within group (order by days) as median_days,
        percentile_disc(0.9) within group (order by days) as p90_days,
        count(*) filter (where legal_aid) as legal_aid,
        count(*) filter (where is_new_form) as new_form_cases,
        coalesce(sum(claimed_amount), 0) as claimed_amount,
        coalesce(sum(recovered_amount), 0) as recovered_amount
    from {{ ref('dispute_case') }}
    group by month, sender, admdvs, dispute_type
)

select * from final
