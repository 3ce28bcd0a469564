{{ config(
    indexes=[{'columns': ['sender', 'contract_no', 'employer_uscc'], 'unique': true}, {'columns': ['employer_uscc']}],
) }}
with

event as ({{ latest_events('stg_rights__contract_unit', 'rights', ['contract_no', 'employer_uscc']) }}
),

final as (
    select
        sender,
        contract_no,
        employer_uscc,
        employer_name,
        org_code,
        workers,
        left_on,
        delivery_name
    from event
)

select * from final
