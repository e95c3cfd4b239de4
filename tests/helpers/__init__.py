"""What several test modules share: small data, processes to watch and kill, real servers."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""
