"""The YAML of a small study, for tests that run complete searches on two cores."""


def small_space(*, trials: int, epochs: int, finalists: str = "{count: 0}") -> str:
    """The YAML of a study over gloss labels that searches the learning rate."""
    return f"""
description: tiny
budget: {{trials: {trials}}}
sampler: {{name: random}}
early_stopping: {{name: none}}
finalists: {finalists}
pretrain: false
config:
  general_parameters: {{gpu: -1, ratio_test: 0.25, ratio_train_test: 0.67}}
  augmentations_parameters: {{resize_size: 32, center_crop_size: 32}}
  train_parameters: {{classification_mode: gloss, epochs: {epochs}, batch_size: 4, num_segments: 3}}
  feature_extractor: {{model_path: test_efficientnet, representation_size: 16, pretrained: false}}
  transformer: {{feedforward_size: 32, num_attention_heads: 2, num_encoder_layers: 1, output_size: 16}}
  freeze_scheduler: {{model_params: {{feature_extractor.backbone: [true]}}}}
space:
  train_parameters.lr: {{float: [1.0e-4, 1.0e-1], log: true}}
"""
