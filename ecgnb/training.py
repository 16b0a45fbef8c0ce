"""One fit loop for every network of the book, also for many personal models at once."""

import contextlib
import copy
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, ...]

PATIENCE, LEAST_GAIN, LEAST_RATE = 4, 0.01, 1 / 16


@dataclass(frozen=True)
class FitOptions:
    """Choices of a fit; steps rather than epochs, as windows are drawn at random.

    The learning rate rises for a fifth of the steps and falls to zero (one cycle, Smith 2018).
    Every `check_every` steps the validation error is taken and each member's best state kept.

    With `to_plateau` the rate stays until the validation error does: it is halved when
    `PATIENCE` checks in a row brought no error `LEAST_GAIN` below the least one (the mean over
    members), and a fit ends when it would fall below `LEAST_RATE` of its start, or after `n_step`.
    """

    n_step: int = 300
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    check_every: int = 50
    seed: int = 0
    to_plateau: bool = False

    def __post_init__(self) -> None:
        if self.n_step < 1 or self.check_every < 1:
            raise ValueError("n_step and check_every must be at least 1")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")


@dataclass
class History:
    """What a fit went through: one row per check, validation error per member, CPU seconds.

    `step_taken` is how far the weights go from their start to where the fit took them, where
    that is chosen afterwards: 1 all the way, 0 not at all.
    """

    step: list[int] = field(default_factory=list)
    cpu_s_at: list[float] = field(default_factory=list)
    terms: list[dict[str, float]] = field(default_factory=list)
    validation: list[list[float]] = field(default_factory=list)
    best_step: list[int] = field(default_factory=list)
    step_taken: float = 1.0
    cpu_s: float = 0.0


