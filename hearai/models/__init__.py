"""Tensors -> logits: a picture encoder, a sequence encoder, one classifier a head."""
