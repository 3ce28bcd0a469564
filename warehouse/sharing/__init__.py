"""Shares: what leaves the warehouse, for whom, for what, until when."""
