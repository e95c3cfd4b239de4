"""Weights to start from: published ones, those of a path, and those of another run."""
