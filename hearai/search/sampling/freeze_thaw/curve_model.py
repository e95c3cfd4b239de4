"""A Gaussian process over (parameters, epoch), fitted to the learning curves of this search.

f(x, t) = mean(t) + shared(x, t) + own_i(t) + seed_i + noise, where t is the logarithm of the epoch. `shared` is what
the parameters say about all epochs (Matern 5/2 over x, squared exponential over t). `own` is what a trial's own curve
says beyond its parameters: it carries a short curve to its end exactly as far as the curves of this very search allow,
so no one has to state how much an early epoch is worth. `seed` is what a seed changes about a whole run, `noise` about
a single report. Predictions are without both, so a run that was lucky counts for less than it reports. No config is run
twice before the finals, so it is their priors that tell `seed` from `own`; a search that continues after its finals has
measured the first, see `observe_seeds`. Swersky et al. 2014, "Freeze-Thaw Bayesian Optimization", have an exponential
kernel over t in the place of `own`, and no `seed`; Rakotoarison et al. 2024 (ifBO, arXiv 2404.16795) a trained network.

The hyperparameters are those with the highest posterior density, found by a bounded number of L-BFGS steps from
the prior's mean: the same rows give the same model. The cost is that of N x N matrices.
"""

import math

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize

# N rows (points of curves), M further rows, C coordinates, P parameters, H hyperparameters

LENGTH_X, LENGTH_T_SHARED, LENGTH_T_OWN, LENGTH_T_MEAN = 0.5, 0.7, 0.7, 0.7
SCALE_SHARED, SCALE_OWN, SCALE_MEAN, SCALE_SEED, NOISE = 1.0, 0.15, 0.7, 0.3, 0.1
PRIOR_WIDTH, SEED_WIDTH = 0.8, 0.5
"""Standard deviation of the logarithm of each hyperparameter, and of `SCALE_SEED`, about which curves say little."""
FURTHEST = 4.0
"""How many of these a hyperparameter may be from its prior mean."""
JITTER = 1e-5


class Rows:
    """Points of curves: coordinates, times and curves; values where they are known."""

    def __init__(self, x_NC: np.ndarray, t_N: np.ndarray, curve_N: np.ndarray):
        """curve_N: integers; rows with the same one belong to the same curve."""
        self.x_NC, self.t_N, self.curve_N = x_NC, t_N, curve_N

    def __len__(self) -> int:
        return len(self.t_N)

    def at(self, places: np.ndarray) -> "Rows":
        """Some of these rows."""
        return Rows(self.x_NC[places], self.t_N[places], self.curve_N[places])

    def joined(self, other: "Rows") -> "Rows":
        """These rows, then the others."""
        return Rows(
            np.concatenate([self.x_NC, other.x_NC]),
            np.concatenate([self.t_N, other.t_N]),
            np.concatenate([self.curve_N, other.curve_N]),
        )


