{# Persons with a settlement in a scheme's term, where the settlement or the membership at its month may differ. #}
with

settled as (
    select old_person_key as person_key, old_setl_month as setl_month
    from {{ ref('int_changed_settlement') }}
    union
    select settlement.person_key, settlement.setl_month
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('int_changed_settlement') }} as changed_key
        on settlement.sender = changed_key.sender and settlement.setl_id = changed_key.setl_id
    union
    select settlement.person_key, settlement.setl_month
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('int_changed_member_month') }} as changed_key
        on settlement.person_key = changed_key.person_key and settlement.setl_month = changed_key.month
),

final as (
    select distinct settled.person_key
    from settled
    inner join {{ ref('mutual_aid_scheme') }} as scheme
        on settled.setl_month <= scheme.term_end and settled.setl_month + interval '1 month' > scheme.term_start
)

select * from final
