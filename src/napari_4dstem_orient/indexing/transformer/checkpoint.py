"""Model files: safetensors that hold weights, reflections and a card in plain JSON."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import TransformerEncoderLayer

from napari_4dstem_orient.core.atomic import write
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.reading import check_room, file_hash, from_json, reading
from napari_4dstem_orient.core.units import electron_wavelength
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings, OrientationTransformer
from napari_4dstem_orient.indexing.transformer.published import (
    PUBLISHED,
    PublishedSettings,
    PublishedTransformer,
)

Network = OrientationTransformer | PublishedTransformer
AnySettings = NetworkSettings | PublishedSettings

FORMAT = "napari-4dstem-orient model 1"
LARGEST_NETWORK = {
    **dict.fromkeys(("tokens", "width", "radial_bins", "azimuth_bins", "intensity_bins"), 4096),
    **{"heads": 64, "layers": 64, "feedforward": 16384, "harmonics": 256, "hypotheses": 64, "phases": 64},
}
"""Sizes beyond which nobody trains, and some of which no memory holds."""


@dataclass(frozen=True)
class ModelCard:
    """What a model is for, how it was made and how good it is; all of it plain JSON.

    Attributes
    ----------
    phases : list of dict
        ``Phase.to_dict`` of every phase it tells apart.
    voltage : float
        kV.
    k_max : float
        Å⁻¹; disks beyond it are ignored.
    precession : float
        Half-angle in degrees.
    q_span : float
        Longest |q| that the network tells apart, Å⁻¹.
    network, synthesis, training : dict
        Settings that made it (training: patterns, batch, learning rate, seed, what it started from, seconds, and
        the figures of its validations as ``history``).
    data_hash : str
        SHA-256 of everything that determines the training patterns.
    others : list of dict
        Further ``phase``, ``voltage`` and ``precession`` that it was trained on: crystals of the first phase's
        structure.
    accuracy : dict
        Measured on patterns drawn with another seed; see ``evaluate``.
    program : str
        Name and version of the program that trained it.
    """

    phases: list[dict[str, Any]]
    voltage: float
    k_max: float
    precession: float
    q_span: float
    network: dict[str, Any]
    synthesis: dict[str, Any]
    training: dict[str, Any]
    data_hash: str
    others: list[dict[str, Any]] = field(default_factory=list)
    accuracy: dict[str, Any] = field(default_factory=dict)
    program: str = ""
    format: str = FORMAT

    @property
    def crystals(self) -> tuple[Phase, ...]:
        """The phases as phases."""
        return tuple(Phase.from_dict(values) for values in self.phases)

    @property
    def conditions(self) -> list[list[tuple[Phase, float, float, float]]]:
        """For each phase the crystals and beams it was trained on: crystal, kV, precession (degrees), stretch.

        Crystals of one structure differ in size; ``stretch`` is how much farther out another crystal's
        reflections lie than the phase's own.
        """
        found = [[(phase, self.voltage, self.precession, 1.0)] for phase in self.crystals]
        for other in self.others:
            crystal = Phase.from_dict(other["phase"])
            found[0].append(
                (crystal, other["voltage"], other["precession"], self.crystals[0].stretch_to(crystal))
            )
        return found

    @property
    def title(self) -> str:
        """One line for lists: ``"Cu · 300 kV · 2.1 Å⁻¹"``."""
        names = " + ".join(str(values["name"]) for values in self.phases)
        precession = f" · precession {self.precession:g}°" if self.precession else ""
        return f"{names} · {self.voltage:g} kV · {self.k_max:g} Å⁻¹{precession}"

    def to_json(self) -> str:
        """Return the card as readable JSON text."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with its card and the reflections of the crystals it is used for.

    Attributes
    ----------
    card : ModelCard
    network : Network
    crystals : tuple of Phase
        One for each phase of the card: its own, or those in their place (``of_crystals``).
    reflectors : tuple of Reflector
        Their reflections.
    sha256 : str
        Of the file.
    stretch : float
        How much farther out than in the model's own crystal the reflections lie.
    """

    card: ModelCard
    network: Network
    crystals: tuple[Phase, ...]
    reflectors: tuple[Reflector, ...]
    sha256: str = ""
    stretch: float = 1.0

    @property
    def tokens(self) -> int:
        """Disks of a pattern that the network reads, strongest first."""
        return min(int(self.card.network["tokens"]), self.network.enough)

    def in_half(self, precision: torch.dtype) -> Model:
        """Return the model, for inference alone, with an encoder that multiplies in another precision."""
        network = copy.deepcopy(self.network)
        for layer in network.encoder.layers:
            assert isinstance(layer, TransformerEncoderLayer)
            for part in (layer.self_attn, layer.linear1, layer.linear2):
                part.to(precision)
        return replace(self, network=network)

    def to(self, device: torch.device) -> Model:
        """Return the model on another device."""
        moved = tuple(reflector.to(device) for reflector in self.reflectors)
        return replace(self, network=self.network.to(device), reflectors=moved)

    def of_crystals(self, phases: Sequence[Phase], voltage: float, precession: float) -> Model:
        """Return the model for other crystals of the same structures, or another beam; see ``indexing.models``."""
        stretch = self.card.crystals[0].stretch_to(phases[0])
        device = self.reflectors[0].g.device
        k_max = self.card.k_max * stretch
        reflectors = tuple(Reflector.of(phase, voltage, k_max, precession, device) for phase in phases)
        return replace(self, crystals=tuple(phases), reflectors=reflectors, stretch=stretch)


def build_network(card: ModelCard) -> Network:
    """Make an untrained network of the card's architecture and size."""
    settings = network_settings(card)
    if isinstance(settings, PublishedSettings):
        return PublishedTransformer(settings, q_span=card.q_span)
    return OrientationTransformer(settings, q_span=card.q_span)


