"""Whether the scores of studies measure the same: same dataset, same split, same objective."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from hearai.config.config import dataset_folders
from hearai.data.annotations.fingerprint import FINGERPRINT_KINDS, is_same_dataset
from hearai.data.annotations.load import dataset_names
from hearai.data.annotations.split import PARTS
from hearai.reporting.comparison.compared import ComparedStudy

SPLIT_OPTIONS = ("split", "split_seed", "ratio_test", "ratio_train_test")
"""Options of `general_parameters` that make the split."""


def obstacles(studies: Sequence[ComparedStudy]) -> list[str]:
    """Why the studies cannot be ranked, one line per reason; empty if their scores measure the same."""
    unknown = [study.label for study in studies if not any(study.record.data.get(kind) for kind in FINGERPRINT_KINDS)]
    lines = [f"dataset: unknown for {', '.join(unknown)}, which recorded no fingerprint"] if unknown else []
    known = [study for study in studies if study.label not in unknown]
    lines += _differing("dataset", _datasets(known))
    lines += _differing("split", _splits(studies))
    lines += _differing("objective", _by_key(studies, _objective_key, _describe_objective))
    lines += _differing("folds", _by_key(studies, lambda study: study.summary.splits, _describe_folds))
    return lines


def _differing(what: str, groups: Sequence[tuple[str, list[str]]]) -> list[str]:
    """groups: (description, labels of the studies that share it)."""
    if len(groups) < 2:
        return []
    return [f"{what}: " + "; ".join(f"{', '.join(labels)}: {text}" for text, labels in groups)]


def _by_key(
    studies: Sequence[ComparedStudy],
    key: Callable[[ComparedStudy], Hashable],
    describe: Callable[[ComparedStudy], str],
) -> list[tuple[str, list[str]]]:
    groups: dict[Hashable, tuple[str, list[str]]] = {}
    for study in studies:
        groups.setdefault(key(study), (describe(study), []))[1].append(study.label)
    return list(groups.values())


def _datasets(studies: Sequence[ComparedStudy]) -> list[tuple[str, list[str]]]:
    groups: list[tuple[ComparedStudy, list[str]]] = []
    for study in studies:
        same = [labels for first, labels in groups if is_same_dataset(first.record.data, study.record.data)]
        if same:
            same[0].append(study.label)
        else:
            groups.append((study, [study.label]))
    return [(_describe_dataset(first), labels) for first, labels in groups]


def _describe_dataset(study: ComparedStudy) -> str:
    data = study.record.data
    return f"fingerprint {next(data[kind] for kind in FINGERPRINT_KINDS if data.get(kind))}, {_clips(study)}"


def _clips(study: ComparedStudy) -> str:
    sizes = _sizes(study)
    return (
        ", ".join(f"{'?' if size is None else size} {part}" for part, size in zip(PARTS, sizes, strict=True)) + " clips"
    )


def _sizes(study: ComparedStudy) -> tuple[Any, ...]:
    """Clips of each part."""
    if study.split is None:
        return tuple(study.record.data.get(part) for part in PARTS)
    return tuple(list(study.split.values()).count(part) for part in PARTS)


def _splits(studies: Sequence[ComparedStudy]) -> list[tuple[str, list[str]]]:
    """By the parts of all clips; by what made them, if a study has no split.csv."""
    if any(study.split is None for study in studies):
        return _by_key(studies, _split_options, _describe_split)
    groups: list[tuple[ComparedStudy, str, list[str]]] = []
    for study in studies:
        same = [labels for first, _, labels in groups if _have_same_split(first, study)]
        if same:
            same[0].append(study.label)
            continue
        text = _describe_split(study)
        if groups:
            text += _moved(groups[0][0].split or {}, study.split or {}, groups[0][2][0])
        groups.append((study, text, [study.label]))
    return [(text, labels) for _, text, labels in groups]


def _have_same_split(one: ComparedStudy, other: ComparedStudy) -> bool:
    """Whether each clip is in the same part, also of a copy of the dataset in folders of other names."""
    is_copy = is_same_dataset(one.record.data, other.record.data)
    return one.split == other.split or (is_copy and _parts_in_any_folder(one) == _parts_in_any_folder(other))


def _parts_in_any_folder(study: ComparedStudy) -> dict[str, str]:
    """{clip: part} of its split.csv, with a number for each dataset folder: those of a copy may have other names."""
    names = sorted(dataset_names(dataset_folders(study.record.study.base)).values(), key=lambda name: f"{name}/")
    parts = {}
    for clip, part in (study.split or {}).items():
        folders = [(len(name), number) for number, name in enumerate(names) if clip.startswith(f"{name}/")]
        length, number = max(folders, default=(-1, ""))
        parts[f"{number}/{clip[length + 1 :]}"] = part
    return parts


def _moved(first: Mapping[str, str], parts: Mapping[str, str], name: str) -> str:
    """How the parts of the clips differ from those of another study, which has this name."""
    common = [clip for clip in parts if clip in first]
    moved = sum(first[clip] != parts[clip] for clip in common)
    other = len({*first, *parts}) - len(common)
    texts = [f"{moved} are in another part than in {name}"] if moved else []
    texts += [f"{other} are in one of the two only"] if other else []
    return f" ({'; '.join(texts)})"


def _split_options(study: ComparedStudy) -> tuple[Any, ...]:
    general = study.record.study.base.general_parameters
    return (*_sizes(study), *(getattr(general, option) for option in SPLIT_OPTIONS))


def _describe_split(study: ComparedStudy) -> str:
    return f"{_clips(study)}, split_seed {study.record.study.base.general_parameters.split_seed}"


def _objective_key(study: ComparedStudy) -> Hashable:
    """Score and heads: without named heads it is the mean over all that are trained."""
    objective, base = study.summary.objective, study.record.study.base
    return objective.score, frozenset(objective.heads or base.active_heads)


def _describe_objective(study: ComparedStudy) -> str:
    objective, base = study.summary.objective, study.record.study.base
    return f"{objective.name} of {', '.join(objective.heads or base.active_heads)}"


def _describe_folds(study: ComparedStudy) -> str:
    folds = study.summary.splits
    return (
        f"each trial is scored on {folds} folds" if folds > 1 else "each trial is scored on one set of validation clips"
    )
