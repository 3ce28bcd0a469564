{{ config(indexes=[{'columns': ['month', 'person_key'], 'unique': true}, {'columns': ['person_key']}]) }}
{% set members = previous('member_month') -%}
{% set duplicates = previous('duplicate_membership') -%}
with

-- persons that a touched register has now
present as (
    select
        touched.month,
        version.person_key
    from {{ ref('int_touched_sender_month') }} as touched
    inner join {{ ref('int_member_version') }} as version
        on
            touched.sender = version.sender
            and touched.month >= version.valid_from
            and touched.month < version.valid_to
    where touched.is_covered
),

skill as (
    select
        covered.month,
        touched.person_key
    from {{ ref('int_touched_person_skill') }} as touched
    inner join {{ ref('int_month_covered') }} as covered on touched.from_month <= covered.month
),

training as (
    select
        covered.month,
        touched.person_key
    from {{ ref('int_touched_person_training') }} as touched
    inner join {{ ref('int_month_covered') }} as covered
        on
            touched.month <= covered.month
            and touched.month + interval '12 months' > covered.month
),

touched as (
    select month, person_key from present
    union
    select month, person_key from skill
    union
    select month, person_key from training
    {%- for before in [members, duplicates] if before is not none %}
    union
    -- persons that it had
    select before.month, before.person_key
    from {{ before }} as before
    inner join {{ ref('int_touched_sender_month') }} as touched
        on before.month = touched.month and before.sender = touched.sender
    {%- endfor %}
    {{ carried_over(['month', 'person_key']) }}
),

final as (
    select
        touched.month,
        touched.person_key,
        build.generation
    from touched
    cross join {{ ref('int_build') }} as build
    {% if flags.FULL_REFRESH %}where false{% endif %}
)

select * from final
