{# Insurance relations of which a state may differ from a month on: they, or the person they belong to, stand in a
   changed delivery of that month. #}
{% set standing = previous('insurance_spell') -%}
{% set changed %}
    select delivery_id from {{ ref('int_delivery_changed') }}
    where source = 'medical'
{%- endset %}
{% set of_changed_senders %}
    select delivery_id from {{ ref('int_delivery') }}
    where
        source = 'medical'
        and sender in (select sender from {{ ref('int_delivery_changed') }} where source = 'medical')
{%- endset %}
-- depends_on: {{ ref('stg_medical__person') }}
-- depends_on: {{ ref('stg_medical__insurance') }}
-- depends_on: {{ ref('int_delivery') }}
with

{% if standing is none -%}
touched as (
    select
        null::text as sender,
        null::text as psn_insu_rlts_id,
        null::uuid as old_person_key,
        null::date as from_month
    where false
),
{%- else -%}
changed as (
    select * from {{ ref('int_delivery_changed') }}
    where source = 'medical'
),

person as (
    select
        changed.sender,
        person.psn_no,
        min(changed.month) as from_month
    from {{ ref('stg_medical__person') }} as person
    inner join changed on person.delivery_id = changed.delivery_id
    where {{ only_partitions_of(changed, 'person') }}
    group by changed.sender, person.psn_no
),

relation as (
    select
        changed.sender,
        insurance.psn_insu_rlts_id,
        changed.month as from_month
    from {{ ref('stg_medical__insurance') }} as insurance
    inner join changed on insurance.delivery_id = changed.delivery_id
    where {{ only_partitions_of(changed, 'insurance') }}
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

touched as (
    select
        key.sender,
        key.psn_insu_rlts_id,
        standing.person_key as old_person_key,
        key.from_month
    from key
    left join {{ standing }} as standing
        on key.sender = standing.sender and key.psn_insu_rlts_id = standing.psn_insu_rlts_id
    {{ carried_over(['sender', 'psn_insu_rlts_id', 'old_person_key', 'from_month']) }}
),
{%- endif %}

final as (
    select distinct
        touched.*,
        build.generation
    from touched
    cross join {{ ref('int_build') }} as build
)

select * from final
