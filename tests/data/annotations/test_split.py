"""Train, validation and test: disjoint, of the right size, reproducible."""

import csv
import logging
import random
from collections import Counter
from pathlib import Path

import pytest

from hearai.config.validation import FrozenDict
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
