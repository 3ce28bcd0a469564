"""Builds of the figures and their publication."""
