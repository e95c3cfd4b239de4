"""Cards that say whether to believe the result: health checks, data, confusions, cost; and how to continue."""
