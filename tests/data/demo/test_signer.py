"""The demo signers differ in everything that a network must ignore."""

import numpy as np

from hearai.data.demo.build import SIGNERS
from hearai.data.demo.signer import make_signers


def test_signers_are_at_least_24_with_all_appearances() -> None:
    signers = make_signers(SIGNERS)
    assert len(signers) >= 24
    assert 0.3 < np.mean([s.left_handed for s in signers]) < 0.6
    for look in ("skin", "top", "wall"):
        assert len({getattr(s, look) for s in signers}) == len(signers)
    assert {s.wall_style for s in signers} == {s.hair_style for s in signers} == set(range(5))