def network_settings(card: ModelCard) -> AnySettings:
    """Return the size of a card's network; ValueError where there could be no such network."""
    if card.network.get("architecture") == PUBLISHED:
        settings: AnySettings = from_plain(PublishedSettings, card.network)
    else:
        settings = from_plain(NetworkSettings, card.network)
    for name, size in vars(settings).items():
        if isinstance(size, int) and not 1 <= size <= LARGEST_NETWORK[name]:
            raise ValueError(f"a network with {size} {name} is none")
    if settings.width % settings.heads:
        raise ValueError(f"a width of {settings.width} cannot be shared by {settings.heads} heads")
    return settings


def save_model(model: Model, path: str | Path) -> None:
    """Write a model as safetensors, with its card inside and beside it (``.json``) for people.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {f"network.{name}": value.contiguous() for name, value in model.network.state_dict().items()}
    for index, reflector in enumerate(model.reflectors):
        for name in ("g", "intensity", "extinction"):
            tensors[f"reflections.{index}.{name}"] = getattr(reflector, name).contiguous()
    text = model.card.to_json()
    write(path, save({name: value.cpu() for name, value in tensors.items()}, {"card": text}))
    write(Path(path).with_suffix(".json"), text + "\n")


def read_card(path: str | Path) -> ModelCard:
    """Read only the card of a model file.

    Raises
    ------
    UserError
        If the file is missing, corrupt or not a model of this program.
    """
    from safetensors import safe_open

    with reading(path, "a model") as path:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if "card" not in metadata:
            raise UserError(f"{path} is a safetensors file but not a model of this program (it has no card).")
        return card_of(from_json(metadata["card"], dict))


def card_of(told: dict[str, Any]) -> ModelCard:
    """Make a card of plain values, which may come from anywhere.

    Raises
    ------
    UserError
        It is of another format.
    KeyError, TypeError, ValueError
        It describes no model.
    """
    if told.get("format") != FORMAT:
        raise UserError(f"It is a {told.get('format')!r}; this program reads {FORMAT!r}.")
    card = from_plain(ModelCard, told)
    ranges = {"voltage": (1, 5000), "k_max": (0.05, 20), "precession": (0, 10), "q_span": (0.05, 50)}
    for name, (low, high) in ranges.items():
        if not low <= getattr(card, name) <= high:
            raise ValueError(f"{name} is {getattr(card, name)} and must lie between {low} and {high}")
    if not card.phases or network_settings(card).phases != len(card.phases):
        raise ValueError(
            f"its network tells {network_settings(card).phases} phases apart, it names {len(card.phases)}"
        )
    for one in (*card.phases, *(other["phase"] for other in card.others)):
        Phase.from_dict(one)
    for other in card.others:
        if not (1 <= other["voltage"] <= 5000 and 0 <= other["precession"] <= 10):
            raise ValueError(
                f"it was trained at {other['voltage']} kV with {other['precession']}° precession"
            )
    return card


def load_model(path: str | Path, device: torch.device | str = "cpu") -> Model:
    """Read a model file.

    Raises
    ------
    UserError
        If the file is missing, corrupt, foreign or does not hold what its card says.
    """
    from safetensors.torch import load_file

    card = read_card(path)
    with reading(path, "the network that its card describes") as path:
        check_room(2 * path.stat().st_size, "The model")
        tensors = load_file(path, device=str(device))
        for name, value in tensors.items():
            if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
                raise UserError(f"{path} holds {name} that are not finite numbers; train the model again.")
        with torch.device("meta"):  # nothing is allocated before the shapes are known to be right
            shapes = build_network(card).state_dict()
        prefix = "network."
        weights = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
        _check_shapes(weights, {name: value.shape for name, value in shapes.items()})
        network = build_network(card).to(device)
        network.load_state_dict(weights)
        reflectors = tuple(_reflector(tensors, index, card) for index in range(len(card.phases)))
        return Model(card, network.eval(), card.crystals, reflectors, file_hash(path))


def _check_shapes(weights: dict[str, torch.Tensor], shapes: dict[str, torch.Size]) -> None:
    """Raise ValueError where weights are missing, or of other shapes than the network's."""
    for name in sorted({*weights, *shapes}):
        there = tuple(weights[name].shape) if name in weights else "none"
        wanted = tuple(shapes[name]) if name in shapes else "none"
        if there != wanted:
            raise ValueError(f"{name} has the shape {there} instead of {wanted}")


def _reflector(tensors: dict[str, torch.Tensor], index: int, card: ModelCard) -> Reflector:
    """Return the reflections of one of a model's crystals; ValueError where they contradict each other."""
    g, intensity, extinction = (
        tensors[f"reflections.{index}.{name}"] for name in ("g", "intensity", "extinction")
    )
    if not len(g) or g.shape[1:] != (3,) or not intensity.shape == extinction.shape == g.shape[:1]:
        raise ValueError(
            f"the reflections of crystal {index} have the shapes {tuple(g.shape)}, {tuple(intensity.shape)}"
        )
    return Reflector(g, intensity, extinction, electron_wavelength(card.voltage), card.precession)
