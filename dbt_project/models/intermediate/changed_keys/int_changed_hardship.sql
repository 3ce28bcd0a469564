{# (month, person_key) whose burden of 12 months, or whose membership, may differ. #}
{{ config(indexes=[{'columns': ['person_key']}]) }}
with

settled as (
    select old_person_key as person_key, old_setl_month as setl_month
    from {{ ref('int_changed_settlement') }}
    union
    select settlement.person_key, settlement.setl_month
    from {{ ref('settlement') }} as settlement
    inner join {{ ref('int_changed_settlement') }} as changed_key
        on settlement.sender = changed_key.sender and settlement.setl_id = changed_key.setl_id
),

final as (
    select covered.month, settled.person_key
    from settled
    inner join {{ ref('int_month_covered') }} as covered
        on
            settled.setl_month <= covered.month
            and settled.setl_month + interval '12 months' > covered.month
    union
    select month, person_key from {{ ref('int_changed_member_month') }}
)

select * from final
