"""Public datasets -> our layout: one module for each kind, one record for a clip, one writer."""
