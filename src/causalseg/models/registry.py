"""The models there are, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from torch import Tensor, nn

from causalseg.errors import InputError
from causalseg.models.causalclipseg.config import CausalCLIPSegConfig
from causalseg.models.causalclipseg.model import CausalCLIPSeg
from causalseg.models.causalclipseg.objective import Objective as CausalCLIPSegObjective
from causalseg.models.mcdrl.config import MCDRLConfig
from causalseg.models.mcdrl.model import MCDRL
from causalseg.models.mcdrl.objective import Objective as MCDRLObjective
from causalseg.models.output import SegmentationOutput


class Objective(Protocol):
    """What training minimises, and who is updated when."""

    def __call__(
        self, output: SegmentationOutput, batch: Mapping[str, Tensor], step: int = 0
    ) -> dict[str, Tensor]:
        """Losses by name; `loss` is minimised, the rest is logged."""
        ...

    def updates(self, name: str, step: int) -> bool:
        """Whether the parameter called `name` takes part in the update of this step."""
        ...


@dataclass(frozen=True)
class Architecture:
    """A model's three parts."""

    config: type[Any]
    model: Callable[[Any], nn.Module]
    objective: Callable[[Any], Objective]


ARCHITECTURES: dict[str, Architecture] = {
    "causalclipseg": Architecture(CausalCLIPSegConfig, CausalCLIPSeg, CausalCLIPSegObjective),
    "mcdrl": Architecture(MCDRLConfig, MCDRL, MCDRLObjective),
}


def architecture(name: str) -> Architecture:
    """Look up an architecture.

    Raises:
        InputError: there is none of that name.

    """
    if name not in ARCHITECTURES:
        raise InputError(f"there is no model {name!r}; choose one of {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[name]


def architecture_name(model: nn.Module) -> str:
    """The registered name of a model's class."""
    return next(name for name, a in ARCHITECTURES.items() if a.model is type(model))


def build_model(name: str, **options: Any) -> nn.Module:
    """Build a model by name.

    Args:
        name: `causalclipseg` or `mcdrl`.
        options: fields of the model's config, e.g. `encoder="RN101"`, `weights="random"`.

    Raises:
        InputError: the name or an option is unknown, or options contradict each other.

    Example:
        >>> model = build_model("causalclipseg", encoder="RN101", weights="random")

    """
    found = architecture(name)
    known = [field.name for field in fields(found.config)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"{name} has no option {unknown[0]!r}; it has {', '.join(known)}.")
    return found.model(found.config(**options))
