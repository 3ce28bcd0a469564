{{ config(indexes=[{'columns': ['employer_uscc'], 'unique': true}]) }}
{# Name and attributes by the organisation that represents the employer, else by its last fund report, else by its last
   insurance spell. #}
with

organised as (
    select distinct on (employer_uscc)
        employer_uscc,
        employer_name,
        employer_nature,
        industry,
        admdvs
    from {{ ref('organisation') }}
    where employer_uscc is not null
    order by employer_uscc asc, is_current desc, valid_from desc, sender collate "C" asc, org_code collate "C" asc
),

organisations as (
    select
        employer_uscc,
        count(*) as organisations
    from {{ ref('organisation') }}
    where is_current and status = '1' and employer_uscc is not null
    group by employer_uscc
),

reported as (
    select distinct on (employer_uscc)
        employer_uscc,
        employer_name,
        admdvs,
        year
    from {{ ref('training_fund') }}
    order by employer_uscc asc, year desc, sender collate "C" asc
),

insured as (
    select
        emp_uscc as employer_uscc,
        min(insu_admdvs) as admdvs
    from {{ ref('insurance_spell') }}
    where emp_uscc is not null
    group by emp_uscc
),

code as (
    select employer_uscc from organised
    union
    select employer_uscc from reported
    union
    select employer_uscc from insured
),

final as (
    select
        code.employer_uscc,
        coalesce(organised.employer_name, reported.employer_name) as employer_name,
        organised.employer_nature,
        nature.label as employer_nature_label,
        organised.industry,
        industry.label as industry_label,
        coalesce(organised.admdvs, reported.admdvs, insured.admdvs) as admdvs,
        coalesce(organisations.organisations, 0)::integer as organisations,
        reported.year as last_fund_year,
        organised.employer_uscc is not null as has_union,
        insured.employer_uscc is not null as is_insuring
    from code
    left join organised on code.employer_uscc = organised.employer_uscc
    left join organisations on code.employer_uscc = organisations.employer_uscc
    left join reported on code.employer_uscc = reported.employer_uscc
    left join insured on code.employer_uscc = insured.employer_uscc
    left join {{ ref('employer_nature') }} as nature on organised.employer_nature = nature.code
    left join {{ ref('industry') }} as industry on organised.industry = industry.code
)

select * from final
