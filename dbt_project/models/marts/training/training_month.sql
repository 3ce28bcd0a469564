{{ config(
    materialized='incremental',
    touched='int_touched_training_month',
    touched_on=['month'],
    leave_same=true,
    indexes=[{'columns': ['month', 'sender', 'training_type', 'funding_source'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_touched_training_month') }}
with

enrolment as (
    select
        month,
        sender,
        person_key,
        coalesce(training_type, 'unknown') as training_type,
        coalesce(funding_source, 'unknown') as funding_source,
        result,
        attended_hours,
        subsidy_amount
    from {{ ref('enrolment') }}
    where {{ only_touched('int_touched_training_month', ['month']) }}
),

counted as (
    select
        enrolment.month,
        enrolment.sender,
        enrolment.training_type,
        enrolment.funding_source,
        count(*) as enrolments,
        count(distinct enrolment.person_key) as persons,
        count(*) filter (where enrolment.result = '1') as passed,
        coalesce(sum(enrolment.attended_hours), 0) as attended_hours,
        coalesce(sum(enrolment.subsidy_amount), 0) as subsidy_amount,
        count(distinct member.person_key) as member_persons
    from enrolment
    left join {{ ref('member_month') }} as member
        on enrolment.person_key = member.person_key and enrolment.month = member.month
    group by enrolment.month, enrolment.sender, enrolment.training_type, enrolment.funding_source
),

final as (
    select
        counted.month,
        counted.sender,
        counted.training_type,
        counted.funding_source,
        counted.enrolments::integer as enrolments,
        counted.persons::integer as persons,
        counted.passed::integer as passed,
        counted.attended_hours,
        round(counted.subsidy_amount, 2)::numeric(18, 2) as subsidy_amount,
        counted.member_persons::integer as member_persons,
        {{ month_key('counted.month') }} as month_key,
        sender.name as sender_name,
        training_type.label as training_type_label,
        case when counted.funding_source = 'unknown' then '未知' else funding_source.label end as funding_source_label
    from counted
    left join {{ ref('region') }} as sender on counted.sender = sender.admdvs
    left join {{ ref('training_type') }} as training_type on counted.training_type = training_type.code
    left join {{ ref('funding_source') }} as funding_source on counted.funding_source = funding_source.code
)

select * from final
