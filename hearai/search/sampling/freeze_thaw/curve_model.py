"""A Gaussian process over (parameters, epoch), fitted to the learning curves of this search.

f(x, t) = mean(t) + shared(x, t) + own_i(t) + noise, where t is the logarithm of the epoch. `shared` is what the
parameters say about all epochs (Matern 5/2 over x, squared exponential over t). `own` is what a trial's own curve says
beyond its parameters: it carries a short curve to its end exactly as far as the curves of this very search allow, so
no one has to state how much an early epoch is worth. Swersky et al. 2014, "Freeze-Thaw Bayesian Optimization", have an
exponential kernel over t in the place of `own`; Rakotoarison et al. 2024 (ifBO, arXiv 2404.16795) a trained network.

The hyperparameters are those with the highest posterior density, found by a fixed number of steps of Adam from the
prior's mean: the same rows give the same model. The cost is that of N x N matrices.
"""

import math

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

# N rows (points of curves), M further rows, C coordinates, P parameters, H hyperparameters

LENGTH_X, LENGTH_T_SHARED, LENGTH_T_OWN, LENGTH_T_MEAN = 0.5, 0.7, 0.7, 0.7
SCALE_SHARED, SCALE_OWN, SCALE_MEAN, NOISE = 1.0, 0.4, 0.7, 0.1
PRIOR_WIDTH = 0.8
"""Standard deviation of the logarithm of each hyperparameter."""
LEARNING_RATE = 0.08
JITTER = 1e-5


class Rows:
    """Points of curves: coordinates, times and curves; values where they are known."""

    def __init__(self, x_NC: np.ndarray, t_N: np.ndarray, curve_N: np.ndarray):
        """curve_N: integers; rows with the same one belong to the same curve."""
        self.x_NC, self.t_N, self.curve_N = x_NC, t_N, curve_N

    def __len__(self) -> int:
        return len(self.t_N)

    def joined(self, other: "Rows") -> "Rows":
        """These rows, then the others."""
        return Rows(
            np.concatenate([self.x_NC, other.x_NC]),
            np.concatenate([self.t_N, other.t_N]),
            np.concatenate([self.curve_N, other.curve_N]),
        )


