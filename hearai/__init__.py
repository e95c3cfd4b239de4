"""Hyperparameter search for sign-language models: video -> frames -> extractor -> transformer -> heads."""
