"""Early stopping: of trials that perform poorly, and of a search whose next trials are not worth their cost."""

from hearai.search.early_stopping.stoppers import STOPPERS, Asha, Hyperband, Median, Stopper, build_stopper

__all__ = ["STOPPERS", "Asha", "Hyperband", "Median", "Stopper", "build_stopper"]
