"""Train, validation and test: disjoint, of the right size, reproducible."""

import csv
import logging
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.config.field_types import FrozenDict
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.rows import read_annotations
from hearai.data.annotations.split import Split, make_fold, split_clips, unseen_classes, write_split
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING


def clip(name: str, gloss: int, signer: str | None = None) -> Clip:
    return Clip(name, Path("data"), 0, 7, FrozenDict(gloss=gloss), signer)


def make_clips(number: int, *, signers: int = 0, classes: int = 5) -> list[Clip]:
    return [clip(f"c{i}", i % classes, f"s{i % signers}" if signers else None) for i in range(number)]


def sizes(split: Split) -> tuple[int, int, int]:
    return len(split.train), len(split.val), len(split.test)


def names(split: Split) -> list[list[str]]:
    return [[clip.name for clip in part] for part in (split.train, split.val, split.test)]


@pytest.mark.parametrize("signers", [0, 3, 7, 20])
def test_every_clip_is_in_exactly_one_split(signers: int):
    clips = make_clips(100, signers=signers)
    split = split_clips(clips)
    assert Counter((*split.train, *split.val, *split.test)) == Counter(clips)


@pytest.mark.parametrize("seed", range(5))
def test_no_signer_is_in_two_splits(seed: int):
    split = split_clips(make_clips(100, signers=9), seed=seed)
    train, val, test = ({clip.signer for clip in part} for part in (split.train, split.val, split.test))
    assert not train & val | val & test | train & test
    assert train and val and test


@pytest.mark.parametrize("signers", [0, 20])
def test_sizes_follow_the_ratios(signers: int):
    train, val, test = sizes(split_clips(make_clips(200, signers=signers)))
    assert abs(test - 30) <= 5
    assert abs(val - 34) <= 6


@pytest.mark.parametrize("seed", range(5))
def test_signer_with_most_clips_is_in_train(seed: int):
    busy = [clip(f"x{i}", i % 5, "busy") for i in range(60)]
    split = split_clips([*make_clips(40, signers=8), *busy], seed=seed)
    assert set(busy) <= set(split.train)
    assert abs(len(split.test) - 15) <= 5 and abs(len(split.val) - 17) <= 7


def test_random_split_of_known_signers_is_allowed():
    split = split_clips(make_clips(100, signers=2), mode="random")
    assert sizes(split) == (68, 17, 15)


def test_split_depends_on_the_seed_and_not_on_the_order():
    clips = make_clips(60, signers=12)
    shuffled = random.Random(1).sample(clips, len(clips))
    assert split_clips(clips, seed=3) == split_clips(shuffled, seed=3)
    assert split_clips(clips, seed=3) != split_clips(clips, seed=4)


def test_split_is_reproducible():
    assert names(split_clips(make_clips(8), seed=0)) == [["c0", "c1", "c2", "c3", "c4", "c5"], ["c7"], ["c6"]]


def test_signers_with_unique_classes_are_in_train():
    shared = make_clips(90, signers=9, classes=5)
    lone = [clip(f"x{i}", 50 + i, "lone") for i in range(10)]
    for seed in range(5):
        split = split_clips([*shared, *lone], seed=seed)
        assert set(lone) <= set(split.train)
        assert unseen_classes(split) == {"gloss": (0, 5)}


def test_unseen_classes_do_not_count_missing_labels():
    train, val = make_clips(2, classes=2), make_clips(4, classes=4)
    val.append(clip("m", MISSING))
    assert unseen_classes(Split(tuple(train), tuple(val), ())) == {"gloss": (2, 4)}


def test_zero_test_ratio_yields_no_test_clips():
    split = split_clips(make_clips(10, signers=2), ratio_test=0)
    assert split.test == ()
    assert split.train and split.val


@pytest.mark.parametrize(("number", "signers", "what"), [(2, 0, "2 clips"), (30, 2, "2 signers")])
def test_too_few_clips_or_signers_is_an_error_with_a_remedy(number: int, signers: int, what: str):
    with pytest.raises(DataError, match=f"{what} cannot be split into train, val, test.*ratio_test: 0"):
        split_clips(make_clips(number, signers=signers))


def test_three_clips_are_split_evenly():
    assert sizes(split_clips(make_clips(3))) == (1, 1, 1)


def test_signer_split_needs_every_signer():
    clips = [*make_clips(10, signers=5), clip("x", 0)]
    with pytest.raises(DataError, match="signer of 1 clips is unknown .first: data/x"):
        split_clips(clips, mode="signer")


