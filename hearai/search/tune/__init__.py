"""The adapter to Ray Tune."""
