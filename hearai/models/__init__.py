"""Models: inputs -> logits, by a feature extractor, a sequence encoder and one classifier per head."""
