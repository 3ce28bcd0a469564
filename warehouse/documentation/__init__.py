"""Pages about the data: the dictionary, dbt's own pages, validation results."""
