{#
What: every scheme and band of mutual aid can be reckoned with. Each message says which row of seeds/mutual_aid_scheme.csv
or seeds/mutual_aid_band.csv to mend, and how.
When: a scheme was added or changed.
How to resolve: mend the row that the message names, and build again. Nothing is published before.
#}
with

scheme as (
    select
        *,
        string_to_array(replace(categories, ' ', ''), ',') as category_list
    from {{ ref('mutual_aid_scheme') }}
),

band as (
    select
        *,
        lead(band_from) over (partition by scheme_code order by band_from, band_to) as next_from
    from {{ ref('mutual_aid_band') }}
),

failing as (
    select
        format(
            'Scheme %s ends on %s, before it begins on %s: mend term_start or term_end.',
            scheme_code, term_end, term_start
        ) as audit_message
    from scheme
    where term_end < term_start
    union all
    select
        format(
            'Scheme %s has no %s: fill it in.', scheme_code,
            case
                when term_start is null then 'term_start'
                when term_end is null then 'term_end'
                when deductible is null then 'deductible'
                when waiting_days is null then 'waiting_days'
            end
        )
    from scheme
    where term_start is null or term_end is null or deductible is null or waiting_days is null
    union all
    select
        format(
            'Scheme %s lists the category "%s", which does not exist: use outpatient, chronic, inpatient, pharmacy, '
            'maternity or other, separated by commas.', scheme.scheme_code, listed.category
        )
    from scheme
    cross join unnest(scheme.category_list) as listed (category)
    where listed.category not in ('outpatient', 'chronic', 'inpatient', 'pharmacy', 'maternity', 'other')
    union all
    select
        format(
            'Scheme %s lists no category: name at least one in categories.', scheme_code
        )
    from scheme
    where coalesce(categories, '') = ''
    union all
    select
        format(
            'Scheme %s has the base "%s": use medfee, psn_pay or policy_self_pay.', scheme_code, base
        )
    from scheme
    where coalesce(base, '') not in ('medfee', 'psn_pay', 'policy_self_pay')
    union all
    select
        format(
            'Scheme %s has a negative deductible, cap or waiting_days: use 0 or more.', scheme_code
        )
    from scheme
    where deductible < 0 or cap < 0 or waiting_days < 0
    union all
    select
        format(
            'Scheme %s has the admdvs_prefix "%s": use up to six digits.', scheme_code, admdvs_prefix
        )
    from scheme
    where admdvs_prefix !~ '^[0-9]{0,6}$'
    union all
    select
        format(
            'Scheme %s has no band in mutual_aid_band: it would pay nothing.', scheme_code
        )
    from scheme
    where scheme_code not in (select scheme_code from band)
    union all
    select
        format(
            'A band belongs to the scheme %s, which is not in mutual_aid_scheme: mend its scheme_code.', scheme_code
        )
    from band
    where scheme_code not in (select scheme_code from scheme)
    union all
    select
        format(
            'A band of scheme %s begins at %s and ends at %s: it must begin at 0 or above and end above its beginning.',
            scheme_code, band_from, band_to
        )
    from band
    where band_from is null or band_from < 0 or band_to <= band_from
    union all
    select
        format(
            'Bands of scheme %s overlap: the one that begins at %s ends at %s, but the next begins at %s. '
            'Let each band end where the next begins.',
            scheme_code, band_from, coalesce(band_to::text, 'no end'), next_from
        )
    from band
    where next_from < coalesce(band_to, 'infinity'::numeric)
    union all
    select
        format(
            'A band of scheme %s has the rate %s: use a share between 0 and 1.', scheme_code, rate
        )
    from band
    where rate is null or rate < 0 or rate > 1
)

select audit_message from failing
