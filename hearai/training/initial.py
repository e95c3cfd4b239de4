"""The model that a run starts from."""

import torch

from hearai.config import Config
from hearai.data.folders import Data
from hearai.models.feature_extractors import kind_of
from hearai.models.model import SignModel, build_model
from hearai.models.pretrained import resolve_pretrained


def build_initial_model(config: Config, data: Data) -> SignModel:
    """The model with the weights that the config's seed, checkpoint or `pretrained` (`auto` is decided here) give.

    Raises:
        ConfigError: an unknown name, or weights that cannot be had or do not fit.
    """
    extractor = config.feature_extractor
    source = kind_of(extractor).weights(extractor.model_path)
    pretrained = extractor.checkpoint is None and resolve_pretrained(source, extractor.pretrained)
    torch.manual_seed(config.general_parameters.seed)
    return build_model(config, data.num_class, pretrained=pretrained)
