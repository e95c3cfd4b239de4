"""The facts of a dataset that a study folder keeps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hearai.config.config import Config
from hearai.data.annotations.load import load_data
from hearai.data.annotations.split import Split
from hearai.data.tools.dataset_facts import DatasetFacts, dataset_facts, write_dataset_facts
from hearai.sign.hamnosys import MISSING


def facts_of(config: Config, train: slice, val: slice, test: slice) -> DatasetFacts:
    """Of the clips c0, c1, ... in the given parts."""
    data = load_data(config)
    clips = sorted(data.clips, key=lambda clip: int(clip.name[1:]))
    split = Split(tuple(clips[train]), tuple(clips[val]), tuple(clips[test]))
    return dataset_facts(replace(data, split=split), config)


def test_clips_signers_and_lengths_are_counted(tiny_config: Config) -> None:
    facts = facts_of(tiny_config, slice(0, 6), slice(6, 8), slice(8, 12))
    assert facts.clips == 12 and facts.datasets == {"data": 12} and facts.frames == (5, 6, 6)
    assert {part: (one.clips, one.signers) for part, one in facts.parts.items()} == {
        "train": (6, 4),
        "val": (2, 2),
        "test": (4, 4),
    }
    assert facts.shared_signers == 4  # c0 to c5 have all four signers


def test_clips_without_a_known_signer_are_counted(make_dataset: Callable, make_config: Callable) -> None:
    facts = facts_of(make_config(make_dataset(signers=0)), slice(0, 6), slice(6, 8), slice(8, 12))
    assert facts.parts["train"].unknown_signer == 6 and facts.parts["train"].signers == 0 and not facts.shared_signers


def test_classes_without_training_clips_are_found(tiny_config: Config) -> None:
    facts = facts_of(tiny_config, slice(0, 2), slice(2, 3), slice(3, 12))  # training has the glosses 0 and 1 only
    head = facts.heads["gloss"]
    assert head.classes == 3 and head.counts["train"] == {0: 1, 1: 1} and head.labelled("test") == 9
    assert head.untrained("val") == (1, 1) and head.untrained("test") == (1, 3)


def test_missing_labels_are_not_counted(tiny_config: Config) -> None:
    data = load_data(tiny_config)
    clips = tuple(replace(clip, labels={"gloss": MISSING}) for clip in data.clips)
    facts = dataset_facts(replace(data, split=Split(clips, (), ())), tiny_config)
    assert facts.heads["gloss"].labelled("train") == 0


def test_the_masked_share_of_short_clips(tiny_dataset: Path, make_config: Callable) -> None:
    config = make_config(tiny_dataset, {"train_parameters.num_segments": 6})
    padding = facts_of(config, slice(0, 6), slice(6, 8), slice(8, 12)).padding
    assert padding.padded == 6 and abs(padding.missing_share - 0.5 / 6) < 1e-9  # half of the clips have 5 frames
    assert facts_of(make_config(tiny_dataset), slice(0, 6), slice(6, 8), slice(8, 12)).padding.padded == 0


def test_the_file_is_read_back_equal(tiny_config: Config, tmp_path: Path) -> None:
    facts = facts_of(tiny_config, slice(0, 6), slice(6, 8), slice(8, 12))
    write_dataset_facts(facts, tmp_path / "data.json")
    assert DatasetFacts.model_validate_json((tmp_path / "data.json").read_text()) == facts
