with

source as (
    select * from {{ source('ops', 'share_step') }}
),

renamed as (
    select
        step_id,
        name,
        version,
        step,
        date_trunc('month', at at time zone 'Asia/Shanghai')::date as month
    from source
)

select * from renamed
