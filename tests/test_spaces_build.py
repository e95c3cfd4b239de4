"""Every shipped search space samples configs that build a model."""

import random

import pytest
import torch

from hearai.models.model import build_model
from hearai.study import SPACES, Request, load_study

OWN_DATA = ("some/folder",)


@pytest.mark.parametrize("data_paths", [(), OWN_DATA], ids=["demo", "own data"])
@pytest.mark.parametrize("space", sorted(path.stem for path in SPACES.glob("*.yaml")))
def test_each_sampled_config_builds_a_model_whose_heads_answer(space: str, data_paths: tuple[str, ...]) -> None:
    study = load_study(Request(space, data_paths=data_paths))
    rng = random.Random(0)
    for _ in range(5):
        config = study.config_of(study.space.sample(rng, study.base))
        classes = {
            head: 7 if parameters.num_class == "auto" else parameters.num_class
            for head, parameters in config.active_heads.items()
        }
        with torch.device("meta"):  # shapes without numbers: built and run in no time
            model = build_model(config, classes).eval()
            features_BTW = torch.zeros(2, 3, model.feature_extractor.backbone_width)
            logits = model({"features": features_BTW}, torch.ones(2, 3, dtype=torch.bool))
        assert {head: logit.shape[-1] for head, logit in logits.items()} == classes
