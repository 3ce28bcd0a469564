"""The ledger: every delivery that came, and what was decided about it."""
