{% set to_read %}
    select delivery_id from {{ ref('int_delivery') }}
    where source = 'honours'
{%- endset %}
{# The row's own month is one of its values: its counts run from 1 January of that month's year, so a row of a later
   year with the same counts says something new. #}
{{ delta_versions(
    'stg_honours__studio',
    'honours',
    ['studio_no'],
    [
        'month', 'person_key', 'studio_level', 'admdvs', 'named_on', 'status', 'alliance_no', 'members', 'projects',
        'achievements', 'patents', 'trained', 'funded_amount',
    ],
    to_read,
) }}
