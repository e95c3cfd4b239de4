"""What a search shows beyond its scores: ranges to widen, parameters that decide, the Pareto front, a baseline."""
