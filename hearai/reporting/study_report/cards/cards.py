"""The cards of the page by name, in the order of the page."""

from hearai.reporting.study_report.cards import (
    course,
    early_stopping,
    finalists,
    parameters,
    pareto,
    setup,
    test_scores,
    trials,
)
from hearai.reporting.study_report.cards.card import Card

CARDS: dict[str, Card] = {
    card.id: card
    for card in (
        test_scores.CARD,
        finalists.CARD,
        pareto.CARD,
        parameters.PARAMETERS,
        parameters.IMPORTANCE,
        parameters.SLICES,
        parameters.PARALLEL,
        course.HISTORY,
        course.LEARNING_CURVES,
        early_stopping.CARD,
        trials.FAILED,
        trials.ALL,
        setup.CARD,
    )
}
