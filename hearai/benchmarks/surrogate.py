"""A surrogate of the demo task: Gaussian processes fitted to recorded learning curves.

Each curve is expressed in principal components; each component is a Gaussian process over the parameters (squared
exponential kernel with a length scale per parameter, fitted by marginal likelihood; Rasmussen & Williams 2006,
chapter 5). The residual is the noise of a seed, drawn for each (params, seed).

Surrogate benchmarks follow Eggensperger et al. 2015. `held_out_error` measures how well unseen runs are predicted; it
is printed with each benchmark.
"""

import functools
import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from hearai.benchmarks.curves import Curve, read_curves, recorded_study
from hearai.config.search_space.domains import Domain, Value
from hearai.config.search_space.space import Space

# N recorded runs, D parameters, E epochs, P principal components

COMPONENTS, FIT_STEPS = 4, 60


class Surrogate:
    """Predicts learning curve and seconds per epoch for any point of the space."""

    def __init__(self, space: Space, curves: Sequence[Curve]):
        self.space = space
        x_ND = torch.tensor(np.array([self._coordinates(curve.params) for curve in curves]))
        y_NE = torch.tensor([curve.values for curve in curves], dtype=torch.float64)
        self._mean_E = y_NE.mean(0)
        _, _, basis = torch.linalg.svd(y_NE - self._mean_E, full_matrices=False)
        self._basis_PE = basis[:COMPONENTS]
        weights_NP = (y_NE - self._mean_E) @ self._basis_PE.T
        self._processes = [_GaussianProcess(x_ND, weights_NP[:, p]) for p in range(COMPONENTS)]
        self._epoch_noise = float((y_NE - self._mean_E - weights_NP @ self._basis_PE).std())
        ones_N1 = torch.ones(len(curves), 1, dtype=torch.float64)
        seconds_N = torch.tensor([curve.seconds for curve in curves], dtype=torch.float64)
        self._seconds = torch.linalg.lstsq(torch.cat([x_ND, ones_N1], 1), seconds_N.log()[:, None]).solution[:, 0]

    @property
    def epochs(self) -> int:
        """Epochs of a complete run."""
        return len(self._mean_E)

    def curve(self, params: Mapping[str, Value], seed: int) -> list[float]:
        """Validation macro-F1 after each epoch of a run, including the noise of the seed."""
        x_D = torch.tensor(self._coordinates(params))
        rng = np.random.default_rng(_hash(params, seed))
        weights = [process.mean(x_D) + process.noise * rng.standard_normal() for process in self._processes]
        values_E = self._mean_E.numpy() + np.array(weights) @ self._basis_PE.numpy()
        return list(np.clip(values_E + self._epoch_noise * rng.standard_normal(self.epochs), 0, 1))

    def true_value(self, params: Mapping[str, Value]) -> float:
        """Noise-free validation macro-F1 of the best epoch."""
        return float(self.true_values([params])[0])

    def true_values(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """The same of several points at once, (points,)."""
        x_MD = torch.tensor(np.array([self._coordinates(params) for params in points]))
        weights_MP = torch.stack([process.means(x_MD) for process in self._processes], 1)
        return (self._mean_E + weights_MP @ self._basis_PE).amax(1).numpy()

    def epoch_seconds(self, params: Mapping[str, Value]) -> float:
        """CPU seconds of an epoch."""
        x = torch.tensor([*self._coordinates(params), 1.0], dtype=torch.float64)
        return math.exp(float(x @ self._seconds)) / self.epochs

    def _coordinates(self, params: Mapping[str, Value]) -> list[float]:
        return [_unit(domain, params[path]) for path, domain in self.space.domains.items()]


class _GaussianProcess:
    """A Gaussian process with a length scale per coordinate; values are standardised."""

    def __init__(self, x_ND: Tensor, y_N: Tensor):
        self._x_ND, self._shift, self._scale = x_ND, float(y_N.mean()), float(y_N.std()) or 1.0
        y_N = (y_N - self._shift) / self._scale
        log = torch.zeros(x_ND.shape[1] + 2, dtype=torch.float64)
        log[-1] = math.log(0.3)
        log.requires_grad_(True)  # length scales, signal, noise
        optimizer = torch.optim.Adam([log], lr=0.2)
        for _ in range(FIT_STEPS):
            optimizer.zero_grad()
            self._loss(log, y_N).backward()
            optimizer.step()
        self._log = log.detach()
        root = torch.linalg.cholesky(self._covariance(self._log, x_ND, x_ND) + self._ridge(self._log, len(y_N)))
        self._alpha_N = torch.cholesky_solve(y_N[:, None], root)[:, 0]
        self.noise = self._scale * math.exp(float(self._log[-1]))

    def mean(self, x_D: Tensor) -> float:
        """The posterior mean at a point."""
        return float(self.means(x_D[None])[0])

    def means(self, x_MD: Tensor) -> Tensor:
        """The posterior means at several points, (M,)."""
        return self._shift + self._scale * self._covariance(self._log, x_MD, self._x_ND) @ self._alpha_N

    def _loss(self, log: Tensor, y_N: Tensor) -> Tensor:
        """Negative log marginal likelihood, with a weak prior on the length scales around 2 (most matter little)."""
        root = torch.linalg.cholesky(self._covariance(log, self._x_ND, self._x_ND) + self._ridge(log, len(y_N)))
        fit = 0.5 * y_N @ torch.cholesky_solve(y_N[:, None], root)[:, 0] + root.diagonal().log().sum()
        return fit + 0.5 * ((log[:-2] - math.log(2.0)) ** 2).sum()

    def _covariance(self, log: Tensor, a_ND: Tensor, b_MD: Tensor) -> Tensor:
        scales_D = log[:-2].exp()
        return (2 * log[-2]).exp() * (-0.5 * torch.cdist(a_ND / scales_D, b_MD / scales_D) ** 2).exp()

    def _ridge(self, log: Tensor, count: int) -> Tensor:
        return ((2 * log[-1]).exp() + 1e-6) * torch.eye(count, dtype=torch.float64)


def _unit(domain: Domain, value: Value) -> float:
    """Position in the domain as 0..1, on its (log) scale; choices by their order."""
    if domain.kind == "choice":
        return domain.values.index(value) / max(1, len(domain.values) - 1)
    assert isinstance(value, int | float)
    scale = math.log if domain.log else float
    low, high = scale(domain.low), scale(domain.high)
    return (scale(value) - low) / (high - low)


def _hash(params: Mapping[str, Value], seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(repr((sorted(params.items()), seed)).encode(), digest_size=8).digest(), "big")


@functools.cache
def demo_surrogate() -> Surrogate:
    """The surrogate of the recorded table."""
    return Surrogate(recorded_study().space, read_curves())


def held_out_error(folds: int = 5) -> tuple[float, float]:
    """(root mean squared error, rank correlation) of the best epoch's predicted value, by cross-validation."""
    curves, space = read_curves(), recorded_study().space
    predicted, true = [], []
    for fold in range(folds):
        model = Surrogate(space, [curve for i, curve in enumerate(curves) if i % folds != fold])
        held_out = [curve for i, curve in enumerate(curves) if i % folds == fold]
        predicted += [model.true_value(curve.params) for curve in held_out]
        true += [curve.best for curve in held_out]
    error = float(np.sqrt(np.mean((np.array(predicted) - np.array(true)) ** 2)))
    ranks_predicted, ranks_true = (np.argsort(np.argsort(values)).astype(float) for values in (predicted, true))
    return error, float(np.corrcoef(ranks_predicted, ranks_true)[0, 1])