class CurveModel:
    """The kernel and its hyperparameters, as logarithms: a length per parameter, three over t, three scales, noise."""

    def __init__(self, parameter_of_C: np.ndarray, parameters: int, *, noise: float = NOISE):
        """noise: expected standard deviation of a report, where the values have the standard deviation 1.

        The hyperparameters are a length per parameter, three lengths over t, three scales, and the noise.
        """
        self._parameter_of_C, self._P = parameter_of_C, parameters
        others = (LENGTH_T_SHARED, LENGTH_T_OWN, LENGTH_T_MEAN, SCALE_SHARED, SCALE_OWN, SCALE_MEAN, noise)
        self._prior_H = np.log(np.array([*[LENGTH_X] * parameters, *others]))
        self._log_H = self._prior_H.copy()

    @property
    def noise(self) -> float:
        """The fitted standard deviation of a report."""
        return math.exp(self._log_H[-1])

    def fit(self, rows: Rows, y_N: np.ndarray, steps: int) -> None:
        """Fits the hyperparameters to standardised values, from the prior's mean."""
        log_H, first_H, second_H = self._prior_H.copy(), np.zeros_like(self._prior_H), np.zeros_like(self._prior_H)
        for step in range(1, steps + 1):
            slope_H = self._slope(log_H, rows, y_N)
            first_H, second_H = 0.9 * first_H + 0.1 * slope_H, 0.999 * second_H + 0.001 * slope_H**2
            direction_H = first_H / (1 - 0.9**step) / (np.sqrt(second_H / (1 - 0.999**step)) + 1e-8)
            log_H = log_H - LEARNING_RATE * direction_H
        if np.isfinite(log_H).all():
            self._log_H = log_H

    def posterior(self, rows: Rows, y_N: np.ndarray) -> "Posterior":
        """The process given the values of these rows."""
        return Posterior(self, rows, y_N)

    def covariance(self, a: Rows, b: Rows) -> np.ndarray:
        """`[N, M]`, without noise."""
        shared_NM, own_NM, mean_NM, _ = self._parts(self._log_H, a, b)
        return shared_NM + own_NM + mean_NM

    @property
    def variance(self) -> float:
        """Of the process at any point."""
        return float(np.exp(2 * self._log_H[self._P + 3 : self._P + 6]).sum())

    @property
    def ridge(self) -> float:
        """Variance of the noise, and what keeps matrices well-conditioned."""
        return math.exp(2 * self._log_H[-1]) + JITTER

    def _parts(self, log_H: np.ndarray, a: Rows, b: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(shared, own, mean, root of 5 times the distance over x)."""
        P, lengths_C = self._P, np.exp(log_H[self._parameter_of_C])
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

    def _slope(self, log_H: np.ndarray, rows: Rows, y_N: np.ndarray) -> np.ndarray:
        """Gradient of the negative log posterior density."""
        P = self._P
        shared_NN, own_NN, mean_NN, root_NN = self._parts(log_H, rows, rows)
        noise = math.exp(2 * log_H[-1])
        total_NN = shared_NN + own_NN + mean_NN + (noise + JITTER) * np.eye(len(rows))
        root = (cholesky(total_NN, lower=True, check_finite=False), True)
        inverse_NN = cho_solve(root, np.eye(len(rows)), check_finite=False)
        alpha_N = inverse_NN @ y_N
        weight_NN = 0.5 * (inverse_NN - np.outer(alpha_N, alpha_N))
        time_NN = (rows.t_N[:, None] - rows.t_N[None]) ** 2
        slope_H = (log_H - self._prior_H) / PRIOR_WIDTH**2
        decay_NN = weight_NN * shared_NN * (5 / 3) * (1 + root_NN) / (1 + root_NN + root_NN**2 / 3)
        square_C = 2 * (decay_NN.sum(1) @ rows.x_NC**2 - (rows.x_NC * (decay_NN @ rows.x_NC)).sum(0))
        np.add.at(slope_H, self._parameter_of_C, square_C * np.exp(-2 * log_H[self._parameter_of_C]))
        for number, part_NN in enumerate((shared_NN, own_NN, mean_NN)):
            weighted_NN = weight_NN * part_NN
            slope_H[P + number] += (weighted_NN * time_NN).sum() * math.exp(-2 * log_H[P + number])
            slope_H[P + 3 + number] += 2 * weighted_NN.sum()
        slope_H[-1] += 2 * noise * np.trace(weight_NN)
        return slope_H


class Posterior:
    """The process given values of some rows."""

    def __init__(self, model: CurveModel, rows: Rows, y_N: np.ndarray):
        self._model, self._rows, self._y_N = model, rows, y_N
        total_NN = model.covariance(rows, rows) + model.ridge * np.eye(len(rows))
        self._root_NN = cholesky(total_NN, lower=True, check_finite=False)
        self._alpha_N = cho_solve((self._root_NN, True), y_N, check_finite=False)

    def predict(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) at other rows, without noise; `[M]` each."""
        cross_MN = self._model.covariance(rows, self._rows)
        solved_NM = solve_triangular(self._root_NN, cross_MN.T, lower=True, check_finite=False)
        variance_M = self._model.variance - (solved_NM**2).sum(0)
        return cross_MN @ self._alpha_N, np.sqrt(np.maximum(variance_M, 1e-9))

    def covariance(self, rows: Rows) -> np.ndarray:
        """`[M, M]` between other rows, without noise."""
        cross_MN = self._model.covariance(rows, self._rows)
        solved_NM = solve_triangular(self._root_NN, cross_MN.T, lower=True, check_finite=False)
        return self._model.covariance(rows, rows) - solved_NM.T @ solved_NM

    def believing(self, rows: Rows) -> "Posterior":
        """The process if these rows had the values that are expected of them."""
        if not len(rows):
            return self
        expected_M, _ = self.predict(rows)
        return Posterior(self._model, self._rows.joined(rows), np.concatenate([self._y_N, expected_M]))
