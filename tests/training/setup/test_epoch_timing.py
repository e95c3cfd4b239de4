"""The epochs that are timed are those of the run that was asked for."""

import pytest

from hearai.config.config import load_config
from hearai.training.setup.epoch_timing import time_epochs

pytestmark = pytest.mark.training


@pytest.mark.parametrize(("frozen", "cache"), [(True, "features"), (False, "frames")])
def test_each_epoch_but_the_first_is_timed(tiny_config, tmp_path, frozen, cache):
    times = time_epochs(tiny_config, tmp_path / "run", frozen=frozen, epochs=3)
    assert len(times) == 3 and all(time.seconds > 0 and time.cpu_seconds > 0 for time in times)
    assert load_config(tmp_path / "run" / "config.yaml").train_parameters.epochs == 4
    assert [path.name.split("-")[0] for path in (tmp_path / "cache").glob("[a-z]*-*")] == [cache]
