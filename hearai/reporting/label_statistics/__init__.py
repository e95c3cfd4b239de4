"""The label distribution of an annotation file."""
