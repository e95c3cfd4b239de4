"""Many runs: Ray carries them out, Optuna proposes them. The only folder that imports either."""
