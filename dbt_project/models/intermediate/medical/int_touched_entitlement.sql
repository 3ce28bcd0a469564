{# Persons with a settlement in a scheme's term that, or whose membership at its month, may differ. #}
with

settled as (
    select old_person_key as person_key, old_setl_month as setl_month
    from {{ ref('int_touched_settlement') }}
    union
    select settlement.person_key, settlement.setl_month
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('int_touched_settlement') }} as touched
        on settlement.sender = touched.sender and settlement.setl_id = touched.setl_id
    union
    select settlement.person_key, settlement.setl_month
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('int_touched_member_month') }} as touched
        on settlement.person_key = touched.person_key and settlement.setl_month = touched.month
),

final as (
    select distinct settled.person_key
    from settled
    inner join {{ ref('mutual_aid_scheme') }} as scheme
        on settled.setl_month <= scheme.term_end and settled.setl_month + interval '1 month' > scheme.term_start
)

select * from final
