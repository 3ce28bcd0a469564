{# Months in which members may differ, or the services of their last 12 months. #}
with

served as (
    select distinct month from {{ ref('int_changed_person_service') }}
),

final as (
    select month from {{ ref('int_changed_month') }}
    union
    select covered.month
    from served
    inner join {{ ref('int_month_covered') }} as covered
        on served.month <= covered.month and served.month + interval '12 months' > covered.month
)

select * from final
