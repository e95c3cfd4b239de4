"""How long a search will still take, as it is shown."""

import pytest

from hearai.cli.progress.time_left import rough_time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (2, "5 s"), (43, "45 s"), (100, "2 min"), (11_100, "3 h 05 min")],
)
def test_predictions_are_rounded(seconds: float, text: str) -> None:
    assert rough_time(seconds) == text
