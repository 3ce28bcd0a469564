with

source as (
    select * from {{ source('rights', 'rights_collective_contract') }}
),

renamed as (
    select
        delivery_id,
        file_no,
        line_number,
        content_hash,

        -- ids
        contract_no,
        org_code,
        employer_uscc,

        -- text and codes
        contract_kind,
        scope,
        admdvs,
        industry,
        review,

        -- numerics
        covered_units,
        covered_workers,
        covered_women,
        wage_adjustment,

        -- dates
        passed_on,
        signed_on,
        submitted_on,
        valid_from,
        valid_to,
        terminated_on
    from source
)

select * from renamed
