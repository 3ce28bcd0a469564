{# Registers: versions of each sender's rows, and their history. Of a source with snapshots they are told by
   register_versions, of one whose deliveries are all deltas by delta_versions. #}

{# Body of a model of versions of a register with snapshots: one row for every row of a register for as long as it is in force, from the month
   valid_from up to before valid_to ('infinity': still). Within an epoch (a snapshot and the deltas up to the next one) a
   row is replaced by the next row of its key; all end with the epoch. Rows replaced within their own month are left out. #}
{% macro register_versions(staging, key, changed_keys='int_changed_epoch') %}
-- depends_on: {{ ref('int_delivery') }}
{% set to_read %}
    select delivery_id from {{ ref('int_register_delivery') }}
    where {{ only_changed(changed_keys, ['epoch_id']) }}
{% endset %}
with

delivery as (
    select * from {{ ref('int_register_delivery') }}
    where {{ only_changed(changed_keys, ['epoch_id']) }}
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

{# Versions of a register whose deliveries are all deltas: of a sender and key the last row up to a month counts, in the
   order (period, created, name), and nothing is deleted by being absent. Columns: sender, the keys, the values,
   valid_from and valid_to (months; 'infinity': still). A row that says again what was said before begins no version.
   `to_read` is a query for the deliveries to be read; `condition` may speak of `register` (the staging model) and
   `delivery`. #}
{% macro delta_versions(staging, source, keys, values, to_read, condition='true') %}
    {%- set key = 'sender, ' ~ keys | join(', ') %}
    select
        {{ key }},
        {{ values | join(', ') }},
        month as valid_from,
        lead(month, 1, 'infinity'::date) over (partition by {{ key }} order by month) as valid_to
    from (
        select
            *,
            (
                ({{ values | join(', ') }})
                is distinct from lag(({{ values | join(', ') }})) over (partition by {{ key }} order by month)
            ) as is_news
        from (
            select distinct on (delivery.sender, register.{{ keys | join(', register.') }}, delivery.month)
                delivery.sender,
                delivery.month,
                register.*
            from {{ ref(staging) }} as register
            inner join {{ ref('int_delivery') }} as delivery on register.delivery_id = delivery.delivery_id
            where
                delivery.source = '{{ source }}'
                and {{ only_partitions_of(to_read, 'register') }}
                and {{ condition }}
            order by
                delivery.sender asc, register.{{ keys | join(' asc, register.') }} asc, delivery.month asc,
                delivery.register_rank desc
        ) as last_of_month
    ) as marked
    where is_news
{%- endmacro %}

{# The last row of each key of such a register over all its deliveries, in the order (period, created, name), with the
   name of its delivery. `to_read` (default: all) and `condition` as for delta_versions. #}
{% macro latest_register_rows(staging, source, keys, to_read=none, condition='true') %}
    select distinct on (delivery.sender, register.{{ keys | join(', register.') }})
        delivery.sender,
        delivery.name as delivery_name,
        register.*
    from {{ ref(staging) }} as register
    inner join {{ ref('int_delivery') }} as delivery on register.delivery_id = delivery.delivery_id
    where
        delivery.source = '{{ source }}'
        {%- if to_read is not none %}
        and {{ only_partitions_of(to_read, 'register') }}
        {%- endif %}
        and {{ condition }}
    order by delivery.sender asc, register.{{ keys | join(' asc, register.') }} asc, delivery.register_rank desc
{%- endmacro %}

{# Keys of such a register that stand in a changed delivery: sender, the keys, from_month (the first such month). #}
{% macro changed_register_keys(staging, source, keys) %}
    {%- set changed %}
    select delivery_id from {{ ref('int_changed_delivery') }}
    where source = '{{ source }}'
    {%- endset %}
    select
        changed.sender,
        register.{{ keys | join(', register.') }},
        min(changed.month) as from_month
    from {{ ref(staging) }} as register
    inner join {{ ref('int_changed_delivery') }} as changed on register.delivery_id = changed.delivery_id
    where
        changed.source = '{{ source }}'
        and {{ only_partitions_of(changed, 'register') }}
    group by changed.sender, register.{{ keys | join(', register.') }}
{%- endmacro %}

{# Body of a model of changed keys (month, person_key): persons whose state at a month, as such a register says it, may
   differ. `state` is the table by month and person, `versions` the model of the register's versions, each with a
   person_key and in force from the month `first` up to before the month `end` (null: still), `changed_versions` the
   changed keys (`keys`) of the versions, with old_person_key and from_month. #}
{% macro changed_person_months(state, versions, changed_versions, keys, first, end) %}
{%- set existing = previous(state) -%}
-- depends_on: {{ ref('int_month_covered') }}
-- depends_on: {{ ref(versions) }}
-- depends_on: {{ ref(changed_versions) }}
with

{% if existing is none -%}
changed_key as (
    select
        null::date as month,
        null::uuid as person_key
    where false
),
{%- else -%}
covered as (
    select month from {{ ref('int_month_covered') }}
),

person as (
    select old_person_key as person_key, from_month
    from {{ ref(changed_versions) }}
    where old_person_key is not null
    union all
    select version.person_key, changed_key.from_month
    from {{ ref(versions) }} as version
    inner join {{ ref(changed_versions) }} as changed_key
        on {% for key in keys %}version.{{ key }} = changed_key.{{ key }}{{ ' and ' if not loop.last }}{% endfor %}
    where version.person_key is not null
),

person_from as (
    select
        person_key,
        min(from_month) as from_month
    from person
    group by person_key
),

covered_before as (
    select
        min(month) as first_month,
        max(month) as last_month
    from {{ existing }}
),

-- months that became covered, or that a rebuild asks for
new_month as (
    select covered.month
    from covered
    cross join covered_before
    where
        covered_before.first_month is null
        or covered.month not between covered_before.first_month and covered_before.last_month
        or covered.month in (select unnest(months_asked) from {{ ref('int_build') }})
),

-- months that are no longer covered, or that a rebuild asks for
old_month as (
    select month
    from (
        select {{ every('month', 'first_month', 'last_month') }} as month
        from covered_before
    ) as month_before
    where
        month not in (select month from covered)
        or month in (select unnest(months_asked) from {{ ref('int_build') }})
),

changed_key as (
    select covered.month, person_from.person_key
    from person_from
    inner join covered on person_from.from_month <= covered.month
    union
    select new_month.month, version.person_key
    from new_month
    inner join {{ ref(versions) }} as version
        on
            new_month.month >= version.{{ first }}
            and (new_month.month < version.{{ end }} or version.{{ end }} is null)
    where version.person_key is not null
    union
    select month, person_key
    from {{ existing }}
    where month = any(array(select month from old_month))
    {{ carried_over(['month', 'person_key']) }}
),
{%- endif %}

final as (
    select
        changed_key.month,
        changed_key.person_key,
        build.generation
    from changed_key
    cross join {{ ref('int_build') }} as build
)

select * from final
{% endmacro %}

{# CTEs `version` (narrow), `island` (one row a stretch of unchanged content: sender, key, valid_from, valid_to,
   version_from = start of its last version) of a register's history. In an incremental run only stretches that reach the
   sender's first changed month are computed again; one that began before it keeps its beginning. #}
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
    inner join {{ ref('int_changed_history') }} as changed_key
        on version.sender = changed_key.sender and version.valid_to >= changed_key.from_month
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

{# The first month of a stretch: of one that began before the sender's first changed month, the month in the table. #}
{% macro history_start(key) -%}
    {%- if is_incremental() -%}
    coalesce(
        (
            select existing.valid_from
            from {{ this }} as existing
            inner join {{ ref('int_changed_history') }} as changed_key on existing.sender = changed_key.sender
            where
                existing.sender = island.sender
                and existing.{{ key }} = island.{{ key }}
                and island.valid_from < changed_key.from_month
                and existing.valid_from <= island.valid_from
                and coalesce(existing.valid_to, 'infinity') > island.valid_from
        ),
        island.valid_from
    )
    {%- else -%}
    island.valid_from
    {%- endif -%}
{%- endmacro %}
