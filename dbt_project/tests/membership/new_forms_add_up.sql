{#
What: the members of new_form_month are those that union_coverage_month counts as members in new forms of employment.
When: always; in a normal build for the months that changed, weekly (full_tests) for all.
How to resolve: nothing is published before. Rebuild with `--full-refresh`; if that mends it, the changed keys are
incomplete: see int_changed_month.
#}
-- depends_on: {{ ref('int_changed_month') }}
{% set is_full = var('full_tests') or flags.FULL_REFRESH %}
with

by_form as (
    select
        month,
        sender,
        admdvs,
        sum(members) as members
    from {{ ref('new_form_month') }}
    {%- if not is_full %}
    where month in (select changed_key.month from {{ ref('int_changed_month') }} as changed_key)
    {%- endif %}
    group by month, sender, admdvs
),

by_industry as (
    select
        month,
        sender,
        admdvs,
        sum(new_form_members) as members
    from {{ ref('union_coverage_month') }}
    {%- if not is_full %}
    where month in (select changed_key.month from {{ ref('int_changed_month') }} as changed_key)
    {%- endif %}
    group by month, sender, admdvs
),

final as (
    select
        format(
            '%s of %s in %s: %s members in new_form_month, %s in union_coverage_month.',
            admdvs, sender, month, coalesce(by_form.members, 0), coalesce(by_industry.members, 0)
        ) as audit_message
    from by_form
    full outer join by_industry using (month, sender, admdvs)
    where coalesce(by_form.members, 0) <> coalesce(by_industry.members, 0)
)

select * from final
