"""Landmarks: the files of our clips as normalised points, and files of other tools read as ours."""
