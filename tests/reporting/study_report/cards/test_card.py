"""Cards: a broken one costs only itself, one without content says why, and every card has what the page needs."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.reporting.study_report.cards.cards import CARDS
from hearai.reporting.study_report.page import TEMPLATES, render_page
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from tests.helpers.report_files import Page


def test_every_card_has_a_template_and_a_readable_anchor() -> None:
    assert sorted(TEMPLATES.glob("cards/*.j2")) == sorted(TEMPLATES / card.template for card in CARDS.values())
    assert all(name == card.id and card.id.replace("-", "").isalpha() for name, card in CARDS.items())


@pytest.mark.heavy
def test_a_broken_card_costs_only_itself(finished: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = read_record(finished)
    base, *others = record.trials
    damaged = replace(record, trials=[replace(base, curve={1: 0.2, 2: math.inf}), *others])
    summary = summarize(record)
    with caplog.at_level(logging.WARNING):
        source = render_page(damaged, summary)
    whole, page = render_page(record, summary), Page(source)
    assert "This card could not be drawn: OverflowError: cannot convert float infinity to integer" in page.text
    assert "the card 'Learning curves' could not be drawn" in caplog.text and "Traceback" in caplog.text
    assert source.count("<section") == whole.count("<section") and source.count("<svg") == whole.count("<svg") - 1
    assert not page.open


@pytest.mark.heavy
def test_a_damaged_file_is_named_without_a_traceback(finished: Path, caplog: pytest.LogCaptureFixture) -> None:
    (finished / "test_confusion.json").write_text("nonsense")
    record = read_record(finished)
    page = Page(render_page(record, summarize(record)))
    assert f"Could not be drawn: {finished / 'test_confusion.json'}: cannot be read" in page.text
    assert "test_confusion.json: cannot be read" in caplog.text and "Traceback" not in caplog.text


@pytest.mark.heavy
def test_an_empty_study_says_what_each_card_needs(build_study: Callable) -> None:
    with build_study() as builder:
        record = read_record(builder.folder)
    source = render_page(record, summarize(record))
    page = Page(source)
    assert "No trial has started yet." in page.text and "No epoch has been finished yet." in page.text
    assert "could not be drawn" not in page.text and "<svg" not in source


@pytest.mark.heavy
def test_the_contents_link_to_every_card(finished: Path) -> None:
    record = read_record(finished)
    source = render_page(record, summarize(record))
    links = [part.split('"')[0] for part in source.split('<a href="#')[1:]]
    assert links == [part.split('"')[0] for part in source.split('<section class="card" id="')[1:]] and len(links) >= 9
