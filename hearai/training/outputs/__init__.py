"""What a run writes: checkpoints and trackers."""
