{{ config(
    indexes=[{'columns': ['indicator', 'month', 'admdvs'], 'unique': true}, {'columns': ['month']}],
) }}
with

indicator as (
    select * from {{ ref('reform_indicator') }}
),

-- A province's own target goes before the country's, a later one before an earlier one.
target as (
    select distinct on (indicator.indicator, indicator.month, indicator.admdvs)
        indicator.indicator,
        indicator.month,
        indicator.admdvs,
        reform_indicator_target.target,
        reform_indicator_target.basis
    from indicator
    inner join {{ ref('reform_indicator_target') }} as reform_indicator_target
        on
            indicator.indicator = reform_indicator_target.indicator
            and reform_indicator_target.admdvs in (indicator.admdvs, '100000')
            and reform_indicator_target.first_year <= date_part('year', indicator.month)
    order by
        indicator.indicator asc,
        indicator.month asc,
        indicator.admdvs asc,
        (reform_indicator_target.admdvs = indicator.admdvs) desc,
        reform_indicator_target.first_year desc
),

final as (
    select
        indicator.indicator,
        indicator.month,
        indicator.admdvs,
        indicator.value,
        year_before.value as value_year_before,
        (indicator.value - year_before.value)::numeric(18, 6) as change_in_year,
        target.target,
        indicator.value >= target.target as reaches_target,
        target.basis as target_basis,
        indicator.month_key,
        indicator.indicator_label,
        indicator.region_name,
        indicator.is_share,
        indicator.month = max(indicator.month) over (partition by indicator.indicator) as is_last
    from indicator
    left join indicator as year_before
        on
            indicator.indicator = year_before.indicator
            and indicator.admdvs = year_before.admdvs
            and year_before.month = (indicator.month - interval '1 year')::date
    left join target
        on
            indicator.indicator = target.indicator
            and indicator.month = target.month
            and indicator.admdvs = target.admdvs
)

select * from final
