{# In a full refresh every delivery is a changed one, whatever the schema held before. #}
with

delivery as (
    select * from {{ ref('stg_ops__build_delivery') }}
),

by_delivery as (
    select
        delivery_id,
        name,
        source,
        sender,
        month,
        mode,
        created,
        bool_or(state = 'input') as is_input,
        bool_or(state = 'done') as is_done
    from delivery
    group by delivery_id, name, source, sender, month, mode, created
),

difference as (
    select delivery_id, name, source, sender, month, mode, created
    from by_delivery
    where is_input {{ 'or' if flags.FULL_REFRESH else '<>' }} is_done
    {{ carried_over(['delivery_id', 'name', 'source', 'sender', 'month', 'mode', 'created']) }}
),

input as (
    select delivery_id
    from delivery
    where state = 'input'
),

final as (
    select
        difference.*,
        input.delivery_id is not null as is_input,
        build.generation
    from difference
    left join input on difference.delivery_id = input.delivery_id
    cross join {{ ref('int_build') }} as build
)

select * from final
