"""What a search prints about its objective before it starts."""

from collections.abc import Callable

from hearai.config.study import Study
from hearai.search.plan import objective_note


def test_an_objective_other_than_the_default_is_printed(make_study: Callable[..., Study]) -> None:
    assert objective_note(make_study()) is None
    study = make_study({"metric": ["objective", "seconds_per_clip"], "objective": {"heads": ["gloss"]}})
    assert objective_note(study) == (
        "objective: macro-F1 over 1 of 1 heads: gloss; other metrics: milliseconds per clip"
    )
