"""Configuration of runs and searches: typed, validated, without torch."""
