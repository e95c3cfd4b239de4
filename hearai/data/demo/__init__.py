"""Demo data: drawn signers showing HamNoSys labels. `demo_dataset()` builds it once into the cache."""

from hearai.data.demo.build import demo_dataset
from hearai.data.demo.render import render_clip
from hearai.data.demo.signer import Signer, make_signers

__all__ = ["Signer", "demo_dataset", "make_signers", "render_clip"]
