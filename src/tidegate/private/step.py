"""Private steps for a training loop of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.private.account import epsilon_of
from tidegate.private.generator import seed_default
from tidegate.private.gradient import Gradients, Losses
from tidegate.private.noise import add_noise
from tidegate.private.sampler import PoissonSampler
from tidegate.private.stream import SecretStream

TRIED = 4  # units that are run by themselves, once, to see that others do not change their losses
ALIKE = 1e-3  # of the largest of these losses: what roundings may differ by


class Step:
    """Steps of stochastic gradient descent with differential privacy, DP-SGD.

    Equations:
        each of N units takes part with probability q, by itself; B is who takes part
        g[b] = the gradient of the sum of all losses of unit b
        gradient = (sum_{b in B} min(1, C / |g[b]|) g[b] + sigma C n) / (q N),  n ~ N(0, 1)

    The divisor is the number of units that is expected, since the real one is a secret. A step in which nobody takes
    part is a step, too. Who takes part, dropout and the noise come from a stream whose key is the system's entropy; it
    is in ``state_dict``, and whoever has it can take the noise off.

    Args:
        model: any module whose units do not change each other. Recurrent layers are those of Tidegate
            (``tidegate.accelerate`` puts them in the place of torch's).
        optimizer: of its parameters.
        losses: gets the places of units, [n] int64, from 0 to N - 1, and returns their losses [n]; or for several rows
            of a unit the losses [rows] and for each row the index of its unit in what was given, [rows].
        units: N.
        rate: q.
        noise: sigma, the noise multiplier; see ``sigma_for``.
        clip_norm: C.
        piece: the most units that are run at once.
        insecure_seed: for tests: the stream begins with this number, known to everybody, and nothing is private.

    Attributes:
        steps: how many were made.
        stream: the source of all random numbers.

    Raises:
        InputError: a number out of its range, or an optimizer of other parameters.

    References:
        Abadi et al. 2016, arXiv 1607.00133.

    Example:
        >>> import torch, tidegate as tg
        >>> x, y = torch.randn(20, 500, 3), torch.rand(500)  # 20 steps of 500 sequences
        >>> class Model(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer, self.head = tg.nn.GRU(3, 8), torch.nn.Linear(8, 1)
        ...     def forward(self, x):
        ...         return self.head(self.layer(x)[0][-1])[:, 0]
        >>> model = Model()
        >>> step = tg.private.Step(
        ...     model, torch.optim.Adam(model.parameters()), lambda places: (model(x[:, places]) - y[places]) ** 2,
        ...     units=500, rate=0.1, noise=1.0, clip_norm=1.0,
        ... )
        >>> for _ in range(3):
        ...     step()
        >>> step.steps, step.epsilon(delta=1e-4) < 2
        (3, True)
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        losses: Callable[[torch.Tensor], Losses],
        *,
        units: int,
        rate: float,
        noise: float,
        clip_norm: float = 1.0,
        piece: int = 128,
        insecure_seed: int | None = None,
    ) -> None:
        _check_range("clip_norm", clip_norm, clip_norm > 0, "above 0")
        _check_range("noise", noise, 0 <= noise < math.inf, "0 or more")
        _check_range("piece", piece, piece >= 1, "1 or more")
        self.model, self.optimizer, self.losses = model, optimizer, losses
        self.units, self.rate, self.noise, self.piece = units, rate, noise, piece
        self.stream, self.steps, self._tried = SecretStream.fresh(insecure_seed), 0, False
        self._gradients = Gradients(model, clip_norm)
        self._sampler = PoissonSampler(units, rate, self.stream)
        _check_optimizer(model, optimizer)

    def __call__(self) -> None:
        """Draw who takes part, and let the optimizer make a step with their private gradient."""
        self.gradient()
        self.optimizer.step()
        self.steps += 1

    def gradient(self) -> None:
        """Draw who takes part, and put their private gradient into ``grad`` of every parameter.

        Raises:
            InputError: the model or its losses are such that no gradient is that of a single unit; or a gradient is
                not finite.
        """
        places = self._sampler.draw()
        self._gradients.clear()
        with torch.random.fork_rng(devices=[]):
            seed_default(self.stream)  # masks are secret, too
            if not self._tried and len(places) > 1:
                self._check_alone(places[:TRIED])
                self._tried = True
            for piece in places.split(self.piece) if len(places) else ():
                norms = self._gradients.add(partial(self.losses, piece), len(piece))
                if not bool(norms.isfinite().all()):
                    raise InputError(
                        "PRIVATE_FINITE",
                        f"the gradient of a unit is not finite at step {self.steps + 1}",
                        fix="take a smaller learning rate, or look for values in the data that are not finite",
                    )
        sums = self._gradients.sums
        add_noise(list(sums.values()), self._gradients.clip_norm, self.noise, self.stream)
        for parameter, total in sums.items():
            parameter.grad = total / (self.rate * self.units)

    def epsilon(self, delta: float) -> float:
        """What the steps so far have cost, by the accountant of privacy loss distributions, rounded up.

        Args:
            delta: the probability with which it may not hold.

        Returns:
            epsilon; infinite without noise, or where the seed is known.
        """
        if self.stream.insecure_seed is not None or not self.noise:
            return math.inf
        return epsilon_of(self.rate, self.noise, self.steps, delta) if self.steps else 0.0

    def state_dict(self) -> dict[str, Any]:
        """The number of steps and the stream, plain data, from which ``load_state_dict`` goes on exactly.

        It holds the key of the stream, so keep it as secret as the data and delete it when training ends.
        """
        return {"steps": self.steps, "stream": self.stream.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another run stopped.

        Args:
            state: from ``state_dict``.

        Raises:
            InputError: it is no such state.
        """
        stream = SecretStream.from_state(state.get("stream"))
        self.steps, self.stream = int(state["steps"]), stream
        self._sampler = PoissonSampler(self.units, self.rate, stream)

    @torch.no_grad()
    def _check_alone(self, places: torch.Tensor) -> None:
        """Refuse a model whose losses of a unit change with who else takes part, such as by the longest in a batch."""
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        try:
            together = self._of_units(places)
            alone = torch.cat([self._of_units(place) for place in places.split(1)])
        finally:
            for module, mode in modes.items():
                module.training = mode
        if float((together - alone).abs().max()) > ALIKE * float(together.abs().max()):
            raise InputError(
                "PRIVATE_MIXED",
                "the loss of a unit changes with the other units of a batch, so its gradient is not its own",
                fix="read the last valid step of each sequence (lengths=), not that of the longest one; and no means "
                "over a batch",
            )

    def _of_units(self, places: torch.Tensor) -> torch.Tensor:
        answer = self.losses(places)
        losses, owner = answer if isinstance(answer, tuple) else (answer, None)
        return losses if owner is None else losses.new_zeros(len(places)).index_add_(0, owner, losses)


def _check_range(name: str, value: float, inside: bool, expected: str) -> None:
    if not inside:
        raise InputError("PRIVATE_RANGE", f"{name} is {value:g}, expected {expected}", fix=f"pass {name} {expected}")


def _check_optimizer(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    own = {id(parameter) for parameter in model.parameters()}
    strange = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in own]
    if strange:
        raise InputError(
            "PRIVATE_OPTIMIZER",
            f"the optimizer has {len(strange)} parameters that are not the model's",
            fix="make it after the model, and after tidegate.accelerate: SGD(model.parameters())",
        )
