with

source as (
    select * from {{ source('membership', 'membership_organisation') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        org_code,
        parent_org_code,
        union_uscc,
        employer_uscc,

        -- text and codes
        org_name,
        employer_name,
        org_level,
        org_type,
        admdvs,
        employer_nature,
        industry,
        status,

        -- numerics
        employees,
        women_employees,
        migrant_employees,
        covered_units,

        -- flags
        has_workers_congress,
        has_open_affairs,
        has_collective_contract,

        -- dates
        founded_on
    from source
)

select * from renamed
