{{ config(
    tags=['static'],
    indexes=[{'columns': ['month'], 'unique': true}, {'columns': ['month_key'], 'unique': true}],
) }}
with

month as (
    select {{ every('month', "'1990-01-01'", "'2059-12-01'") }} as month
),

final as (
    select
        month,
        {{ month_key('month') }} as month_key,
        (month + interval '1 month' - interval '1 day')::date as last_day,
        extract(year from month)::smallint as year,
        extract(quarter from month)::smallint as quarter,
        extract(month from month)::smallint as month_of_year,
        to_char(month, 'YYYY"年"FMMM"月"') as month_label,
        to_char(month, 'YYYY"年第"Q"季度"') as quarter_label
    from month
)

select * from final
