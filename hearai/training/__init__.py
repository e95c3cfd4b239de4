"""One training run: `fit(config, runtime)`. Knows neither the search nor the cluster it may be part of."""
