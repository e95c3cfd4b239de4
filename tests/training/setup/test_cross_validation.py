"""A config on several folds: what is the same in all of them, and how the runs combine into one result."""

import functools
import statistics
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import load_data
from hearai.data.annotations.split import make_fold, split_clips
from hearai.errors import DataError
from hearai.training.fit import fit
from hearai.training.outputs.layout import backbone_file, run_folders
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.cross_validation import FoldProgress, fit_folds, fold_config, fold_configs

pytestmark = pytest.mark.training


def clips_of(signers: list[int]) -> list[Clip]:
    """One clip for each entry, by that signer."""
    return [
        Clip(f"c{i:03d}", Path("data"), 0, 7, {"gloss": i % 3}, signer=f"s{signer}") for i, signer in enumerate(signers)
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=24, max_size=60), st.integers(1, 3))
def test_folds_share_test_clips_and_divide_signers(signers: list[int], fold: int) -> None:
    clips = clips_of([*range(12), *signers])
    first = split_clips(clips, seed=3)
    other = make_fold(first, fold, seed=3)
    assert other.test == first.test
    parts = [*other.train, *other.val, *other.test]
    assert sorted(clip.key for clip in parts) == sorted(clip.key for clip in clips)
    by_part = [{clip.signer for clip in part} for part in (other.train, other.val, other.test)]
    assert not (by_part[0] & by_part[1] or by_part[0] & by_part[2] or by_part[1] & by_part[2])
    assert other == make_fold(first, fold, seed=3) and other.val


def test_fold_0_is_the_split_and_others_validate_on_other_clips() -> None:
    clips = clips_of([i % 20 for i in range(200)])
    first = split_clips(clips, seed=0)
    assert make_fold(first, 0) is not None and make_fold(first, 0) == first
    folds = [{clip.key for clip in make_fold(first, fold).val} for fold in range(4)]
    assert all(not (folds[i] & folds[j]) for i in range(4) for j in range(i)), "there are enough signers for that"
    assert all(20 < len(fold) < 50 for fold in folds)


def test_a_single_signer_cannot_be_divided() -> None:
    split = split_clips(clips_of([i % 3 for i in range(30)]), mode="signer", seed=0)
    one = type(split)(tuple(c for c in split.train if c.signer == split.train[0].signer), (), split.test)
    with pytest.raises(DataError, match="cannot be split into train, val"):
        make_fold(one, 1)


def fit_alone(config, folder: Path):
    return fit(config, LocalRuntime("cpu", folder))


class Interrupted(Exception):
    pass


class MergingRuntime(LocalRuntime):
    """Collects the reports of a trial; raises after its epoch `stop_after`, if that is given."""

    def __init__(self, folder, progress, *, reports, stop_after=0):
        super().__init__("cpu", folder, resume=True)
        self._progress, self._reports, self._stop_after = progress, reports, stop_after

    def report_missing(self, history):
        self._reports += self._progress.missing(history)

    def report(self, metrics, checkpoint):
        self._reports.append(self._progress.merge(metrics))
        if self._reports[-1]["epoch"] == self._stop_after:
            raise Interrupted


def test_the_result_is_the_mean_of_single_runs(tiny_config, tmp_path: Path) -> None:
    reports: list[dict[str, float]] = []
    result = fit_folds(tiny_config, tmp_path / "trial", 2, functools.partial(MergingRuntime, reports=reports))
    alone = [fit_alone(fold_config(tiny_config, fold), tmp_path / f"alone{fold}") for fold in range(2)]
    assert result.best == statistics.fmean(run.best for run in alone) and result.epochs == 4
    assert [report["epoch"] for report in reports] == [1, 2, 3, 4] and {report["epochs"] for report in reports} == {4}
    assert reports[1]["objective"] == alone[0].best and reports[3]["objective"] == result.best
    assert [path.name for path in sorted((tmp_path / "trial").iterdir())] == ["split0", "split1"]


def test_with_one_fold_a_trial_is_a_plain_run(tiny_config, tmp_path: Path) -> None:
    assert fold_configs(tiny_config, 1) == [tiny_config] and FoldProgress(1).merge({"epoch": 1}) == {"epoch": 1}
    reports: list[dict[str, float]] = []
    result = fit_folds(tiny_config, tmp_path / "trial", 1, functools.partial(MergingRuntime, reports=reports))
    assert result.best == fit_alone(tiny_config, tmp_path / "alone").best
    assert (tmp_path / "trial" / "best").is_dir() and run_folders(tmp_path, 1) == [tmp_path]


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_trial_killed_in_any_fold_resumes_with_equal_results(tiny_config, tmp_path: Path, stop_after: int) -> None:
    reports: list[dict[str, float]] = []
    runtime = functools.partial(MergingRuntime, reports=reports)
    uninterrupted = fit_folds(tiny_config, tmp_path / "uninterrupted", 2, runtime)
    with pytest.raises(Interrupted):
        fit_folds(tiny_config, tmp_path / "killed", 2, functools.partial(runtime, stop_after=stop_after))
    reports.clear()
    resumed = fit_folds(tiny_config, tmp_path / "killed", 2, runtime, reported=stop_after)
    assert (resumed.best, resumed.best_epoch) == (uninterrupted.best, uninterrupted.best_epoch)
    assert resumed.epochs == uninterrupted.epochs
    seen = {int(report["epoch"]) for report in reports}
    assert sorted(seen) == list(range(min(2, stop_after), 5)), (
        "no epoch is trained twice; a fold's last is reported again"
    )


def test_reports_that_did_not_arrive_are_repeated(tiny_config, tmp_path: Path) -> None:
    reports: list[dict[str, float]] = []
    runtime = functools.partial(MergingRuntime, reports=reports)
    with pytest.raises(Interrupted):
        fit_folds(tiny_config, tmp_path, 2, functools.partial(runtime, stop_after=4))
    sent = list(reports)
    for arrived, repeated in {0: [1, 2, 3, 4], 1: [2, 3, 4], 2: [2, 3, 4], 3: [2, 4], 4: [2, 4]}.items():
        reports.clear()
        fit_folds(tiny_config, tmp_path, 2, runtime, reported=arrived)
        assert [report["epoch"] for report in reports] == repeated, "and each fold's last one"
        assert all(report in sent for report in reports)


def test_a_fold_uses_the_backbone_trained_for_it(make_config, tiny_dataset: Path, tmp_path: Path) -> None:
    for fold in range(2):
        (tmp_path / backbone_file(fold)).write_bytes(b"")
    config = make_config(tiny_dataset, {"feature_extractor.checkpoint": str(tmp_path / "backbone.pt")})
    assert fold_config(config, 0).feature_extractor.checkpoint == str(tmp_path / "backbone.pt")
    assert fold_config(config, 1).feature_extractor.checkpoint == str(tmp_path / "backbone-split1.pt")
    assert fold_config(config, 2).feature_extractor.checkpoint == str(tmp_path / "backbone.pt")
    assert load_data(fold_config(config, 1)).split.test == load_data(config).split.test
