{{ config(materialized='view', tags=['static']) }}
with

cell as (
    select
        cell.*,
        covered.month as month_after
    from {{ ref('int_training_chain_cell') }} as cell
    inner join {{ ref('int_month_covered') }} as covered on cell.month + interval '6 months' = covered.month
    where cell.training_type = 'all'
),

final as (
    select
        'certificate_rate' as indicator,
        month_after as month,
        sender,
        certified::numeric as numerator,
        trained::numeric as denominator
    from cell
    union all
    select
        'training_employed_rate' as indicator,
        month_after as month,
        sender,
        employed::numeric as numerator,
        trained::numeric as denominator
    from cell
    union all
    select
        'chain_rate' as indicator,
        month_after as month,
        sender,
        certified_employed_insured::numeric as numerator,
        trained::numeric as denominator
    from cell
)

select * from final