def test_auto_warns_if_it_cannot_separate_signers(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        split_clips([*make_clips(10, signers=5), clip("x", 0)])
    assert "signer of 1 of 11 clips is unknown" in caplog.text


def test_auto_splits_at_random_if_each_signer_shows_other_words(caplog: pytest.LogCaptureFixture):
    """Three signers, each with 20 words of their own, eight clips of each word."""
    clips = [clip(f"c{word}-{i}", word, signer=f"s{word // 20}") for word in range(60) for i in range(8)]
    with caplog.at_level(logging.WARNING):
        split = split_clips(clips)
    assert "40 of 40 evaluated classes are never trained (0 if clips are split at random)" in caplog.text
    trained = {each.labels["gloss"] for each in split.train}
    assert trained >= {each.labels["gloss"] for each in (*split.val, *split.test)}
    fold = make_fold(split, 1)
    assert fold.test == split.test and not set(fold.val) & set(split.val), "folds are split at random, too"
    by_signer = split_clips(clips, mode="signer")
    assert not {each.signer for each in by_signer.train} & {each.signer for each in by_signer.test}


def test_split_is_written_as_csv(tmp_path: Path):
    split = split_clips(make_clips(10, signers=5))
    write_split(split, tmp_path / "split.csv")
    rows = list(csv.DictReader((tmp_path / "split.csv").open()))
    assert Counter(row["split"] for row in rows) == {
        "train": len(split.train),
        "val": len(split.val),
        "test": len(split.test),
    }
    assert {row["name"]: row["signer"] for row in rows} == {clip.key: clip.signer for clip in make_clips(10, signers=5)}


def test_twenty_real_signers_are_separated(real_data: Path):
    clips = read_annotations(real_data / "sign_digits", "test_gloss.txt", {"gloss": 10})
    split = split_clips(clips, mode="signer")
    assert sizes(split) == (140, 30, 30)
    train, val, test = ({clip.signer for clip in part} for part in (split.train, split.val, split.test))
    assert (len(train), len(val), len(test)) == (14, 3, 3)
    assert len(train | val | test) == 20


def given(parts: dict[str, range], *, signers: int = 0, dataset: str = "") -> list[Clip]:
    """Clips with given splits: {split: numbers of the clips}."""
    all_clips = make_clips(max(max(numbers) for numbers in parts.values()) + 1, signers=signers)
    return [
        replace(all_clips[number], split=part, dataset=dataset) for part, numbers in parts.items() for number in numbers
    ]


def keys(clips: tuple[Clip, ...]) -> set[str]:
    return {clip.key for clip in clips}


@pytest.mark.parametrize("mode", ["auto", "given"])
@pytest.mark.parametrize("seed", [0, 1])
def test_given_splits_are_never_dealt_again(mode: str, seed: int):
    clips = given({"train": range(10), "val": range(10, 14), "test": range(14, 31)}, signers=2)
    split = split_clips(clips, mode=mode, seed=seed, ratio_test=0.5)
    assert [keys(part) for part in (split.train, split.val, split.test)] == [
        {clip.key for clip in clips if clip.split == part} for part in ("train", "val", "test")
    ]
    assert make_fold(split, 0, mode=mode) == split


def test_given_splits_are_ignored_in_other_modes():
    clips = given({"train": range(90), "test": range(90, 100)}, signers=10)
    assert sizes(split_clips(clips, mode="random")) == (68, 17, 15)


def test_missing_validation_part_is_taken_from_train_by_signer(caplog):
    clips = given({"train": range(80), "test": range(80, 100)}, signers=10)
    with caplog.at_level(logging.INFO):
        split = split_clips(clips, seed=1)
    assert sizes(split) == (64, 16, 20)
    assert not {clip.signer for clip in split.train} & {clip.signer for clip in split.val}
    assert {clip.split for clip in split.test} == {"test"}
    assert "data: no validation clips are given; 16 of 80 training clips are taken" in caplog.text


@pytest.mark.parametrize("signers", [0, 1])
def test_missing_validation_part_is_taken_by_clip_otherwise(signers: int):
    assert sizes(split_clips(given({"train": range(50), "test": range(50, 60)}, signers=signers))) == (40, 10, 10)


def test_given_splits_of_several_datasets_are_joined():
    first = given({"train": range(10), "val": range(10, 13), "test": range(13, 20)}, dataset="a")
    second = given({"train": range(20), "test": range(20, 22)}, signers=5, dataset="b")
    split = split_clips([*first, *second], mode="given")
    assert sizes(split) == (10 + 16, 3 + 4, 7 + 2)
    assert {clip.dataset for clip in split.val} == {"a", "b"}


def test_clips_without_given_splits_are_dealt_beside_the_others():
    first = given({"train": range(10), "val": range(10, 13), "test": range(13, 20)}, dataset="a")
    others = [replace(each, dataset="b") for each in make_clips(20)]
    split = split_clips([*first, *others])
    assert sizes(split) == (10 + 14, 3 + 3, 7 + 3)
    with pytest.raises(DataError, match="split: given, but 20 clips have none .first: b/c0.; give splits.csv"):
        split_clips([*first, *others], mode="given")


def test_given_splits_without_training_clips_are_refused():
    with pytest.raises(DataError, match=r"splits.csv: no clip is in train"):
        split_clips(given({"val": range(3), "test": range(3, 9)}))


@pytest.mark.parametrize("fold", [1, 2])
def test_folds_of_given_splits_keep_the_test_clips(fold: int):
    clips = given({"train": range(70), "val": range(70, 84), "test": range(84, 100)})
    split = split_clips(clips, mode="given")
    other = make_fold(split, fold, mode="given")
    assert other.test == split.test and len(other.val) == len(split.val)
    assert keys(other.train) | keys(other.val) == keys(split.train) | keys(split.val)
    assert not keys(other.val) & keys(split.val)
