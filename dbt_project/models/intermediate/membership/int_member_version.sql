{{ config(
    materialized='incremental',
    incremental_strategy='replace_touched',
    touched='int_touched_epoch',
    touched_on=['epoch_id'],
    indexes=[{'columns': ['epoch_id']}, {'columns': ['person_key']}, {'columns': ['sender', 'member_id']}],
) }}
-- depends_on: {{ ref('int_touched_epoch') }}
{{ register_versions('stg_membership__member', 'member_id') }}
