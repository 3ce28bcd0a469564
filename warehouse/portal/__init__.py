"""The portal: static pages about deliveries, indicators and published tables, in Chinese and English.

They need no network and hold no personal data. ``pages.write`` writes them; docs/engineers.md says where they lie.
"""
