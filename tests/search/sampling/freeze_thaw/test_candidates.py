"""New points: untried, allowed, and climbing to what scores well."""

import numpy as np

from hearai.config.config import build_config
from hearai.config.search_space.space import Space, parse_space
from hearai.search.sampling.freeze_thaw.candidates import Candidates
from hearai.search.sampling.freeze_thaw.encoding import Encoding, key_of

LR, LAYERS, HEADS, SIZE = (
    "train_parameters.lr",
    "transformer.num_encoder_layers",
    "transformer.num_attention_heads",
    "feature_extractor.representation_size",
)
BASE = build_config({})
RULE = {"divides": [SIZE, HEADS]}


def space_of(raw: dict, rules: tuple = ()) -> Space:
    return parse_space(raw, "test", rules)


def test_climbing_finds_better_points_than_drawing() -> None:
    encoding = Encoding(space_of({LR: {"float": [1e-5, 1e-1], "log": True}, LAYERS: {"int": [1, 60]}}), BASE)
    goal_C = encoding.vector({LR: 3e-3, LAYERS: 17})

    def score(x_MC: np.ndarray) -> np.ndarray:
        return -np.linalg.norm(x_MC - goal_C, axis=1)

    best, drawn = [], []
    for seed in range(5):
        rng, candidates = np.random.default_rng(seed), Candidates(encoding)
        best.append(next(candidates.climb(rng, [], set(), score))[0])
        drawn.append(score(encoding.vectors_at(rng.random((300, 2)))).max())
    assert np.mean(best) > 0.5 * np.mean(drawn)


def test_the_points_of_a_climb_descend_and_were_not_tried() -> None:
    encoding = Encoding(space_of({LAYERS: {"int": [1, 60]}, HEADS: {"int": [1, 60]}}), BASE)
    first = next(Candidates(encoding).climb(np.random.default_rng(0), [], set(), lambda x_MC: x_MC[:, 0]))[1]
    pairs = list(Candidates(encoding).climb(np.random.default_rng(0), [], {key_of(first)}, lambda x_MC: x_MC[:, 0]))
    assert [score for score, _ in pairs] == sorted((score for score, _ in pairs), reverse=True)
    assert first not in [point for _, point in pairs]


def test_rules_hold_for_every_candidate() -> None:
    space = space_of({HEADS: {"int": [1, 16]}, SIZE: {"int": [16, 400]}}, (RULE,))
    candidates, rng = Candidates(Encoding(space, BASE)), np.random.default_rng(0)
    points = [point for _, point in candidates.climb(rng, [], set(), lambda x_MC: x_MC[:, 0])]
    drawn = [candidates.random_point(rng, set()) for _ in range(50)]
    assert points and all(point and not space.violation(point, BASE) for point in (*points, *drawn))


def test_the_last_point_of_a_small_space_is_found() -> None:
    encoding = Encoding(space_of({LAYERS: {"int": [1, 30]}, HEADS: {"int": [1, 30]}}), BASE)
    candidates, rng = Candidates(encoding), np.random.default_rng(0)
    *others, last = encoding.all_points()
    tried = {key_of(point) for point in others}
    assert candidates.random_point(rng, tried) == last
    assert [point for _, point in candidates.climb(rng, [], tried, lambda x_MC: x_MC[:, 0])] == [last]
    assert candidates.random_point(rng, tried | {key_of(last)}) is None


def test_a_space_in_which_nothing_is_allowed_has_no_candidates() -> None:
    impossible = {HEADS: {"choice": [7]}, SIZE: {"int": [8, 12]}}
    candidates = Candidates(Encoding(space_of(impossible, (RULE,)), BASE))
    assert candidates.random_point(np.random.default_rng(0), set()) is None
    assert not list(candidates.climb(np.random.default_rng(0), [], set(), lambda x_MC: x_MC[:, 0]))
