{{ config(materialized='view', tags=['static']) }}
with

cell as (
    select cell.*
    from {{ ref('int_platform_cell') }} as cell
    inner join {{ ref('int_month_covered') }} as covered on cell.month = covered.month
    where cell.platform_code = 'all'
),

final as (
    select
        'platform_joining_rate' as indicator,
        month,
        sender,
        members::numeric as numerator,
        workers::numeric as denominator
    from cell
    union all
    select
        'platform_unit_rate' as indicator,
        month,
        sender,
        units_with_union::numeric as numerator,
        units::numeric as denominator
    from cell
)

select * from final
