"""The report of a search: page, terminal text, tables and summary.json."""
