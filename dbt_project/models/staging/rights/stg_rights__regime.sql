with

source as (
    select * from {{ source('rights', 'rights_regime') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        org_code,
        regime,

        -- text and codes
        reach,
        document_no,

        -- numerics
        representatives,
        frontline_representatives,
        attended,
        proposals,
        proposals_closed,

        -- dates
        established_on,
        ended_on,
        last_held_on
    from source
)

select * from renamed
