"""Feature extractors of landmarks."""
