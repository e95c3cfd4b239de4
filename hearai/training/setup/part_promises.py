"""The promises that parts of the user's own must keep, as ours do: shapes, mask, gradients, state, repeatability.

B clips, T frames, K classes.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from hearai.config.model_parts.load_part import describe_error
from hearai.training.optim.loss import takes_smoothing

MASK_BT = torch.tensor([[True, True, True, True], [True, True, False, False]])
"""Of the clips that the checks use; the last frames of the second one are padding."""
PADDING = (0.0, 7.0)
"""Content of padded frames, which must not matter."""
TOLERANCE = 1e-4
"""Largest difference that counts as rounding, of values up to 1."""


class _Broken(Exception):
    """A promise that a part does not keep: what was found, and what was expected."""


def module_problems(build: Callable[[], nn.Module], x: Tensor, *, frames: int | None) -> Iterator[str]:
    """What is wrong with a module with the attribute `width` that maps (x, mask) to vectors of this width.

    Args:
        x: (B, T, ...) of `MASK_BT`.
        frames: T, for one vector per frame; None = one per clip.
    """
    own = build()
    file, clips = _file(own), len(MASK_BT)
    if lazy := [name for name, module in own.named_modules() if isinstance(module, LazyModuleMixin)]:
        yield f"has lazy modules, whose size is not known yet: {', '.join(lazy[:5])}; state their sizes ({file})"
        return
    shape = (clips, own.width) if frames is None else (clips, frames, own.width)
    try:
        with torch.no_grad():
            own.eval()
            output = _run(own, x, MASK_BT, shape, file)
            yield from _padding_problems(own, x, output, file)
            yield from _state_problems(own, build, x, output, file)
        yield from _gradient_problems(own.train(), x, shape, file)
    except _Broken as problem:
        yield str(problem)


def _run(own: nn.Module, x: Tensor, mask_BT: Tensor, shape: tuple[int, ...] | None, file: str) -> Tensor:
    """Its output.

    Raises:
        _Broken: it fails, or the output has another type or shape, or is not finite.
    """
    call = f"forward(x {tuple(x.shape)}, mask {tuple(mask_BT.shape)})"
    with _explained(f"{call} failed"):
        output = own(x, mask_BT)
    if not isinstance(output, Tensor):
        raise _Broken(f"{call} returned a {type(output).__name__}; expected a tensor ({file})")
    if shape is not None and output.shape != shape:
        names = "(B, T, width)" if len(shape) == 3 else "(B, width)"
        raise _Broken(f"{call} returned the shape {tuple(output.shape)}; expected {names} = {shape} ({file})")
    if output.dtype != torch.float32:
        raise _Broken(f"{call} returned {output.dtype}; expected torch.float32, as the layers after it take ({file})")
    if not output.isfinite().all():
        raise _Broken(f"{call} returned values that are not finite, at padded frames or others; expected none ({file})")
    return output


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Raises _Broken for whatever the user's code raises."""
    try:
        yield
    except _Broken:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the user's code may raise anything)
        raise _Broken(f"{what}: {describe_error(error)}") from error


def _padding_problems(own: nn.Module, x: Tensor, output: Tensor, file: str) -> Iterator[str]:
    """Whether the second clip gives the same alone as it gives padded, whatever the padding holds."""
    real = int(MASK_BT[1].sum())
    alone = _run(own, x[1:, :real], MASK_BT[1:, :real], None, file)
    for content in PADDING:
        padded = x.clone()
        padded[1, real:] = content
        found = _run(own, padded, MASK_BT, tuple(output.shape), file)
        together = found[1:, :real] if found.ndim == 3 else found[1:]
        if alone.shape != together.shape or not torch.allclose(alone, together, atol=TOLERANCE, rtol=TOLERANCE):
            yield (
                f"a clip of {real} frames gives other values with {MASK_BT.shape[1] - real} padded frames than alone; "
                f"padding, where the mask is false, must not matter: use the mask ({file})"
            )
            return


def _state_problems(
    own: nn.Module, build: Callable[[], nn.Module], x: Tensor, output: Tensor, file: str
) -> Iterator[str]:
    """Whether another one with its state dict gives the same: what a saved model needs."""
    other = build().eval()
    with _explained("load_state_dict(state_dict()) failed"):
        other.load_state_dict(own.state_dict())
    if not torch.equal(_run(own, x, MASK_BT, None, file), output):
        yield f"the same input gives different outputs in evaluation mode; expected the same ({file})"
    elif not torch.allclose(_run(other, x, MASK_BT, None, file), output, atol=TOLERANCE, rtol=TOLERANCE):
        yield (
            "another one with the same state dict gives other values, so that a saved model would not be the trained "
            f"one; register weights as nn.Parameter, buffer or in an nn.ModuleList ({file})"
        )


