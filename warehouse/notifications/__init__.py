"""Notifications: what is told of deliveries, builds and shares, to whom, and how often it is tried."""