class CurveModel:
    """The kernel and its hyperparameters, as logarithms: a length per parameter, three over t, four scales, noise."""

    def __init__(self, parameter_of_C: np.ndarray, parameters: int):
        self.parameter_of_C, self.parameters = parameter_of_C, parameters
        lengths = (*[LENGTH_X] * parameters, LENGTH_T_SHARED, LENGTH_T_OWN, LENGTH_T_MEAN)
        self.prior_H = np.log(np.array([*lengths, SCALE_SHARED, SCALE_OWN, SCALE_MEAN, SCALE_SEED, NOISE]))
        self.width_H = np.full(len(self.prior_H), PRIOR_WIDTH)
        self.width_H[-2] = SEED_WIDTH
        self._log_H = self.prior_H.copy()

    def observe_seeds(self, deviation: float, degrees: int) -> None:
        """Combines the prior of `seed` with a measured deviation between seeds of the same config.

        Args:
            deviation: on the scale of the standardised values, > 0.
            degrees: of freedom; the logarithm of a sample deviation has a standard deviation of 1 / sqrt(2 degrees).
        """
        known, measured = self.width_H[-2] ** -2, 2.0 * degrees
        self.prior_H[-2] = (known * self.prior_H[-2] + measured * math.log(deviation)) / (known + measured)
        self.width_H[-2] = (known + measured) ** -0.5
        self._log_H = self.prior_H.copy()

    def fit(self, rows: Rows, y_N: np.ndarray, steps: int) -> None:
        """Fits the hyperparameters to standardised values, by at most so many steps from the prior's mean."""
        if not len(rows):
            return
        density = Density(self, rows, y_N)
        furthest_H = FURTHEST * self.width_H
        bounds = list(zip(self.prior_H - furthest_H, self.prior_H + furthest_H, strict=True))
        options = {"maxiter": steps, "maxfun": 2 * steps}
        found = minimize(density, self.prior_H, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        if np.isfinite(found.x).all() and math.isfinite(found.fun):
            self._log_H = found.x

    def posterior(self, rows: Rows, y_N: np.ndarray) -> "Posterior":
        """The process given the values of these rows."""
        return Posterior(self, rows, y_N)

    def covariance(self, a: Rows, b: Rows) -> np.ndarray:
        """`[N, M]`, without what seeds change, and without noise."""
        shared_NM, own_NM, mean_NM, _ = self._parts(self._log_H, a, b)
        return shared_NM + own_NM + mean_NM

    def covariance_with_seeds(self, a: Rows, b: Rows) -> np.ndarray:
        """`[N, M]`, of what runs report, without noise."""
        same_NM = a.curve_N[:, None] == b.curve_N[None]
        return self.covariance(a, b) + math.exp(2 * self._log_H[-2]) * same_NM

    @property
    def variance(self) -> float:
        """Of the process at any point, without what seeds change."""
        return float(np.exp(2 * self._log_H[self.parameters + 3 : self.parameters + 6]).sum())

    @property
    def ridge(self) -> float:
        """Variance of the noise, and what keeps matrices well-conditioned."""
        return math.exp(2 * self._log_H[-1]) + JITTER

    def _parts(self, log_H: np.ndarray, a: Rows, b: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(shared, own, mean, root of 5 times the distance over x)."""
        P, lengths_C = self.parameters, np.exp(log_H[self.parameter_of_C])
        a_NC, b_MC = a.x_NC / lengths_C, b.x_NC / lengths_C
        square_NM = (a_NC**2).sum(1)[:, None] + (b_MC**2).sum(1)[None] - 2 * a_NC @ b_MC.T
        root_NM = np.sqrt(5 * np.maximum(square_NM, 1e-10))
        time_NM = 0.5 * (a.t_N[:, None] - b.t_N[None]) ** 2
        scale_shared, scale_own, scale_mean = np.exp(2 * log_H[P + 3 : P + 6])
        shared, own, mean = np.exp(-2 * log_H[P : P + 3])
        matern_NM = (1 + root_NM + root_NM**2 / 3) * np.exp(-root_NM)
        same_NM = a.curve_N[:, None] == b.curve_N[None]
        return (
            scale_shared * matern_NM * np.exp(-shared * time_NM),
            scale_own * np.exp(-own * time_NM) * same_NM,
            scale_mean * np.exp(-mean * time_NM),
            root_NM,
        )


class Density:
    """Negative log posterior density of the hyperparameters and its gradient; distances are computed once."""

    def __init__(self, model: CurveModel, rows: Rows, y_N: np.ndarray):
        self._prior_H, self._width_H, self._P, self._y_N = model.prior_H, model.width_H, model.parameters, y_N
        square_CNN = (rows.x_NC.T[:, :, None] - rows.x_NC.T[:, None, :]) ** 2
        of_parameter_PC = np.arange(self._P)[:, None] == model.parameter_of_C
        self._square_PL = of_parameter_PC.astype(float) @ square_CNN.reshape(len(square_CNN), len(rows) ** 2)
        time_U, self._place_N = np.unique(rows.t_N, return_inverse=True)
        self._time_UU = (time_U[:, None] - time_U[None]) ** 2
        self._same_NN = (rows.curve_N[:, None] == rows.curve_N[None]).astype(float)
        self._diagonal = np.arange(len(rows))

    def __call__(self, log_H: np.ndarray) -> tuple[float, np.ndarray]:
        P, N = self._P, len(self._y_N)
        closeness_P = np.exp(-2 * log_H[:P])
        scales, rates = np.exp(2 * log_H[P + 3 : P + 6]), np.exp(-2 * log_H[P : P + 3])
        seed, noise = np.exp(2 * log_H[P + 6 :])
        root_NN = np.sqrt(5 * np.maximum(closeness_P @ self._square_PL, 1e-10)).reshape(N, N)
        decay_NN = np.exp(-root_NN) * self._over_time(scales[0], rates[0])
        shared_NN = decay_NN * (1 + root_NN + root_NN**2 / 3)
        own_NN = self._same_NN * self._over_time(scales[1], rates[1])
        mean_NN = self._over_time(scales[2], rates[2])
        total_NN = shared_NN + own_NN + mean_NN + seed * self._same_NN
        total_NN[self._diagonal, self._diagonal] += noise + JITTER
        root, failed = dpotrf(total_NN, lower=1, overwrite_a=0)
        if failed:
            return math.inf, np.zeros_like(log_H)
        alpha_N, _ = dpotrs(root, self._y_N, lower=1)
        inverse_NN, _ = dpotri(root, lower=1)
        inverse_NN = inverse_NN + np.tril(inverse_NN, -1).T
        value = 0.5 * self._y_N @ alpha_N + np.log(root[self._diagonal, self._diagonal]).sum()
        weight_NN = 0.5 * (inverse_NN - np.outer(alpha_N, alpha_N))
        distance_H = (log_H - self._prior_H) / self._width_H
        slope_H = distance_H / self._width_H
        slope_H[:P] += self._square_PL @ (weight_NN * decay_NN * (1 + root_NN)).ravel() * (5 / 3) * closeness_P
        for number, part_NN in enumerate((shared_NN, own_NN, mean_NN)):
            weighted_NN = weight_NN * part_NN
            time_NN = self._time_UU[self._place_N[:, None], self._place_N]
            slope_H[P + number] += (weighted_NN * time_NN).sum() * rates[number]
            slope_H[P + 3 + number] += 2 * weighted_NN.sum()
        slope_H[-2] += 2 * seed * (weight_NN * self._same_NN).sum()
        slope_H[-1] += 2 * noise * weight_NN[self._diagonal, self._diagonal].sum()
        return float(value + 0.5 * (distance_H**2).sum()), slope_H

    def _over_time(self, scale: float, rate: float) -> np.ndarray:
        """`scale` times the squared exponential kernel over time, `[N, N]`."""
        return (scale * np.exp(-0.5 * rate * self._time_UU))[self._place_N[:, None], self._place_N]


class Posterior:
    """The process given values of some rows."""

    def __init__(self, model: CurveModel, rows: Rows, y_N: np.ndarray):
        self._model, self._rows, self._y_N = model, rows, y_N
        total_NN = model.covariance_with_seeds(rows, rows) + model.ridge * np.eye(len(rows))
        self._root_NN = cholesky(total_NN, lower=True, check_finite=False)
        self._alpha_N = cho_solve((self._root_NN, True), y_N, check_finite=False)

    def predict(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) at other rows, whatever the seed and without noise; `[M]` each."""
        cross_MN = self._model.covariance(rows, self._rows)
        solved_NM = solve_triangular(self._root_NN, cross_MN.T, lower=True, check_finite=False)
        variance_M = self._model.variance - (solved_NM**2).sum(0)
        return cross_MN @ self._alpha_N, np.sqrt(np.maximum(variance_M, 1e-9))

    def covariance(self, rows: Rows) -> np.ndarray:
        """`[M, M]` between other rows, whatever the seeds and without noise."""
        cross_MN = self._model.covariance(rows, self._rows)
        solved_NM = solve_triangular(self._root_NN, cross_MN.T, lower=True, check_finite=False)
        return self._model.covariance(rows, rows) - solved_NM.T @ solved_NM

    def believing(self, rows: Rows) -> "Posterior":
        """The process if these rows had the values that are expected of them, with what is known of their seeds."""
        if not len(rows):
            return self
        expected_M = self._model.covariance_with_seeds(rows, self._rows) @ self._alpha_N
        return Posterior(self._model, self._rows.joined(rows), np.concatenate([self._y_N, expected_M]))
