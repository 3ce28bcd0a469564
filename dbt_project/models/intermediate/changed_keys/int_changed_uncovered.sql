{# (month, person_key) of uncovered_worker that may differ: a contribution counts for its own month and all later ones,
   and where a sender begins or ceases to report contributions of a month, so do all its workers of that month. #}
{{ config(indexes=[{'columns': ['person_key']}]) }}
with

paid_from as (
    select
        person_key,
        min(month) as from_month
    from {{ ref('int_changed_paid_month') }}
    group by person_key
),

turned as (
    select distinct
        changed_key.month,
        changed_key.sender
    from {{ ref('int_changed_paying_sender_month') }} as changed_key
    left join {{ ref('int_paying_sender_month') }} as paying
        on changed_key.month = paying.month and changed_key.sender = paying.sender
    where changed_key.was_paying <> (paying.month is not null)
),

final as (
    select month, person_key from {{ ref('int_changed_member_month') }}
    union
    select month, person_key from {{ ref('int_changed_employment_month') }}
    union
    select covered.month, paid_from.person_key
    from paid_from
    inner join {{ ref('int_month_covered') }} as covered on paid_from.from_month <= covered.month
    union
    select turned.month, spell.person_key
    from turned
    inner join {{ ref('int_employment_version') }} as spell
        on
            turned.sender = spell.sender
            and turned.month >= spell.employed_from
            and turned.month < spell.employed_to
)

select * from final
