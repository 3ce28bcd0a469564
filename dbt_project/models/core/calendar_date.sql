{{ config(
    tags=['static'],
    indexes=[{'columns': ['date'], 'unique': true}],
) }}
with

day as (
    select {{ every('day', "'1990-01-01'", "'2059-12-31'") }} as date
),

final as (
    select
        date,
        date_trunc('month', date)::date as month,
        extract(year from date)::smallint as year,
        extract(quarter from date)::smallint as quarter,
        extract(month from date)::smallint as month_of_year,
        extract(day from date)::smallint as day_of_month,
        extract(isodow from date)::smallint as day_of_week,
        '星期' || (array['一', '二', '三', '四', '五', '六', '日'])[extract(isodow from date)::integer] as day_label,
        extract(isodow from date) >= 6 as is_weekend
    from day
)

select * from final
