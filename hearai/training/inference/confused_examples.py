"""The confusions of a config's runs on the test clips, and example clips of the pairs that are confused most.

N clips.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.metadata import class_name
from hearai.errors import DataError
from hearai.training.inference.assess import ScoredSplit
from hearai.training.inference.confusion_record import (
    ConfusedPair,
    ConfusionRecord,
    Example,
    ExamplesRecord,
    HeadConfusion,
    worst_pairs,
)
from hearai.training.inference.thumbnails import clip_thumbnails
from hearai.training.outputs.confusion import Confusion


def confusions_of(runs: Sequence[ScoredSplit], trial: int, seeds: Sequence[int]) -> ConfusionRecord:
    """The sum over runs of one config on the same clips."""
    heads = {head: _sum(runs, head) for head in runs[0].evaluation.confusions}
    return ConfusionRecord(trial=trial, seeds=list(seeds), runs=len(runs), clips=len(runs[0].clips), heads=heads)


def _sum(runs: Sequence[ScoredSplit], head: str) -> HeadConfusion:
    confusions = [run.evaluation.confusions[head] for run in runs]
    cells, counts = (
        torch.cat(parts) for parts in zip(*((one.cells_P, one.counts_P) for one in confusions), strict=True)
    )
    total = Confusion.of_counts(cells, counts, confusions[0].num_class)
    columns = (total.true_P, total.predicted_P, total.counts_P)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    names = runs[0].data.class_names
    labels = sorted({label for true, predicted, _ in rows for label in (true, predicted)})
    known = {label: name for label in labels if (name := class_name(names, head, label)) != str(label)}
    return HeadConfusion(classes=total.num_class, names=known, counts=rows)


def examples_of(runs: Sequence[ScoredSplit], record: ConfusionRecord) -> ExamplesRecord:
    """For each of the worst pairs a clip that most runs misclassify so, and one of the class that it is taken for.

    The other one is a test clip that most runs classify correctly, or else a training clip. Clips whose files cannot be
    read are left out; the note says so.
    """
    config, found, problems = runs[0].config, [], []
    for pair in worst_pairs(record.heads):
        try:
            found.append(_example(runs, pair))
        except DataError as error:
            problems.append(error.problems[0])
    note = f"frames of {len(problems)} pairs cannot be read, the first one: {problems[0]}" if problems else ""
    return ExamplesRecord(
        trial=record.trial,
        seeds=record.seeds,
        are_landmarks=not config.train_parameters.frames,
        examples=found,
        note=note,
    )


def _example(runs: Sequence[ScoredSplit], pair: ConfusedPair) -> Example:
    first, config = runs[0], runs[0].config
    labels_N = torch.tensor([clip.labels[pair.head] for clip in first.clips])
    predicted_RN = torch.stack([run.evaluation.predictions[pair.head] for run in runs])
    votes_N = (predicted_RN == pair.predicted).sum(0)
    clip = first.clips[_first_largest(votes_N * (labels_N == pair.true))]
    other = _clip_of_class(first, pair, votes_N * (labels_N == pair.predicted))
    return Example(
        head=pair.head,
        true=pair.true,
        predicted=pair.predicted,
        clip=clip.key,
        frames=clip_thumbnails(clip, config),
        other=other.key if other else None,
        other_frames=clip_thumbnails(other, config) if other else [],
    )


def _clip_of_class(run: ScoredSplit, pair: ConfusedPair, votes_N: Tensor) -> Clip | None:
    """votes_N: how many runs classify a clip of the class correctly; 0 for other clips."""
    if int(votes_N.max()) > 0:
        return run.clips[_first_largest(votes_N)]
    return next((clip for clip in run.data.split.train if clip.labels[pair.head] == pair.predicted), None)


def _first_largest(values_N: Tensor) -> int:
    return int(values_N.argmax())
