"""All models, by name. A model is a folder and one line here."""

from dataclasses import fields
from importlib import import_module
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from causalseg.errors import InputError
from causalseg.inputs import one_line
from causalseg.models.base import SegmentationModel

MODELS = {
    "causalclipseg": "causalseg.models.causalclipseg.model:CausalCLIPSeg",
    "mcdrl": "causalseg.models.mcdrl.model:MCDRL",
    "unet": "causalseg.models.unet.model:UNet",
    "unetplusplus": "causalseg.models.unet.model:UNetPlusPlus",
    "attentionunet": "causalseg.models.unet.model:AttentionUNet",
    "nnunet": "causalseg.models.unet.model:NNUNet",
    "transunet": "causalseg.models.transunet.model:TransUNet",
    "swinunet": "causalseg.models.swinunet.model:SwinUnet",
    "uctransnet": "causalseg.models.uctransnet.model:UCTransNet",
    "convirt": "causalseg.models.pretrained.model:ConVIRT",
    "convirt_caption": "causalseg.models.pretrained.model:CaptionConVIRT",
    "tganet": "causalseg.models.tganet.model:TGANet",
    "tganet_caption": "causalseg.models.tganet.model:CaptionTGANet",
    "gloria": "causalseg.models.pretrained.model:GLoRIA",
    "gloria_caption": "causalseg.models.pretrained.model:CaptionGLoRIA",
    "vilt": "causalseg.models.vilt.model:ViLT",
    "lavt": "causalseg.models.lavt.model:LAVT",
    "lvit": "causalseg.models.lvit.model:LViT",
}
"""Name -> module and class, imported when the model is asked for."""
ModelOptions = dict[str, Any]
"""Fields of a model's config by their names, as a command line or a YAML gives them."""


def model_class(name: str) -> type[SegmentationModel]:
    """Look up a model's class.

    Raises:
        InputError: there is no model of that name, or a library it needs is not installed.

    """
    if name not in MODELS:
        raise InputError(f"there is no model {name!r}; choose one of {', '.join(MODELS)}.")
    module, _, attribute = MODELS[name].partition(":")
    try:
        found: type[SegmentationModel] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "causalseg":
            raise
        raise InputError(
            f"{name} needs {error.name}, which is not installed; install it with: "
            "pip install 'causalseg[peers]'."
        ) from error
    return found


def model_name(model: SegmentationModel) -> str:
    """The registered name of a model's class.

    Raises:
        InputError: its class is not in the registry.

    """
    path = f"{type(model).__module__}:{type(model).__qualname__}"
    for name, registered in MODELS.items():
        if registered == path:
            return name
    raise InputError(f"{path} is not a registered model; add its line to models/registry.py.")


def model_config(name: str, options: ModelOptions) -> Any:
    """The config of a model, checked.

    Raises:
        InputError: the name or an option is unknown, or options contradict each other.

    """
    found: Any = model_class(name).config_class
    known = [field.name for field in fields(found)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"{name} has no option {unknown[0]!r}; it has {', '.join(known)}.")
    for option, hint in get_type_hints(found).items():
        choices = _choices(hint)
        if choices is not None and option in options and options[option] not in choices:
            told = ", ".join(map(str, choices))
            raise InputError(f"{option} must be one of {told}, not {options[option]!r}.")
    # JSON and YAML have no tuples, and the configs have no lists.
    return found(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})


def _choices(hint: Any) -> tuple[Any, ...] | None:
    """The values that a type allows, if they can be listed and are not just true and false."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        parts = [(True, False) if part is bool else _choices(part) for part in get_args(hint)]
        if all(part is not None for part in parts):
            return tuple(value for part in parts for value in part or ())
    return None


def build_model(name: str, **options: Any) -> SegmentationModel:
    """Build a model by name, with its initial weights.

    Args:
        name: one of `MODELS`.
        options: fields of the model's config, e.g. `size="compact"`, `encoder="RN101"`.

    Raises:
        InputError: the name or an option is unknown, options contradict each other, or the initial
            weights cannot be read.

    Example:
        >>> model = build_model("causalclipseg", encoder="RN101", weights="random")

    """
    config = model_config(name, options)
    try:
        model = model_class(name)(config)
    except InputError:
        raise
    # What PyTorch's layers raise for sizes below 1, of other lengths, and the like.
    except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise InputError(f"{name} cannot be built so: {one_line(error)}.") from error
    model.initialise()
    return model
