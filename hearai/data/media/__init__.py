"""What is inside a file of a folder of videos: kind, size, streams and frames."""
