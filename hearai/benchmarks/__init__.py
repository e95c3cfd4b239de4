"""Benchmarks: search engines compared on recorded learning curves and on real training, models compared, and scale."""
