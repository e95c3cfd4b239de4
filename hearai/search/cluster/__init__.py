"""Ray clusters: connecting, resources, checks of nodes, submitted jobs."""
