{# Insurance relations of which a state may differ from a month on: they, or the person they belong to, stand in a
   changed delivery of that month. #}
{% set existing = previous('insurance_spell') -%}
{% set of_changed_senders %}
    select delivery_id from {{ ref('int_delivery') }}
    where
        source = 'medical'
        and sender in (select sender from {{ ref('int_changed_delivery') }} where source = 'medical')
{%- endset %}
-- depends_on: {{ ref('stg_medical__person') }}
-- depends_on: {{ ref('stg_medical__insurance') }}
-- depends_on: {{ ref('int_delivery') }}
-- depends_on: {{ ref('int_changed_delivery') }}
with

{% if existing is none -%}
changed_key as (
    select
        null::text as sender,
        null::text as psn_insu_rlts_id,
        null::uuid as old_person_key,
        null::date as from_month
    where false
),
{%- else -%}
person as (
    {{- changed_register_keys('stg_medical__person', 'medical', ['psn_no']) }}
),

relation as (
    {{- changed_register_keys('stg_medical__insurance', 'medical', ['psn_insu_rlts_id']) }}
    union all
    select
        person.sender,
        insurance.psn_insu_rlts_id,
        person.from_month
    from {{ ref('stg_medical__insurance') }} as insurance
    inner join {{ ref('int_delivery') }} as delivery on insurance.delivery_id = delivery.delivery_id
    inner join person on delivery.sender = person.sender and insurance.psn_no = person.psn_no
    where {{ only_partitions_of(of_changed_senders, 'insurance') }}
),

key as (
    select
        sender,
        psn_insu_rlts_id,
        min(from_month) as from_month
    from relation
    group by sender, psn_insu_rlts_id
),

changed_key as (
    select
        key.sender,
        key.psn_insu_rlts_id,
        existing.person_key as old_person_key,
        key.from_month
    from key
    left join {{ existing }} as existing
        on key.sender = existing.sender and key.psn_insu_rlts_id = existing.psn_insu_rlts_id
    {{ carried_over(['sender', 'psn_insu_rlts_id', 'old_person_key', 'from_month']) }}
),
{%- endif %}

final as (
    select distinct
        changed_key.*,
        build.generation
    from changed_key
    cross join {{ ref('int_build') }} as build
)

select * from final
