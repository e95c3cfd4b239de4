"""Outputs of a frozen backbone: computed once, stored, and made into batches."""
