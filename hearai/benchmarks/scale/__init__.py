"""The search engine at scale: thousands of trials, and a cluster of many nodes."""
