{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_coverage_month',
    changed_on=['month'],
    skip_unchanged=true,
    indexes=[{'columns': ['month', 'sender', 'admdvs'], 'unique': true}, {'columns': ['admdvs', 'month']}],
) }}
-- depends_on: {{ ref('int_changed_coverage_month') }}
with

cell as (
    select * from {{ ref('int_insurance_cell') }}
    where {{ only_changed('int_changed_coverage_month', ['month']) }}
),

{{ suppress_small_cells('cell', 'members', ['month', 'sender'], 'admdvs') }},

final as (
    select
        suppressed.month,
        suppressed.sender,
        suppressed.admdvs,
        suppressed.members::integer as members,
        {{ unless_suppressed('suppressed.employee_insured', 'integer') }} as employee_insured,
        {{ unless_suppressed('suppressed.resident_insured', 'integer') }} as resident_insured,
        {{ unless_suppressed(
            'suppressed.members - suppressed.employee_insured - suppressed.resident_insured', 'integer'
        ) }} as uninsured,
        {{ unless_suppressed('suppressed.flexible', 'integer') }} as flexible,
        {{ unless_suppressed('suppressed.retired', 'integer') }} as retired,
        {{ unless_suppressed(
            share('suppressed.employee_insured', 'suppressed.members'), 'numeric(18, 6)'
        ) }} as employee_insured_rate,
        {{ month_key('suppressed.month') }} as month_key,
        sender.name as sender_name,
        region.name as region_name,
        suppressed.is_suppressed
    from suppressed
    left join {{ ref('region') }} as sender on suppressed.sender = sender.admdvs
    left join {{ ref('region') }} as region on suppressed.admdvs = region.admdvs
)

select * from final
