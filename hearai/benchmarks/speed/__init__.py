"""Benchmarks of speed: an epoch, the start of a trial and a whole search beside the way that Ray documents."""
