"""One process of a trial. Never imports Optuna."""
