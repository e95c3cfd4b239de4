"""Hyperparameter search for sign-language models: video -> frames -> extractor -> transformer -> heads."""

from hearai.threads import avoid_spinning

avoid_spinning()  # torch is imported by modules of this package, in scripts and in the processes of trials
