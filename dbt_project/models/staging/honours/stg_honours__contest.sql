with

source as (
    select * from {{ source('honours', 'honours_contest') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        contest_no,
        org_code,
        occupation_code,

        -- text and codes
        contest_name,
        contest_kind,
        contest_level,
        skills_class,
        admdvs,
        industry,

        -- numerics
        units,
        participants,
        frontline_participants,
        winners,
        promoted,
        spent,

        -- dates
        started_on,
        ended_on
    from source
)

select * from renamed
