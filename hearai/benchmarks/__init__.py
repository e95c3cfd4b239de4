"""What the search is worth, measured: engines side by side on recorded learning curves, and at scale."""
