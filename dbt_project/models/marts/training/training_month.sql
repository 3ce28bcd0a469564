{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_training_month',
    changed_on=['month'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'sender', 'training_type', 'funding_source'], 'unique': true}],
) }}
-- depends_on: {{ ref('int_changed_training_month') }}
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
    where {{ only_changed('int_changed_training_month', ['month']) }}
),

cell as (
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

suppressed as (
    select
        *,
        {{ is_small_cell('persons') }} as is_suppressed
    from cell
),

final as (
    select
        suppressed.month,
        suppressed.sender,
        suppressed.training_type,
        suppressed.funding_source,
        suppressed.enrolments::integer as enrolments,
        suppressed.persons::integer as persons,
        suppressed.passed::integer as passed,
        {{ unless_suppressed('suppressed.attended_hours', 'numeric') }} as attended_hours,
        {{ unless_suppressed('round(suppressed.subsidy_amount, 2)', 'numeric(18, 2)') }} as subsidy_amount,
        suppressed.member_persons::integer as member_persons,
        {{ month_key('suppressed.month') }} as month_key,
        sender.name as sender_name,
        training_type.label as training_type_label,
        case when suppressed.funding_source = 'unknown' then '未知' else funding_source.label end as funding_source_label,
        suppressed.is_suppressed
    from suppressed
    left join {{ ref('region') }} as sender on suppressed.sender = sender.admdvs
    left join {{ ref('training_type') }} as training_type on suppressed.training_type = training_type.code
    left join {{ ref('funding_source') }} as funding_source on suppressed.funding_source = funding_source.code
)

select * from final
