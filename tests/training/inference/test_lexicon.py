"""Looking up glosses by a model's predictions."""

from pathlib import Path

import pytest
import torch

from hearai.errors import ConfigError, DataError
from hearai.sign.hamnosys import HEADS
from hearai.training.inference.lookup.lexicon import check_lexicon_fits, read_lexicon

GLOSSES = "c0 0 1 0\nc1 0 1 1\nc2 0 1 1\nc3 0 1 2\n"
SIGNS = {"c0": "0 1 0 0 0 0 0 1", "c1": "0 2 0 0 0 0 0 1", "c2": "0 2 1 0 0 0 0 1", "c3": "0 1 0 0 5 5 0 -1"}


def write(folder: Path, signs: dict[str, str] = SIGNS) -> Path:
    (folder / "test_gloss.txt").write_text(GLOSSES)
    (folder / "test_hamnosys.txt").write_text("".join(f"{name} 0 1 {row}\n" for name, row in signs.items()))
    (folder / "glosses.csv").write_text("name,word,gloss_id\nc0,house,0\nc1,tree,1\n")
    return folder / "test_gloss.txt"


def certain(*labels: int) -> dict[str, torch.Tensor]:
    """Probabilities (1, K) of a model that is certain."""
    return {
        name: torch.nn.functional.one_hot(torch.tensor([label]), head.num_class).float()
        for (name, head), label in zip(HEADS.items(), labels, strict=True)
    }


def test_nearest_gloss_differs_in_the_fewest_heads(tmp_path: Path):
    lexicon = read_lexicon(write(tmp_path))
    (found,) = lexicon.nearest(certain(0, 2, 1, 0, 0, 0, 0, 1), 3)
    assert found == [("tree", 0.0), ("house", 2.0), ("2", 4.5)], (
        "each gloss by its nearest variant; the last has no name"
    )


def test_distance_is_the_expected_number_of_differences(tmp_path: Path):
    lexicon, probabilities = read_lexicon(write(tmp_path)), certain(0, 1, 0, 0, 0, 0, 0, 1)
    p_NK = torch.zeros(1, 12)
    p_NK[0, 1], p_NK[0, 2] = 0.7, 0.3
    (found,) = lexicon.nearest({**probabilities, "hand_shape_base_form": p_NK}, 2)
    assert [gloss for gloss, _ in found] == ["house", "tree"]
    assert [far for _, far in found] == pytest.approx([0.3, 0.7])


def test_model_with_some_heads_uses_only_these(tmp_path: Path):
    head = "hand_shape_base_form"
    (found,) = read_lexicon(write(tmp_path)).nearest({head: certain(0, 2, 0, 0, 0, 0, 0, 0)[head]}, 1)
    assert found == [("tree", 0.0)]


def test_lexicon_needs_hamnosys_labels_in_its_folder(tmp_path: Path):
    path = write(tmp_path)
    with pytest.raises(DataError, match="no clip of it is in .*test_hamnosys.txt"):
        read_lexicon(write(tmp_path, {"other": SIGNS["c0"]}))
    (tmp_path / "test_hamnosys.txt").unlink()
    with pytest.raises(DataError, match="test_hamnosys.txt in its folder"):
        read_lexicon(path)
    with pytest.raises(ConfigError, match="the model's heads are gloss"):
        check_lexicon_fits(["gloss"])
