{{ config(severity='warn', tags=['weekly'], meta={
    'owner': 'engineer on duty',
    'action': 'Ask the sender whether codes of another system were exported, or whether the other feed is still to come.',
}) }}
{#
What: at most a fifth of a sender's rows of a feed name an organisation, contract or contest that it has not delivered.
When: the two feeds come from different systems, or one of them is late. Such rows are loaded all the same.
How to resolve: see the action above.
#}
{% set others = [
    ('stg_rights__contract_unit', 'contract_no', 'stg_rights__collective_contract'),
    ('stg_honours__honour', 'contest_no', 'stg_honours__contest'),
] %}
with

known as (
    select
        'organisation' as thing,
        sender,
        org_code as code
    from {{ ref('organisation') }}
    {%- for _, column, owner in others %}
    union
    select
        '{{ owner }}' as thing,
        delivery.sender,
        {{ owner }}.{{ column }} as code
    from {{ ref(owner) }} as {{ owner }}
    inner join {{ ref('int_delivery') }} as delivery on {{ owner }}.delivery_id = delivery.delivery_id
    {%- endfor %}
),

named as (
    {%- for feed, column in organisation_references() %}
    {{ rows_naming(feed, column, 'organisation') }}
    union all
    {%- endfor %}
    {%- for feed, column, owner in others %}
    {{ rows_naming(feed, column, owner) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

by_sender as (
    select
        named.feed,
        named.reference,
        named.sender,
        sum(named.row_count) as row_count,
        coalesce(sum(named.row_count) filter (where known.code is null), 0) as orphan_count
    from named
    left join known
        on named.thing = known.thing and named.sender = known.sender and named.code = known.code
    group by named.feed, named.reference, named.sender
)

select
    format(
        '%s %% of the %s rows of %s in %s name an unknown %s.',
        round(100 * orphan_count / row_count), row_count, sender, feed, reference
    ) as audit_message
from by_sender
where orphan_count > 0.2 * row_count