def _gradient_problems(own: nn.Module, x: Tensor, shape: tuple[int, ...], file: str) -> Iterator[str]:
    """Whether the loss can change every weight."""
    weights = {name: weight for name, weight in own.named_parameters() if weight.requires_grad}
    if not weights:
        return
    output = _run(own, x, MASK_BT, shape, file)
    if not output.requires_grad:
        yield f"the output does not depend on any weight; gradients must reach them: no detach(), no no_grad() ({file})"
        return
    real = output[MASK_BT] if output.ndim == 3 else output
    with _explained("backward() failed"):
        (real * torch.randn_like(real)).sum().backward()
    if missed := [name for name, weight in weights.items() if weight.grad is None]:
        yield (
            f"no gradient reaches {', '.join(missed[:5])}{' ...' if len(missed) > 5 else ''}; use these weights in "
            f"forward, remove them, or set requires_grad = False ({file})"
        )
    grads = [weight.grad for weight in weights.values() if weight.grad is not None]
    if any(not grad.isfinite().all() for grad in grads):
        yield f"gradients are not finite; expected finite ones ({file})"
    elif not any(grad.any() for grad in grads):
        yield f"all gradients are 0, so that nothing is learned ({file})"


def loss_problems(own: nn.Module, smoothing: float) -> Iterator[str]:
    """What is wrong with a loss; smoothing: the label smoothing that is configured."""
    file = _file(own)
    if any(True for _ in own.parameters()):
        yield f"has weights of its own, which are not trained; register them as buffers ({file})"
    if smoothing and not takes_smoothing(own):
        yield (
            "forward takes no label_smoothing, but train_parameters.label_smoothing is "
            f"{smoothing:g}; set it to 0, or add the argument ({file})"
        )
    for classes in (2, 7):
        try:
            _check_loss(own, classes, file)
        except _Broken as problem:
            yield str(problem)
            return


def _check_loss(own: nn.Module, classes: int, file: str) -> None:
    """Raises _Broken unless it gives a finite loss per clip, with gradients, for this number of classes."""
    logits_BK, labels_B = torch.randn(6, classes, requires_grad=True), torch.arange(6) % classes
    call = f"forward(logits {tuple(logits_BK.shape)}, labels (6,))"
    with _explained(f"{call} failed"):
        loss_B = own(logits_BK, labels_B, **({"label_smoothing": 0.1} if takes_smoothing(own) else {}))
    if not isinstance(loss_B, Tensor) or loss_B.shape != labels_B.shape:
        found = f"the shape {tuple(loss_B.shape)}" if isinstance(loss_B, Tensor) else f"{loss_B!r:.60}"
        raise _Broken(f"{call} returned {found}; expected (B,) = (6,), one loss per clip, no mean ({file})")
    if not loss_B.isfinite().all():
        raise _Broken(f"{call} returned values that are not finite ({file})")
    if not loss_B.requires_grad:
        raise _Broken(f"{call} does not depend on the logits; gradients must reach them ({file})")
    with _explained("backward() failed"):
        loss_B.sum().backward()
    if logits_BK.grad is None or not logits_BK.grad.isfinite().all() or not logits_BK.grad.any():
        raise _Broken(f"the gradient of {call} is 0 or not finite ({file})")


def augmentation_problems(own: Any, inputs: Mapping[str, Tensor]) -> Iterator[str]:
    """What is wrong with an augmentation; inputs: of one clip, as it gets them."""
    if not callable(own):
        yield f"cannot be called; expected __call__(inputs) -> inputs ({_file(own)})"
        return
    before = {name: tensor.clone() for name, tensor in inputs.items()}
    try:
        outputs = [_augmented(own, inputs) for _ in range(2)]
    except _Broken as problem:
        yield str(problem)
        return
    if any(not torch.equal(inputs[name], before[name]) for name in before):
        yield f"changes its inputs in place; return new tensors ({_file(own)})"
    elif any(not torch.equal(outputs[0][name], outputs[1][name]) for name in before):
        yield (
            "gives different outputs from the same seed of torch; draw random numbers from torch alone, so that a run "
            f"can be repeated ({_file(own)})"
        )


def _augmented(own: Callable[[dict[str, Tensor]], Any], inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Its outputs from one seed.

    Raises:
        _Broken: it fails, or returns other inputs, types or shapes.
    """
    shapes = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in inputs.items()}
    call = "__call__({" + ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in shapes.items()) + "})"
    torch.manual_seed(0)
    with _explained(f"{call} failed"):
        outputs = own(dict(inputs))
    if not isinstance(outputs, Mapping) or set(outputs) != set(inputs):
        found = f"the inputs {', '.join(map(str, outputs))}" if isinstance(outputs, Mapping) else f"{outputs!r:.60}"
        raise _Broken(f"{call} returned {found}; expected a dict of {', '.join(inputs)} ({_file(own)})")
    for name, (shape, dtype) in shapes.items():
        found = outputs[name]
        if not isinstance(found, Tensor) or (tuple(found.shape), found.dtype) != (shape, dtype):
            what = f"{tuple(found.shape)} {found.dtype}" if isinstance(found, Tensor) else f"{found!r:.60}"
            raise _Broken(f"{call} returned {name} as {what}; expected {shape} {dtype} ({_file(own)})")
        if found.is_floating_point() and not found.isfinite().all():
            raise _Broken(f"{call} returned {name} with values that are not finite ({_file(own)})")
    return dict(outputs)


def _file(own: object) -> str:
    try:
        return inspect.getfile(type(own))
    except (TypeError, OSError):
        return type(own).__module__
