"""Reports of searches, models and datasets as text, tables, figures and pages; reads and writes files, without Ray."""
