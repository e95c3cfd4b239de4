"""Health checks of how a search ran and of its data: trials, slots, classes and signers."""

from hearai.data.annotations.split import PART_NAMES
from hearai.reporting.study_report.findings.cost import cost_of
from hearai.reporting.study_report.findings.finding import Finding, passed, unknown
from hearai.reporting.study_report.findings.importance import MIN_COMPLETE
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary

FEW, VERY_FEW = MIN_COMPLETE, 3
"""Complete trials below which the result is weak, and below which there was hardly a search."""
SOME_FAILED, MANY_FAILED = 0.05, 0.25
SOME_DIVERGED, MANY_DIVERGED = 0.25, 0.5
"""Shares of the trials."""
BUSY, HARDLY_BUSY = 0.8, 0.5
"""Shares of the slots' time with a trial, below which slots are idle."""
MOSTLY_TRAINING = 0.5
"""Share of the slots' time, below which trials hardly train."""
MANY_UNTRAINED = 0.2
"""Share of the test clips, as `split.MOST_UNTRAINED` has it for classes."""
NEEDS_FACTS = "needs data.json, which the same search command writes"


def boundary(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether the best values lie at an end of their range."""
    if len(record.complete) < MIN_COMPLETE:
        return unknown(f"needs {MIN_COMPLETE} complete trials, has {len(record.complete)}")
    if not summary.warnings:
        return passed("no range ends where the best values begin")
    names = ", ".join(warning.partition(":")[0] for warning in summary.warnings)
    meaning = "Better values may lie beyond the end."
    return Finding("WARNING", names, meaning, "widen the range; the commands are in the card How to continue")


def complete_trials(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether enough trials are complete; stopped ones were compared, too."""
    trials = summary.trials
    if not trials.total:
        return unknown("needs a trial")
    compared = trials.complete + trials.pruned + trials.paused
    figure = f"{trials.complete} complete of {trials.total}"
    if compared >= FEW and trials.complete:
        return passed(figure)
    if not summary.finished and summary.ended_by is None:
        return unknown(f"needs {FEW} trials, and has {compared} until now")
    meaning = "Of few trials the best one is hardly better than a random config."
    is_hardly_any = compared < VERY_FEW or not trials.complete
    return Finding("FAIL" if is_hardly_any else "WARNING", figure, meaning, "the same command with more --trials")


def failed_trials(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether many trials failed."""
    failed = summary.trials.failed
    meaning = "A part of the space was not searched, if failures depend on the parameters."
    action = "read the reasons in the card of failed trials, and correct the cause or restrict the space"
    return _share(summary, failed, "failed", (SOME_FAILED, MANY_FAILED), meaning, action)


def diverged_trials(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether many trials diverged."""
    meaning = "Trials whose loss became infinite are wasted."
    action = "lower the upper end of the learning rate's range"
    return _share(summary, summary.diverged, "diverged", (SOME_DIVERGED, MANY_DIVERGED), meaning, action)


def _share(
    summary: StudySummary, count: int, what: str, limits: tuple[float, float], meaning: str, action: str
) -> Finding:
    """limits: shares of the trials, above which the check warns and fails."""
    total = summary.trials.total
    if not total:
        return unknown("needs a trial")
    figure = f"{count} of {total} {what}" + (f" ({count / total:.0%})" if count else "")
    if count / total <= limits[0]:
        return passed(figure)
    return Finding("FAIL" if count / total > limits[1] else "WARNING", figure, meaning, action)


def busy_slots(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether slots waited for work while others trained."""
    cost = cost_of(record)
    if cost is None:
        return unknown("needs the time of a trial")
    if cost.busy is None:
        return unknown(f"{cost.training:.0%} of the slots' time is training; trials paused or were interrupted")
    figure = f"{cost.busy:.0%} of the slots' time has a trial, {cost.training:.0%} is training"
    if cost.busy >= BUSY and cost.training < MOSTLY_TRAINING:
        meaning = "Starting trials, reading data and saving takes longer than training."
        return Finding("WARNING", figure, meaning, "longer trials (--max-epochs), or none: it costs time, not quality")
    if cost.busy >= BUSY:
        return passed(figure)
    meaning = "Slots waited: for the last trials of a stage, or because there are few trials for many slots."
    action = "fewer slots (--max-concurrent), or more trials; see the cost card"
    return Finding("FAIL" if cost.busy < HARDLY_BUSY else "WARNING", figure, meaning, action)


def unmatched_labels(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether test clips have classes that no training clip has."""
    if record.facts is None:
        return unknown(NEEDS_FACTS)
    heads = {head: one for head, one in record.facts.heads.items() if one.labelled("test")}
    if not heads:
        return unknown("needs labelled test clips")
    shares = {head: one.untrained("test")[1] / one.labelled("test") for head, one in heads.items()}
    worst = max(shares, key=shares.__getitem__)
    share, clips = shares[worst], heads[worst].untrained("test")[1]
    if not clips:
        return passed("each class of the test clips has training clips")
    figure = f"{clips} of {heads[worst].labelled('test')} test clips ({share:.0%})"
    figure += f" of {worst}" if len(heads) > 1 else ""
    meaning = "Their class has no training clip: no model can predict it."
    action = "more clips of these classes, or another split (general_parameters.split)"
    return Finding("FAIL" if share > MANY_UNTRAINED else "WARNING", figure, meaning, action)


def separate_signers(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether the same signers are in several parts of the split."""
    if record.facts is None:
        return unknown(NEEDS_FACTS)
    shared, unknown_ = record.facts.shared_signers, sum(p.unknown_signer for p in record.facts.parts.values())
    if unknown_:
        return unknown(f"needs the signers of all clips (signers.csv); unknown for {unknown_}")
    if not shared:
        return passed("no signer is in two parts of the split")
    meaning = "The test score is that of signers whom the model has seen; on new signers it is lower."
    action = "general_parameters.split: signer, where the classes allow it"
    return Finding("WARNING", f"{shared} signers are in several parts of the split", meaning, action)


def clips_seen_before(record: StudyRecord, summary: StudySummary) -> Finding:
    """Whether the weights with which all trials start were trained on validation or test clips."""
    if record.facts is None:
        return unknown(NEEDS_FACTS)
    if record.facts.seen is None:
        has_others = record.study.base.feature_extractor.weights_sha256 is not None
        return unknown("needs the clips on which the weights were trained") if has_others else passed("no such weights")
    counts = {part: count for part, count in record.facts.seen.items() if count}
    if not counts:
        return passed("the weights were trained on none of the validation and test clips")
    of_all = (
        {part: f" of {record.facts.parts[part].clips}" for part in counts} if record.study.settings.splits == 1 else {}
    )
    shown = [f"{count}{of_all.get(part, '')} {PART_NAMES[part]} clips" for part, count in counts.items()]
    meaning = "The weights with which all trials start were trained on them: scores on them are too high."
    action = "a splits.csv in the dataset, by which both are split, and train these weights again"
    return Finding("FAIL" if "test" in counts else "WARNING", " and ".join(shown), meaning, action)
