{{ config(indexes=[{'columns': ['year', 'sender', 'audit_kind', 'finding_type'], 'unique': true}]) }}
with

counted as (
    select
        date_part('year', finding.issued_on)::smallint as year,
        finding.sender,
        finding.audit_kind,
        finding.finding_type,
        count(*) as findings,
        count(*) filter (where finding.is_reform) as reform_findings,
        coalesce(sum(finding.amount), 0) as amount,
        count(finding.rectified_on) as rectified,
        coalesce(sum(finding.rectified_amount), 0) as rectified_amount,
        count(finding.due_on) as due,
        count(*) filter (where finding.rectified_on <= finding.due_on) as on_time,
        count(*) filter (where finding.rectified_on is null and finding.due_on <= covered.last_day) as overdue
    from {{ ref('audit_finding') }} as finding
    left join {{ ref('int_month_covered') }} as covered on covered.is_last
    group by date_part('year', finding.issued_on), finding.sender, finding.audit_kind, finding.finding_type
),

final as (
    select
        counted.year,
        counted.sender,
        counted.audit_kind,
        counted.finding_type,
        counted.findings::integer as findings,
        counted.reform_findings::integer as reform_findings,
        round(counted.amount, 2)::numeric(18, 2) as amount,
        counted.rectified::integer as rectified,
        round(counted.rectified_amount, 2)::numeric(18, 2) as rectified_amount,
        counted.due::integer as due,
        counted.on_time::integer as on_time,
        counted.overdue::integer as overdue,
        {{ share('counted.rectified', 'counted.findings') }} as rectified_rate,
        sender.name as sender_name,
        audit_kind.label as audit_kind_label,
        finding_type.label as finding_type_label
    from counted
    left join {{ ref('region') }} as sender on counted.sender = sender.admdvs
    left join {{ ref('audit_kind') }} as audit_kind on counted.audit_kind = audit_kind.code
    left join {{ ref('finding_type') }} as finding_type on counted.finding_type = finding_type.code
)

select * from final
