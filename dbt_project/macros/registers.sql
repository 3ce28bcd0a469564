{# Registers of membership: versions of each sender's rows, and their history. #}

{# Body of a model of versions: one row for every row of a register for as long as it is in force, from the month
   valid_from up to before valid_to ('infinity': still). Within an epoch (a snapshot and the deltas up to the next one) a
   row is replaced by the next row of its key; all end with the epoch. Rows replaced within their own month are left out. #}
{% macro register_versions(staging, key, touched='int_touched_epoch') %}
-- depends_on: {{ ref('int_delivery') }}
{% set to_read %}
    select delivery_id from {{ ref('int_register_delivery') }}
    where {{ only_touched(touched, ['epoch_id']) }}
{% endset %}
with

delivery as (
    select * from {{ ref('int_register_delivery') }}
    where {{ only_touched(touched, ['epoch_id']) }}
),

-- nothing can replace a row while its epoch is one snapshot alone: no sorting
alone as (
    select
        delivery.epoch_id,
        delivery.sender,
        delivery.created,
        delivery.month as valid_from,
        delivery.epoch_end as valid_to,
        register.*
    from {{ ref(staging) }} as register
    inner join delivery on register.delivery_id = delivery.delivery_id
    where
        delivery.is_alone
        and {{ only_partitions_of(to_read ~ " and is_alone", 'register') }}
),

together as (
    select
        delivery.epoch_id,
        delivery.sender,
        delivery.created,
        delivery.month as valid_from,
        coalesce(
            lead(delivery.month) over (
                partition by delivery.epoch_id, register.{{ key }} order by delivery.register_rank
            ),
            delivery.epoch_end
        ) as valid_to,
        register.*
    from {{ ref(staging) }} as register
    inner join delivery on register.delivery_id = delivery.delivery_id
    where
        not delivery.is_alone
        and {{ only_partitions_of(to_read ~ " and not is_alone", 'register') }}
),

final as (
    select * from alone
    where valid_from < valid_to
    union all
    select * from together
    where valid_from < valid_to
)

select * from final
{% endmacro %}

{# CTEs `version` (narrow), `island` (one row a stretch of unchanged content: sender, key, valid_from, valid_to,
   version_from = start of its last version) of a register's history. In an incremental run only stretches that reach the
   sender's first touched month are made anew; one that began before it keeps its beginning. #}
{% macro register_islands(versions, key) %}
version as (
    select
        version.sender,
        version.{{ key }},
        version.content_hash,
        version.valid_from,
        version.valid_to
    from {{ ref(versions) }} as version
    {%- if is_incremental() %}
    inner join {{ ref('int_touched_history') }} as touched
        on version.sender = touched.sender and version.valid_to >= touched.from_month
    {%- endif %}
),

marked as (
    select
        *,
        (
            valid_from is distinct from lag(valid_to) over by_key
            or content_hash is distinct from lag(content_hash) over by_key
        ) as is_start
    from version
    window by_key as (partition by sender, {{ key }} order by valid_from)
),

numbered as (
    select
        *,
        count(*) filter (where is_start) over (
            partition by sender, {{ key }} order by valid_from
        ) as island_no
    from marked
),

island as (
    select
        sender,
        {{ key }},
        island_no,
        min(valid_from) as valid_from,
        max(valid_to) as valid_to,
        max(valid_from) as version_from
    from numbered
    group by sender, {{ key }}, island_no
)
{%- endmacro %}

{# The first month of a stretch: of one that began before the sender's first touched month, the month that stands. #}
{% macro history_start(key) -%}
    {%- if is_incremental() -%}
    coalesce(
        (
            select kept.valid_from
            from {{ this }} as kept
            inner join {{ ref('int_touched_history') }} as touched on kept.sender = touched.sender
            where
                kept.sender = island.sender
                and kept.{{ key }} = island.{{ key }}
                and island.valid_from < touched.from_month
                and kept.valid_from <= island.valid_from
                and coalesce(kept.valid_to, 'infinity') > island.valid_from
        ),
        island.valid_from
    )
    {%- else -%}
    island.valid_from
    {%- endif -%}
{%- endmacro %}
