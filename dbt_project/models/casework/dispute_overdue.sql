{{ config(
    indexes=[{'columns': ['month', 'sender', 'case_no'], 'unique': true}, {'columns': ['person_key']}],
) }}
with

final as (
    select
        covered.month,
        dispute.sender,
        dispute.case_no,
        dispute.org_code,
        dispute.person_key,
        covered.last_day - dispute.accepted_on as days_open,
        dispute_limit.days as limit_days,
        {{ month_key('covered.month') }} as month_key,
        sender.name as sender_name,
        dispute.admdvs,
        dispute.region_name,
        dispute.dispute_type,
        dispute.dispute_type_label,
        dispute.procedure,
        dispute.procedure_label,
        dispute.accepted_on
    from {{ ref('dispute_case') }} as dispute
    inner join {{ ref('dispute_limit') }} as dispute_limit on dispute.procedure = dispute_limit.procedure
    inner join {{ ref('int_month_covered') }} as covered
        on covered.last_day - dispute.accepted_on > dispute_limit.days
    left join {{ ref('region') }} as sender on dispute.sender = sender.admdvs
    where dispute.closed_on is null or dispute.closed_on > covered.last_day
)

select * from final
