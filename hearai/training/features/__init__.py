"""Outputs of a frozen backbone, and decoded frames: computed once, stored, and made into batches."""
