{{ config(
    indexes=[{'columns': ['indicator', 'month', 'admdvs'], 'unique': true}, {'columns': ['month']}],
) }}
{# What each subject has counted; the country is the sum of all provinces, those included that are left out here because
   few persons stand behind their numerator. #}
with

province as (
    select * from {{ ref('int_reform_indicator') }}
),

together as (
    select
        indicator,
        month,
        sender as admdvs,
        numerator,
        denominator
    from province
    union all
    select
        indicator,
        month,
        '100000' as admdvs,
        sum(numerator) as numerator,
        sum(denominator) as denominator
    from province
    group by indicator, month
),

labelled as (
    select
        together.*,
        label.label,
        label.counts_persons,
        label.is_share,
        case when label.counts_persons then together.numerator else 0 end as persons
    from together
    left join {{ ref('reform_indicator_label') }} as label on together.indicator = label.code
    where not (together.numerator = 0 and together.denominator = 0)
),

{{ suppress_small_cells('labelled', 'persons', ['indicator', 'month'], 'admdvs', total='100000') }},

final as (
    select
        suppressed.indicator,
        suppressed.month,
        suppressed.admdvs,
        round(suppressed.numerator, 2)::numeric(18, 2) as numerator,
        round(suppressed.denominator, 2)::numeric(18, 2) as denominator,
        {{ share('suppressed.numerator', 'suppressed.denominator') }} as value,
        {{ month_key('suppressed.month') }} as month_key,
        suppressed.label as indicator_label,
        region.name as region_name,
        suppressed.counts_persons,
        suppressed.is_share
    from suppressed
    left join {{ ref('region') }} as region on suppressed.admdvs = region.admdvs
    where not suppressed.is_suppressed
)

select * from final
