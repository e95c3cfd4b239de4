"""Runs and searches in this process, as `train.py` and `tune.py` do them."""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hearai.api.arguments import Paths, begin, data_paths, mapping, one_path, plain, whole_number
from hearai.api.caller_state import only_call
from hearai.api.saved_study import SavedStudy
from hearai.config.config import Config, build_config, load_config
from hearai.config.overrides import override
from hearai.config.study import Request
from hearai.config.study import load_study as build_study
from hearai.errors import ConfigError
from hearai.files import require_writable_folder
from hearai.threads import interrupts_held
from hearai.training.outputs.layout import BEST

if TYPE_CHECKING:
    from hearai.training.fit import FitResult

log = logging.getLogger(__name__)


def fit(
    config: Config | Mapping[str, Any] | str | Path,
    folder: str | Path,
    *,
    data: Paths = None,
    values: Mapping[str, Any] | None = None,
    resume: bool = False,
    code: str | Path | None = None,
) -> "FitResult":
    """Trains one config in this process, as `train.py` does.

    Args:
        config: a config, its sections as a mapping, or its YAML file.
        folder: of the run: config.yaml, metrics.jsonl, checkpoints.
        data: dataset folders, in place of the config's.
        values: {dotted path: value}, over the config; a section's path may have a mapping.
        resume: continue the run that the folder holds, after its last saved epoch.
        code: folder with parts of your own, which the config names as `module:Class`.

    Returns:
        The best validation score in [0, 1], its epoch, and its metrics.

    Raises:
        UserError: invalid config or data, or the folder holds a run and `resume` is False; nothing was trained. Or
            another call trains in another thread.
    """
    begin(code)
    folder, paths = one_path("fit: folder", folder), data_paths("fit: data", data)
    if isinstance(config, str | Path):
        config = load_config(config)
    elif not isinstance(config, Config):
        config = build_config(mapping("fit: config", config))
    own: dict[str, Any] = {"general_parameters.path_to_save": str(folder)}
    own |= {"general_parameters.data_path": paths} if paths else {}
    config = override(config, {**own, **mapping("fit: values", values)})
    if config.train_parameters.pre_training:
        raise ConfigError("train_parameters.pre_training: true writes a backbone and no run; use experiments/train.py")
    require_writable_folder(folder, "folder")
    with only_call("fit"):
        with interrupts_held():
            from hearai.training.inference.measure_reliability import add_reliability  # torch: after the checks
            from hearai.training.runtime import choose_device
            from hearai.training.setup.single_run import prepare_run, run_single

        config, _ = prepare_run(config, folder, resume=resume)
        result = run_single(config, folder, resume=resume)
        add_reliability(folder / BEST, choose_device(config.general_parameters.gpu))
    return result


def search(
    space: str | Path | Mapping[str, Any],
    *,
    data: Paths = None,
    trials: int | None = None,
    name: str | None = None,
    storage: str | Path = "runs",
    config: str | Path | None = None,
    values: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    address: str | None = None,
    max_concurrent: int | None = None,
    code: str | Path | None = None,
) -> SavedStudy:
    """Runs a search, as `tune.py` does; called again with the same arguments, it continues if it is unfinished.

    Progress goes to the log (`logging`, logger `hearai.api`, level INFO).

    Args:
        space: name of a shipped space, a YAML file, or the content of one: a mapping with the key `space`.
        data: dataset folders; None = the demo data, unless the space or the config names some.
        trials: number of trials, with the base config.
        name: of the study; by default that of the space. A mapping needs one.
        storage: folder of the studies.
        config: YAML file merged into the base config.
        values: {dotted path into the config: value}, as `--set`; a section's path may have a mapping.
        settings: {section of the study: {key: value}}, such as {"objective": {"metric": "top1"}}.
        address: of a Ray cluster; None = this machine.
        max_concurrent: most trials that run at once.
        code: folder with parts of your own, as in `fit`.

    Raises:
        UserError: invalid input, of which nothing was written; or the search cannot continue. Or another call trains in
            another thread.
    """
    begin(code)
    merged, values = _checked_settings(settings), mapping("search: values", values)
    if trials is not None:
        merged["budget"] = {**(merged.get("budget") or {}), "trials": plain(trials)}
    if max_concurrent is not None:
        max_concurrent = whole_number("search: max_concurrent", max_concurrent)
    base = None if config is None else str(one_path("search: config", config))
    paths, storage = tuple(data_paths("search: data", data)), one_path("search: storage", storage)
    if not isinstance(name, str | None):
        raise ConfigError(f"search: name: got {name!r:.80}; must be a text, or None for that of the space")
    with tempfile.TemporaryDirectory(prefix="hearai-") as temporary:
        if isinstance(space, Mapping):
            if name is None:
                raise ConfigError("search: a space given as a mapping has no name; give name=, that of the study")
            space = _write_space(Path(temporary) / "space.yaml", space)
        study = build_study(Request(str(one_path("search: space", space)), name, base, paths, values, merged))
    require_writable_folder(storage / study.name, "storage")
    with only_call("search"):
        with interrupts_held():
            from hearai.reporting.live.page_writer import page_is_written  # Ray, torch: after the checks
            from hearai.reporting.study_report.page import write_results
            from hearai.search.run import Options, run_study

        options = Options(storage, address, max_concurrent=max_concurrent)
        with page_is_written(options.storage / study.name):
            outcome = run_study(study, options, log.info)
        log.info("%s", write_results(outcome.folder))
    return SavedStudy(outcome.folder)


def _checked_settings(settings: Any) -> dict[str, Any]:
    """Raises ConfigError if they, or the space in them, are no mapping; the rest is checked with the study."""
    settings = mapping("search: settings", settings)
    mapping("search: settings: space", settings.get("space"))
    return settings


def _write_space(path: Path, space: Mapping[str, Any]) -> Path:
    try:
        path.write_text(yaml.safe_dump(plain(space), sort_keys=False), encoding="utf-8")
    except yaml.representer.RepresenterError as error:
        found = " ".join(str(part) for part in error.args)
        raise ConfigError(f"search: space: {found:.150}; give plain values: numbers, texts, lists and dicts") from None
    return path
