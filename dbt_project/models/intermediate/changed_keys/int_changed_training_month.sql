with

final as (
    select month from {{ ref('int_changed_month') }}
    union
    select month from {{ ref('int_changed_person_training') }}
)

select * from final
