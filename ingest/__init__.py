"""From a delivery in the inbox to accepted rows in the landing schema.

One module a step: ``contracts`` (what a feed looks like), ``inbox`` (what lies there), ``deliveries`` (manifest,
hashes, archives), ``readers`` (file to text batches), ``cleaning`` and ``checks`` (text to values and reasons),
``identity`` and ``vault`` (persons), ``landing`` (batch tables), ``ledger`` (what happened), ``load`` (the order of
the steps). Nothing here knows of expectations, dbt or DAGs.
"""
