"""Shared by several test modules: small datasets and studies, processes to watch and kill, real servers."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Root of the checkout."""
