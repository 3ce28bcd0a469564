{{ config(
    materialized='incremental',
    incremental_strategy='changed_keys',
    changed_keys='int_changed_epoch',
    changed_on=['epoch_id'],
    indexes=[
        {'columns': ['sender', 'member_id', 'valid_from'], 'unique': true},
        {'columns': ['epoch_id']},
        {'columns': ['person_key', 'valid_to']},
    ],
) }}
-- depends_on: {{ ref('int_changed_epoch') }}
{{ register_versions('stg_membership__member', 'member_id') }}
