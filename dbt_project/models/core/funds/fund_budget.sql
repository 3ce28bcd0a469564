{{ config(
    indexes=[{'columns': ['sender', 'org_code', 'year', 'account', 'purpose'], 'unique': true}, {'columns': ['year']}],
) }}
with

event as ({{ latest_events('stg_funds__fund_budget', 'funds', ['org_code', 'year', 'account', 'purpose']) }}
),

final as (
    select
        event.sender,
        event.org_code,
        event.year,
        event.account,
        account.label as account_label,
        event.purpose,
        purpose.label as purpose_label,
        event.budget,
        event.adjusted_budget,
        coalesce(event.adjusted_budget, event.budget) as final_budget,
        event.actual,
        event.as_of,
        event.account like 'E%' and event.account <> 'E8' as is_own_expenditure,
        event.delivery_name
    from event
    left join {{ ref('fund_account') }} as account on event.account = account.code
    left join {{ ref('fund_purpose') }} as purpose on event.purpose = purpose.code
)

select * from final
