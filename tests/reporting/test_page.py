"""The page: whole, self-contained, and never obeying what others wrote."""

from pathlib import Path

from html_page import page_of


def test_the_page_is_whole_loads_nothing_and_shows_both_charts(finished: Path) -> None:
    page = page_of(finished)
    assert not page.open and not page.loads
    source = (finished / "report.html").read_text()
    assert source.count("<svg") == 2 and "<script" not in source and "url(" not in source
    assert source.count("<polyline") == 4  # curves of more than one epoch (3), and the best so far
    assert "python experiments/train.py --config" in page.text


def test_what_others_wrote_is_shown_and_never_obeyed(finished: Path) -> None:
    source_text = page_of(finished).text
    source = (finished / "report.html").read_text()
    assert 'ValueError: <b>no, "such"</b>' in source_text
    assert "<b>no," not in source and "tiny & <small>" in source_text and "<small>" not in source