def fit(
    model: nn.Module,
    draw: Callable[[torch.Generator], Batch],
    loss: Callable[..., dict[str, Tensor]],
    *,
    validate: Callable[[nn.Module], Tensor],
    options: FitOptions | None = None,
) -> History:
    """Return the history of a fit; the model ends in its best state on the validation data.

    Parameters
    ----------
    model
        With an attribute `n_member` greater than 1, every parameter must start with that axis
        and the members are independent: each keeps its own best state.
    draw
        Gives the tensors of one step from a generator.
    loss
        `loss(model, *batch)` gives named terms; their sum over names is minimised. Members that
        share a step must be summed, not averaged, so that they do not feel each other.
    validate
        Gives one error per member `(member,)`, smaller is better.
    """
    options = options or FitOptions()
    torch.backends.cudnn.deterministic = True  # on CUDA too, a seed gives one network
    generator = torch.Generator().manual_seed(options.seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    schedule = _Schedule(optimiser, options)
    keeper, history, started = _BestState(model), History(), time.process_time()
    for step in range(1, options.n_step + 1):
        terms = _step(model, loss, draw(generator), optimiser, options)
        schedule.step()
        if step % options.check_every == 0 or step == options.n_step:
            model.eval()
            with torch.no_grad():
                error = validate(model).detach().reshape(-1).cpu()
            keeper.offer(error, step)
            history.step.append(step)
            history.cpu_s_at.append(time.process_time() - started)
            history.terms.append({name: float(term.detach()) for name, term in terms.items()})
            history.validation.append(error.tolist())
            if schedule.is_over(float(error.mean())):
                break
    keeper.restore()
    history.best_step, history.cpu_s = keeper.best_step, time.process_time() - started
    return history


class _Schedule:
    """The learning rate of a fit: one cycle, or as it stands until the validation error does."""

    def __init__(self, optimiser: torch.optim.Optimizer, options: FitOptions) -> None:
        self.optimiser, self.options = optimiser, options
        rates = torch.optim.lr_scheduler
        if options.to_plateau:
            self.rates = rates.ReduceLROnPlateau(
                optimiser, factor=0.5, patience=PATIENCE - 1, threshold=LEAST_GAIN
            )
        else:
            n_step = max(options.n_step, 10) + 1
            self.rates = rates.OneCycleLR(
                optimiser, options.learning_rate, total_steps=n_step, pct_start=0.2
            )

    def step(self) -> None:
        """Go on after a step of the optimiser."""
        if not self.options.to_plateau:
            self.rates.step()

    def is_over(self, error: float) -> bool:
        """Return whether the fit ends, after a check that found a mean validation error."""
        if not self.options.to_plateau:
            return False
        self.rates.step(error)
        least = LEAST_RATE * self.options.learning_rate
        return self.optimiser.param_groups[0]["lr"] < least


def _step(
    model: nn.Module,
    loss: Callable[..., dict[str, Tensor]],
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    options: FitOptions,
) -> dict[str, Tensor]:
    """Return the loss terms of one step taken by the optimiser."""
    model.train()
    terms = loss(model, *batch)
    optimiser.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    _clip_gradients(model, options.clip)
    optimiser.step()
    return terms


def _clip_gradients(model: nn.Module, largest: float) -> None:
    """Shorten the gradient of each member to a norm of at most `largest`."""
    n_member = getattr(model, "n_member", 1)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    squares = [g.reshape(n_member, -1).square().sum(dim=1) for g in gradients]
    norm = torch.stack(squares).sum(dim=0).sqrt()
    factor = (largest / (norm + 1e-12)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.reshape(-1, *[1] * (gradient.ndim - 1)) if n_member > 1 else factor)


class _BestState:
    """The parameters of each member at its least validation error."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.n_member = model, getattr(model, "n_member", 1)
        self.error = torch.full((self.n_member,), float("inf"))
        self.best_step = [0] * self.n_member
        self.state = [p.detach().clone() for p in model.parameters()]

    def offer(self, error: Tensor, step: int) -> None:
        """Keep the present parameters of the members that are better than before."""
        if error.shape != self.error.shape:
            raise ValueError(f"{self.n_member} members gave {tuple(error.shape)} errors")
        better = error < self.error
        self.error = torch.where(better, error, self.error)
        for member in torch.nonzero(better).flatten().tolist():
            self.best_step[member] = step
        for kept, now in zip(self.state, self.model.parameters(), strict=True):
            rows = better if self.n_member > 1 else slice(None) if bool(better[0]) else slice(0, 0)
            kept[rows] = now.detach()[rows]

    def restore(self) -> None:
        """Put the kept parameters back into the model."""
        with torch.no_grad():
            for kept, now in zip(self.state, self.model.parameters(), strict=True):
                now.copy_(kept)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Draw a network's first weights from a seed; PyTorch's own generator is then as before.

    Layers take their weights from that generator alone, so that it has to be lent. What comes is
    a generator of one's own for noise; it begins where the seed's draws have come to on leaving.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with seeded(3):
    ...     first = nn.Linear(2, 2)
    >>> with seeded(3):
    ...     second = nn.Linear(2, 2)
    >>> bool((first.weight == second.weight).all() and (before == torch.get_rng_state()).all())
    True
    """
    noise = torch.Generator()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield noise
        noise.set_state(torch.get_rng_state())


class Stack(nn.Module):
    """Networks of one form trained at once: parameters `(member, ...)`, inputs `(member, ...)`.

    Each member's layers run as one grouped layer of all members (`torch.vmap`).

    Examples
    --------
    >>> stack = Stack([nn.Linear(2, 3) for _ in range(4)])
    >>> stack(torch.ones(4, 5, 2)).shape, stack.member(1)(torch.ones(5, 2)).shape
    (torch.Size([4, 5, 3]), torch.Size([5, 3]))
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.n_member = len(members)
        self._form = (copy.deepcopy(members[0]),)  # in a tuple, so that it is no part of this one
        together, _ = torch.func.stack_module_state(list(members))
        self._names = list(together)
        self.stacked = nn.ParameterList(part.detach() for part in together.values())

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what each member says of its inputs, `(member, ...)`."""
        weights = dict(zip(self._names, self.stacked, strict=True))
        return torch.vmap(lambda *one: torch.func.functional_call(self._form[0], one[0], one[1:]))(
            weights, *inputs
        )

    def member(self, number: int) -> nn.Module:
        """Return one member with its present weights."""
        alone = copy.deepcopy(self._form[0]).to(self.stacked[0].device)
        with torch.no_grad():
            for (_, weight), part in zip(alone.named_parameters(), self.stacked, strict=True):
                weight.copy_(part[number])
        return alone


def fitting_device() -> torch.device:
    """Return where to fit: CUDA if there is a card, else the CPU; `ECGNB_DEVICE` overrules.

    Fitted networks come back to the CPU.
    """
    found = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(os.environ.get("ECGNB_DEVICE") or found)


def draw_windows(
    windows: tuple[Tensor, ...], batch_size: int
) -> Callable[[torch.Generator], Batch]:
    """Return a function that draws the same random rows of several tensors `(window, ...)`."""
    n_window = windows[0].shape[0]

    def draw(generator: torch.Generator) -> Batch:
        rows = torch.randint(n_window, (batch_size,), generator=generator)
        return tuple(part.index_select(0, rows.to(part.device)) for part in windows)

    return draw


def count_weights(model: nn.Module) -> int:
    """Return the number of trainable weights of one member.

    Examples
    --------
    >>> count_weights(nn.Linear(3, 2))
    8
    """
    return sum(p.numel() for p in model.parameters()) // getattr(model, "n_member", 1)
