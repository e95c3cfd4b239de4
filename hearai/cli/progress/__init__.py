"""What happens in a search, as events, and the snapshot that they add up to: what every view of a search shows."""
