{{ config(indexes=[{'columns': ['month', 'person_key'], 'unique': true}, {'columns': ['person_key']}]) }}
{% set members = previous('member_month') -%}
{% set duplicates = previous('duplicate_membership') -%}
with

-- persons whom a changed register has now
present as (
    select
        changed_key.month,
        version.person_key
    from {{ ref('int_changed_sender_month') }} as changed_key
    inner join {{ ref('int_member_version') }} as version
        on
            changed_key.sender = version.sender
            and changed_key.month >= version.valid_from
            and changed_key.month < version.valid_to
    where changed_key.is_covered
),

skill as (
    select
        covered.month,
        changed_key.person_key
    from {{ ref('int_changed_person_skill') }} as changed_key
    inner join {{ ref('int_month_covered') }} as covered on changed_key.from_month <= covered.month
),

training as (
    select
        covered.month,
        changed_key.person_key
    from {{ ref('int_changed_person_training') }} as changed_key
    inner join {{ ref('int_month_covered') }} as covered
        on
            changed_key.month <= covered.month
            and changed_key.month + interval '12 months' > covered.month
),

changed_key as (
    select month, person_key from present
    union
    select month, person_key from skill
    union
    select month, person_key from training
    {%- for before in [members, duplicates] if before is not none %}
    union
    -- persons whom it had
    select before.month, before.person_key
    from {{ before }} as before
    inner join {{ ref('int_changed_sender_month') }} as changed_key
        on before.month = changed_key.month and before.sender = changed_key.sender
    {%- endfor %}
    {{ carried_over(['month', 'person_key']) }}
),

final as (
    select
        changed_key.month,
        changed_key.person_key,
        build.generation
    from changed_key
    cross join {{ ref('int_build') }} as build
    {% if flags.FULL_REFRESH %}where false{% endif %}
)

select * from final
