"""The freeze schedule is a pure function; frozen means no gradient and constant batch statistics."""

import pytest
import torch
from torch import nn

from hearai.config.model_schema import FreezeScheduler
from hearai.errors import ConfigError
from hearai.training.optim.freeze import FreezeSchedule, apply_freeze, check_parts


def schedule(repeats, mode="epoch", **parts):
    return FreezeSchedule.build(
        FreezeScheduler(
            model_params={name.replace("__", "."): pattern for name, pattern in parts.items()},
            freeze_pattern_repeats=repeats,
            freeze_mode=mode,
        )
    )


def tiny_model():
    encoder = nn.Sequential()
    encoder.add_module("backbone", nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    encoder.add_module("projection", nn.Linear(2, 2))
    return nn.ModuleDict({"encoder": encoder, "head": nn.Linear(2, 2)})


def frozen_epochs(plan, part, total):
    return [part in plan.frozen_parts(done) for done in range(total)]


def test_a_list_of_repeats_gives_the_length_of_each_phase():
    plan = schedule([5, 3], encoder=[True, False], head=[False, True])
    assert frozen_epochs(plan, "encoder", 10) == [True] * 5 + [False] * 5
    assert frozen_epochs(plan, "head", 10) == [False] * 5 + [True] * 3 + [False] * 2


def test_a_number_repeats_the_whole_pattern():
    plan = schedule(2, encoder=[True, False, False])
    assert frozen_epochs(plan, "encoder", 8) == [True, False, False, True, False, False, False, False]


def test_the_default_freezes_the_backbone_permanently():
    plan = FreezeSchedule.build(FreezeScheduler())
    assert plan.frozen_lead("feature_extractor.backbone", 1000) == 1000
    assert plan.frozen_lead("feature_extractor", 1000) == 0


def test_a_part_inside_a_frozen_part_is_frozen():
    plan = schedule(3, encoder=[True])
    assert plan.frozen_lead("encoder.backbone", 3) == plan.frozen_lead("encoder.backbone", 4) == 3
    assert plan.frozen_lead("enc", 3) == 0


def test_the_share_of_an_epoch_in_which_a_part_is_frozen():
    by_epoch = schedule([1, 1], encoder=[True, False], head=[False, False])
    assert [by_epoch.frozen_shares(epoch, 4) for epoch in (0, 1, 9)] == [
        {"encoder": 1, "head": 0},
        {"encoder": 0, "head": 0},
        {"encoder": 0, "head": 0},
    ]
    by_step = schedule([5, 1], mode="step", encoder=[True, False], encoder__backbone=[False, True])
    assert [by_step.frozen_shares(epoch, 4) for epoch in (0, 1, 2)] == [
        {"encoder": 1, "encoder.backbone": 1},  # a part inside a frozen part is frozen
        {"encoder": 0.25, "encoder.backbone": 0.5},
        {"encoder": 0, "encoder.backbone": 0},
    ]


def test_a_number_repeats_the_whole_pattern_of_steps():
    plan = schedule(2, mode="step", encoder=[True, False, False])
    assert [plan.frozen_shares(epoch, 3)["encoder"] for epoch in range(3)] == pytest.approx([1 / 3, 1 / 3, 0])


def test_any_named_part_can_be_frozen_however_deep():
    model, plan = tiny_model(), schedule(1, encoder__backbone__0=[True])
    check_parts(model, plan)
    apply_freeze(model.train(), plan, plan.frozen_parts(0))
    assert not model["encoder"].backbone[0].weight.requires_grad
    assert model["encoder"].backbone[1].weight.requires_grad and model["encoder"].backbone[1].training


def test_an_empty_schedule_freezes_nothing():
    assert schedule([5]).frozen_parts(0) == frozenset()
    assert schedule(4).frozen_parts(0) == frozenset()
    assert list(schedule(4).phases()) == []


def test_frozen_means_no_gradient_and_eval_mode():
    model, plan = tiny_model(), schedule([1, 1], encoder=[True, False])
    apply_freeze(model.train(), plan, plan.frozen_parts(0))
    assert not any(p.requires_grad for p in model["encoder"].parameters())
    assert not any(m.training for m in model["encoder"].modules())
    assert model["head"].training and model["head"].weight.requires_grad
    apply_freeze(model.train(), plan, plan.frozen_parts(1))
    assert all(p.requires_grad for p in model.parameters())
    assert all(m.training for m in model.modules())


@pytest.mark.parametrize("outer, inner", [(True, False), (False, True)])
def test_of_nested_parts_the_frozen_one_wins(outer, inner):
    model, plan = tiny_model(), schedule(1, encoder=[outer], encoder__backbone=[inner])
    apply_freeze(model.train(), plan, plan.frozen_parts(0))
    assert not model["encoder"].backbone[0].weight.requires_grad
    assert model["encoder"].projection.weight.requires_grad is not outer


def test_frozen_batch_norm_keeps_its_statistics():
    model, plan = tiny_model(), schedule([1, 1], encoder=[True, False])
    norm = model["encoder"].backbone[1]
    apply_freeze(model.train(), plan, plan.frozen_parts(0))
    model["encoder"](torch.randn(8, 2))
    assert norm.running_mean.eq(0).all()
    apply_freeze(model.train(), plan, plan.frozen_parts(1))
    model["encoder"](torch.randn(8, 2))
    assert norm.running_mean.ne(0).any()


def test_an_unknown_part_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="no part 'encoderr'; choose from encoder, .*did you mean 'encoder'"):
        check_parts(tiny_model(), schedule(1, encoderr=[True]))


def test_a_phase_that_freezes_everything_is_refused():
    with pytest.raises(ConfigError, match="nothing is left to train"):
        check_parts(tiny_model(), schedule([2, 2], encoder=[False, True], head=[False, True]))
    check_parts(tiny_model(), schedule([2, 0], encoder=[False, True], head=[False, True]))
