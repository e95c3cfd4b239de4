"""The Python API: configs, runs, searches, studies and trained models. `import hearai` has all of it; see docs/api.md.

Every function raises `hearai.errors.UserError` for input that the user must fix: `problems` lists all of them, each
with where it is, what was found, what is allowed and what to do. The scripts print these and exit with code 2.
"""

from hearai.api.fit_and_search import fit, search
from hearai.api.model import Model, load_model
from hearai.api.saved_study import SavedStudy, load_study
from hearai.config.config import load_config

__all__ = ["Model", "SavedStudy", "fit", "load_config", "load_model", "load_study", "search"]
