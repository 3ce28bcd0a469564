{# (month, person_key) of hardship_unserved that may differ: where the hardship may, and from the month of a changed
   service on, for the last one is shown however long ago it was. #}
with

final as (
    select
        month,
        person_key
    from {{ ref('int_changed_hardship') }}
    union
    select
        watch.month,
        watch.person_key
    from {{ ref('hardship_watch') }} as watch
    inner join {{ ref('int_changed_person_service') }} as changed_key
        on watch.person_key = changed_key.person_key and watch.month >= changed_key.month
)

select * from final
