"""From a delivery in the inbox to accepted rows in the landing schema.

``docs/architecture.md`` describes the packages and their order. Nothing here depends on expectations, dbt or DAGs.
"""
