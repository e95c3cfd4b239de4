"""Annotation files -> checked, split clips. Without torch."""
