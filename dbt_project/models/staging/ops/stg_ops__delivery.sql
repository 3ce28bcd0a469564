with

source as (
    select * from {{ source('ops', 'delivery') }}
),

renamed as (
    select
        delivery_id,
        name,
        source,
        sender,
        period,
        case when period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$' then (period || '-01')::date end as month,
        mode,
        created,
        created_date,
        status,
        codes
    from source
)

select * from renamed
