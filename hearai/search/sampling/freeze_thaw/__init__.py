"""Freeze-thaw search: a model of learning curves decides who trains on."""
