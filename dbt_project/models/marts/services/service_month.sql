{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_service_month',
    changed_on=['month', 'sender'],
    skip_unchanged=true,
    indexes=[
        {'columns': ['month', 'sender', 'admdvs', 'service_type'], 'unique': true},
        {'columns': ['admdvs', 'month']},
    ],
) }}
-- depends_on: {{ ref('int_changed_service_month') }}
with

cell as (
    select
        service.month,
        service.sender,
        service.admdvs,
        service.service_type,
        count(*) as records,
        sum(service.persons) as times,
        count(distinct service.person_key) as persons,
        count(distinct member.person_key) as member_persons,
        coalesce(sum(service.amount), 0) as amount,
        coalesce(sum(service.in_kind), 0) as in_kind
    from {{ ref('service_record') }} as service
    left join {{ ref('member_month') }} as member
        on service.person_key = member.person_key and service.month = member.month
    where
        service.is_valid
        and {{ only_changed('int_changed_service_month', ['month', 'sender'], 'service') }}
    group by service.month, service.sender, service.admdvs, service.service_type
),

{{ suppress_small_cells('cell', 'persons', ['month', 'sender', 'admdvs'], 'service_type') }},

final as (
    select
        suppressed.month,
        suppressed.sender,
        suppressed.admdvs,
        suppressed.service_type,
        {{ unless_suppressed('suppressed.records', 'integer') }} as records,
        {{ unless_suppressed('suppressed.times', 'bigint') }} as times,
        {{ unless_suppressed('suppressed.persons', 'integer') }} as persons,
        {{ unless_suppressed('suppressed.member_persons', 'integer') }} as member_persons,
        {{ unless_suppressed('round(suppressed.amount, 2)', 'numeric(18, 2)') }} as amount,
        {{ unless_suppressed('round(suppressed.in_kind, 2)', 'numeric(18, 2)') }} as in_kind,
        suppressed.is_suppressed,
        {{ month_key('suppressed.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name,
        service_type.label as service_type_label
    from suppressed
    left join {{ ref('region') }} as sender on suppressed.sender = sender.admdvs
    left join {{ ref('region') }} as region on suppressed.admdvs = region.admdvs
    left join {{ ref('service_type') }} as service_type on suppressed.service_type = service_type.code
)

select * from final
