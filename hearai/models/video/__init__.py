"""Feature extractors that read whole clips of images."""
