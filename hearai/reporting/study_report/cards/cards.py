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
from hearai.reporting.study_report.cards.evidence import confusions, continuing, cost, data, health

CARDS: dict[str, Card] = {
    card.id: card
    for card in (
        health.CARD,
        test_scores.CARD,
        confusions.CARD,
        finalists.CARD,
        pareto.CARD,
        parameters.PARAMETERS,
        continuing.CARD,
        parameters.IMPORTANCE,
        parameters.SLICES,
        parameters.PARALLEL,
        course.HISTORY,
        course.LEARNING_CURVES,
        early_stopping.CARD,
        trials.FAILED,
        trials.ALL,
        data.CARD,
        cost.CARD,
        setup.CARD,
    )
}
