"""A config on several divisions of the clips: what is the same in all of them, and what the whole comes to."""

import statistics
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import load_data
from hearai.data.annotations.split import other_fold, split_clips
from hearai.errors import DataError
from hearai.training.fit import fit
from hearai.training.outputs.layout import backbone_file, run_folders
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.cross_validation import fit_splits, fold_config


def clips_of(signers: list[int]) -> list[Clip]:
    """One clip for each entry, by that signer."""
    return [
        Clip(f"c{i:03d}", Path("data"), 0, 7, {"gloss": i % 3}, signer=f"s{signer}") for i, signer in enumerate(signers)
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=24, max_size=60), st.integers(1, 3))
def test_every_fold_has_the_same_test_clips_all_clips_once_and_no_signer_twice(signers: list[int], fold: int) -> None:
    clips = clips_of([*range(12), *signers])
    first = split_clips(clips, seed=3)
    other = other_fold(first, fold, seed=3)
    assert other.test == first.test
    parts = [*other.train, *other.val, *other.test]
    assert sorted(clip.key for clip in parts) == sorted(clip.key for clip in clips)
    by_part = [{clip.signer for clip in part} for part in (other.train, other.val, other.test)]
    assert not (by_part[0] & by_part[1] or by_part[0] & by_part[2] or by_part[1] & by_part[2])
    assert other == other_fold(first, fold, seed=3) and other.val


def test_fold_0_is_the_split_and_the_others_validate_on_other_clips() -> None:
    clips = clips_of([i % 20 for i in range(200)])
    first = split_clips(clips, seed=0)
    assert other_fold(first, 0) is not None and other_fold(first, 0) == first
    folds = [{clip.key for clip in other_fold(first, fold).val} for fold in range(4)]
    assert all(not (folds[i] & folds[j]) for i in range(4) for j in range(i)), "there are signers enough for that"
    assert all(20 < len(fold) < 50 for fold in folds)


def test_one_signer_left_cannot_be_divided() -> None:
    split = split_clips(clips_of([i % 3 for i in range(30)]), seed=0)
    one = type(split)(tuple(c for c in split.train if c.signer == split.train[0].signer), (), split.test)
    with pytest.raises(DataError, match="cannot be split into train, val"):
        other_fold(one, 1)


def single(config, folder: Path):
    return fit(config, LocalRuntime("cpu", folder))


def test_the_whole_is_the_mean_of_single_runs_and_counts_epochs_over_all(tiny_config, tmp_path: Path) -> None:
    reports = []

    class Told(LocalRuntime):
        def report(self, metrics, checkpoint):
            reports.append(self.whole(metrics))

    def run(config, folder, whole):
        runtime = Told("cpu", folder)
        runtime.whole = whole
        return fit(config, runtime)

    result = fit_splits(tiny_config, tmp_path / "trial", 2, run)
    alone = [single(fold_config(tiny_config, fold), tmp_path / f"alone{fold}") for fold in range(2)]
    assert result.best == statistics.fmean(run.best for run in alone) and result.epochs == 4
    assert [report["epoch"] for report in reports] == [1, 2, 3, 4] and {report["epochs"] for report in reports} == {4}
    assert reports[1]["objective"] == alone[0].best and reports[3]["objective"] == result.best
    assert [path.name for path in sorted((tmp_path / "trial").iterdir())] == ["split0", "split1"]


def test_one_split_is_a_run_as_ever(tiny_config, tmp_path: Path) -> None:
    def run(config, folder, whole):
        assert whole({"epoch": 1}) == {"epoch": 1} and config == tiny_config
        return single(config, folder)

    assert fit_splits(tiny_config, tmp_path / "trial", 1, run).best == single(tiny_config, tmp_path / "alone").best
    assert (tmp_path / "trial" / "best").is_dir() and run_folders(tmp_path, 1) == [tmp_path]


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_trial_killed_in_any_split_goes_on_and_ends_as_if_it_had_not_been(
    tiny_config, tmp_path: Path, stop_after: int
) -> None:
    seen: list[int] = []

    class Killed(Exception):
        pass

    class Told(LocalRuntime):
        def report(self, metrics, checkpoint):
            seen.append(int(self.whole(metrics)["epoch"]))
            if self.stop and seen[-1] == self.stop:
                raise Killed

    def run(stop):
        def one(config, folder, whole):
            runtime = Told("cpu", folder, resume=True)
            runtime.whole, runtime.stop = whole, stop
            return fit(config, runtime)

        return one

    whole = fit_splits(tiny_config, tmp_path / "whole", 2, run(0))
    with pytest.raises(Killed):
        fit_splits(tiny_config, tmp_path / "killed", 2, run(stop_after))
    seen.clear()
    resumed = fit_splits(tiny_config, tmp_path / "killed", 2, run(0))
    assert (resumed.best, resumed.best_epoch, resumed.epochs) == (whole.best, whole.best_epoch, whole.epochs)
    assert sorted(set(seen)) == list(range(min(2, stop_after), 5)), "no epoch is trained twice: ends are told again"


def test_a_fold_uses_the_backbone_that_was_trained_for_it(make_config, tiny_dataset: Path, tmp_path: Path) -> None:
    for fold in range(2):
        (tmp_path / backbone_file(fold)).write_bytes(b"")
    config = make_config(tiny_dataset, {"feature_extractor.checkpoint": str(tmp_path / "backbone.pt")})
    assert fold_config(config, 0).feature_extractor.checkpoint == str(tmp_path / "backbone.pt")
    assert fold_config(config, 1).feature_extractor.checkpoint == str(tmp_path / "backbone-split1.pt")
    assert fold_config(config, 2).feature_extractor.checkpoint == str(tmp_path / "backbone.pt")
    assert load_data(fold_config(config, 1)).split.test == load_data(config).split.test
