"""Demo data: drawn signers showing HamNoSys labels. `demo_dataset()` builds it once, into the cache."""

from hearai.data.demo.build import DEMO_CLIPS, demo_dataset

__all__ = ["DEMO_CLIPS", "demo_dataset"]
