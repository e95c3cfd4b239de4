"""What a card of the page is, and how it is drawn: its content, or why it has none yet, or the error that it met."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jinja2
from markupsafe import Markup

from hearai.errors import UserError
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary

log = logging.getLogger(__name__)

Build = Callable[[StudyRecord, StudySummary], Mapping[str, Any]]


class NotYet(Exception):
    """A card has nothing to show; the message is a sentence that says what it needs."""


def always(record: StudyRecord, summary: StudySummary) -> bool:
    """For cards that every page has."""
    return True


@dataclass(frozen=True)
class Card:
    """One question about a search, and its answer.

    To add one: a module with a `Card` in this folder, its template `templates/cards/ID.html.j2`, and an entry of
    `cards.CARDS`. The template sees what `build` returns, and nothing else of the study; the filters and functions are
    those of `page.py`. Text from files is escaped by the template.
    """

    id: str
    """Anchor on the page and name of the template; lower case, with hyphens."""
    title: str
    shows: str
    """One sentence: what the card shows, and how to read it. Empty where the title says it."""
    build: Build
    """Computes the context of the template.

    Raises:
        NotYet: there is nothing to show.
    """
    applies: Callable[[StudyRecord, StudySummary], bool] = always
    """Whether the page of this study has the card at all: a search for one metric never has a Pareto front."""

    @property
    def template(self) -> str:
        """Path below `templates/`."""
        return f"cards/{self.id}.html.j2"


@dataclass(frozen=True)
class DrawnCard:
    """A card as the page shows it."""

    id: str
    title: str
    shows: str
    state: Literal["drawn", "not yet", "broken"]
    body: Markup
    """The HTML of a card that is drawn; of another one, the sentence that says why it is not."""


def draw_cards(
    cards: Sequence[Card], environment: jinja2.Environment, record: StudyRecord, summary: StudySummary
) -> list[DrawnCard]:
    """The cards that apply to the study, in this order. An error in one of them does not affect the others."""
    drawn = (_draw(card, environment, record, summary) for card in cards)
    return [card for card in drawn if card is not None]


def _draw(card: Card, environment: jinja2.Environment, record: StudyRecord, summary: StudySummary) -> DrawnCard | None:
    try:
        if not card.applies(record, summary):
            return None
        body = environment.get_template(card.template).render(card.build(record, summary))
    except NotYet as reason:
        return DrawnCard(card.id, card.title, card.shows, "not yet", Markup.escape(str(reason)))
    except UserError as error:  # a damaged file, which the message names
        log.warning("report: the card %r could not be drawn: %s", card.title, error)
        return DrawnCard(card.id, card.title, card.shows, "broken", Markup.escape(f"Could not be drawn: {error}"))
    except Exception as error:  # noqa: BLE001 - whatever a damaged study causes costs this card only
        log.warning("report: the card %r could not be drawn", card.title, exc_info=True)
        text = f"This card could not be drawn: {type(error).__name__}: {error}"
        return DrawnCard(card.id, card.title, card.shows, "broken", Markup.escape(text))
    return DrawnCard(card.id, card.title, card.shows, "drawn", Markup(body))
