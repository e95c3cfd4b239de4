"""Trained models: classes of clips, as `predict.py` gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearai.api.arguments import begin, one_path, paths_of, read_data_again, whole_number
from hearai.api.caller_state import only_call, torch_defaults
from hearai.config.config import Config
from hearai.threads import interrupts_held

if TYPE_CHECKING:
    import numpy as np

    from hearai.training.inference.trained_model import TrainedModel


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A trained model, on its device."""

    trained: "TrainedModel"

    def __repr__(self) -> str:
        parts = f"{self.config.feature_extractor.name} + {self.config.transformer.name}"
        return f"Model({str(self.trained.folder)!r}, {parts}, classes of {dict(self.trained.num_class)})"

    @property
    def config(self) -> Config:
        """Of the run that trained it."""
        return self.trained.config

    @property
    def class_names(self) -> dict[str, dict[int, str]]:
        """{head: {class: name}}, as far as lists name them."""
        return {head: dict(names) for head, names in self.trained.class_names.items()}

    def predict(
        self,
        clips: str | Path | Sequence[str | Path],
        *,
        top: int = 3,
        dictionary: str | Path | None = None,
        **reading: Any,
    ) -> list[dict[str, Any]]:
        """The likeliest classes of clips: frame folders (NAME/NAME_0.jpg ...) and video files.

        Args:
            top: classes listed per head, and clips of the dictionary.
            dictionary: a dataset folder, whose most similar clips are listed, too; their signs need not be classes.
            reading: as in `clips_of_paths`: frame_pattern, keep_damaged, landmark_models.

        Returns:
            [{"clip", "heads": {head: [{"class", "name", "symbol", "confidence"}, ...]}, "uncertain": [head, ...],
            "unlike_training": {"distance", "limit", "unlike"}}, ...], as `predict.py --json`; with a dictionary also
            "dictionary": [{"clip", "word", "distance"}, ...]. See `prediction_rows`.

        Raises:
            UserError: every path that is not a usable clip, and why; or a dictionary that cannot be read.
        """
        from hearai.reporting.prediction import predict_rows

        top, paths = whole_number("predict: top", top), [Path(path) for path in paths_of("predict: clips", clips)]
        words = None if dictionary is None else one_path("predict: dictionary", dictionary)
        read_data_again()
        with torch_defaults():
            return [] if not paths else predict_rows(self.trained, paths, top=top, dictionary=words, **reading)

    def probabilities(self, clips: str | Path | Sequence[str | Path], **reading: Any) -> "dict[str, np.ndarray]":
        """{head: calibrated (N, K) float32} of N clips, K classes; arguments and errors as of `predict`."""
        import numpy as np

        from hearai.training.inference.predict import predict_paths

        paths = [Path(path) for path in paths_of("probabilities: clips", clips)]
        if not paths:
            return {head: np.zeros((0, size), np.float32) for head, size in self.trained.num_class.items()}
        read_data_again()
        with torch_defaults():
            return {head: p_NK.numpy() for head, p_NK in predict_paths(self.trained, paths, **reading).items()}


def load_model(folder: str | Path, *, gpu: int = 0, code: str | Path | None = None) -> Model:
    """The trained model of a run, of its `best` folder, or of a study.

    Args:
        gpu: which GPU; -1 = CPU. Without a GPU it is the CPU.
        code: folder with parts of your own, as in `fit`.

    Raises:
        UserError: there is no model, or an unreadable one. Or another call trains in another thread.
    """
    begin(code)
    place, gpu = one_path("load_model: folder", folder), whole_number("load_model: gpu", gpu, least=-1)
    with only_call("load_model"):
        with interrupts_held():
            from hearai.training.inference.trained_model import find_best, load_trained  # torch
            from hearai.training.runtime import choose_device

        return Model(load_trained(find_best(place), choose_device(gpu)))
