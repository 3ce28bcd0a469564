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
        -- what a refused package says: there is no year 0
        case when period ~ '^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])$' then (period || '-01')::date end as month,
        mode,
        created,
        created_date,
        status,
        codes
    from source
)

select * from renamed
