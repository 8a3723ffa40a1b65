"""What the inspector's views show of one position: pictures, marks and words; for any thread. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.bragg_disks import SURE
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.directions import zone_axis
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.methods import METHODS
from napari_4dstem_orient.indexing.settings import PredictionSettings
from napari_4dstem_orient.napari_plugin.pattern_view.inspection import (
    NO_BREAK,
    Answer,
    Position,
    farthest_apart,
    hypothesis_texts,
    name_directions,
    predict,
    variants,
)
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import (
    CIRCLE,
    CRYSTALS,
    LABELS,
    SYMBOLS,
    MarkSet,
    Style,
    matched,
    of_crystals,
    rings,
)
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import USUAL, Contrast, grey_levels
from napari_4dstem_orient.napari_plugin.pattern_view.spot_matching import (
    Marks,
    in_variant,
    plane_indices,
    plane_text,
)
from napari_4dstem_orient.napari_plugin.state.indexers import Indexers

if TYPE_CHECKING:
    from napari_4dstem_orient.napari_plugin.state.snapshot import BeamConditions, Snapshot


@dataclass(frozen=True)
class ViewOptions:
    """How the user wants answers to be drawn.

    Attributes
    ----------
    prediction : PredictionSettings or None
        None for the usual ones.
    labels, residuals, attention : bool
        Whether reflections are named, residual arrows drawn, and rings drawn by the transformer's attention.
    crystal : int
        Which one of a pattern's crystals is drawn, 1 for the first; 0 for all.
    contrast : Contrast
        Of the measured pattern.
    """

    prediction: PredictionSettings | None = None
    labels: bool = False
    residuals: bool = False
    attention: bool = False
    crystal: int = 0
    contrast: Contrast = USUAL


@dataclass(frozen=True, eq=False)
class PatternViewState:
    """One view: what it draws, and what is said below it.

    Attributes
    ----------
    picture : ndarray, uint8, shape (det_y, det_x), or None
    marks : list of MarkSet
    labels : list of (ndarray, str)
    words : str
        Rich text; empty where there is no answer to describe.
    text_at : callable
        What a place, pixels from the direct beam, is: plain text, empty for nothing.
    hypotheses : list of str
        What the method's best answer and its rivals are, in a line each.
    """

    picture: np.ndarray | None
    marks: list[MarkSet]
    labels: list[tuple[np.ndarray, str]]
    words: str
    text_at: Callable[[np.ndarray], str]
    hypotheses: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class InspectorState:
    """All views of one position.

    Attributes
    ----------
    position : Position
    answers : dict of str to Answer
        By method: those that are shown.
    first : dict of str to Answer
        Each method's best.
    panes : dict of str to PatternViewState
        ``"measured"``, and one for each method.
    apart : float or None
        Degrees between the answers, the largest of more than two.
    attention : ndarray, shape (n,), or None
        Share that each of ``position.disks`` got.
    trouble : str
        Why there is no attention though it was asked for.
    look : ViewOptions
        With which they are drawn.
    """

    position: Position
    answers: dict[str, Answer]
    first: dict[str, Answer]
    panes: dict[str, PatternViewState] = field(default_factory=dict)
    apart: float | None = None
    attention: np.ndarray | None = None
    trouble: str = ""
    look: ViewOptions = field(default_factory=ViewOptions)


def legend(shown: InspectorState) -> list[Style]:
    """Return the kinds of marks that are seen, each once."""
    marks = [each for pane in shown.panes.values() for each in pane.marks if len(each.where)]
    return list(dict.fromkeys(each.style for each in marks))


def legend_text(styles: list[Style]) -> str:
    """Say what marks mean, each symbol in its colour, as rich text on black."""
    told = []
    for style in styles:
        symbol = f'<span style="color:{style.screen}">{SYMBOLS[style.shape]}</span>'
        told.append(symbol + NO_BREAK + style.legend.replace(" ", NO_BREAK))
    return "&nbsp;&nbsp; ".join(told)


def draw(shown: InspectorState, look: ViewOptions) -> InspectorState:
    """Return the same with its views drawn."""
    position = shown.position
    answers = {method: answer.of_crystals(look.crystal)[0] for method, answer in shown.answers.items()}
    directions, known = name_directions(answers), variants(answers)
    panes = {"measured": _measured(position, shown.attention, look.contrast)}
    for method in dict.fromkeys((*METHODS, *answers)):
        answer, first = shown.answers.get(method), shown.first.get(method)
        attention = shown.attention if method == "transformer" else None
        if answer is not None and answer.beside:
            pane = several_view(position, answer, look)
        else:
            pane = _answered(position, answer, known.get(method), directions.get(method, ""), look, attention)
        hypotheses = [] if first is None else hypothesis_texts(first.of_crystals(look.crystal)[0])
        panes[method] = replace(pane, hypotheses=hypotheses)
    return replace(shown, panes=panes, apart=farthest_apart(answers), look=look)


def predicted_anew(
    shown: InspectorState, beam: BeamConditions | None, settings: PredictionSettings | None
) -> InspectorState:
    """Return the same answers with patterns predicted otherwise."""

    def anew(answer: Answer) -> Answer:
        spots = predict(answer.phase, answer.rotation, beam, settings)
        return replace(answer, spots=spots, beside=tuple(anew(other) for other in answer.beside))

    return replace(shown, answers={method: anew(answer) for method, answer in shown.answers.items()})


def with_attention(
    shown: InspectorState, snapshot: Snapshot, indexers: Indexers, wanted: ViewOptions
) -> InspectorState:
    """Return the same with the transformer's attention where it is wanted, or why there is none."""
    share, trouble = None, ""
    if wanted.attention:
        try:
            share = _attention(shown, snapshot, indexers)
        except UserError as error:
            trouble = str(error)
    return replace(shown, attention=share, trouble=trouble)


def _attention(shown: InspectorState, snapshot: Snapshot, indexers: Indexers) -> np.ndarray:
    position, answer = shown.position, shown.answers.get("transformer")
    if snapshot.calibrated is None:
        raise UserError("Attention needs calibrated disks; press Apply in Calibration.")
    indexer = indexers.get("transformer", snapshot)
    from napari_4dstem_orient.indexing.transformer.attention import attention_at
    from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer

    assert isinstance(indexer, TransformerIndexer)
    phase = snapshot.job.phases[0] if answer is None or answer.phase is None else answer.phase
    disks = snapshot.calibrated.only(*position.where)
    share = attention_at(indexer, disks, phase)
    if disks.snr is not None:
        share = share[disks.snr >= SURE]
    if len(share) != len(position.disks):
        raise UserError("The disks were found anew since they were calibrated; press Apply in Calibration.")
    return share


def _measured(position: Position, attention: np.ndarray | None, contrast: Contrast) -> PatternViewState:
    disks = position.disks[position.beside]
    told = None if attention is None else attention[position.beside]
    marks = rings(disks, position.radius, told)

    def text_at(place: np.ndarray) -> str:
        number = _nearest(disks, place, CIRCLE * position.radius)
        if number is None:
            return ""
        detector, pixels = position.detector, np.hypot(*disks[number])
        length = f"{pixels * detector.q_pixel:.2f} Å⁻¹" if detector.scaled else f"{pixels:.1f} px"
        return f"{length} from the direct beam" + _attention_text(told, number)

    return PatternViewState(grey_levels(position.picture, contrast), [marks], [], "", text_at)


def _answered(
    position: Position,
    answer: Answer | None,
    variant: np.ndarray | None,
    directions: str,
    look: ViewOptions,
    attention: np.ndarray | None,
) -> PatternViewState:
    if answer is None or answer.phase is None or variant is None or not len(answer.spots):
        words = "" if answer is None else answer_words(answer, directions)
        return PatternViewState(
            None, [rings(position.disks[position.beside], position.radius)], [], words, lambda place: ""
        )
    phase, told = answer.phase, None if attention is None else attention[position.beside]
    seen = position.marks(answer.spots)
    names = in_variant(seen.hkl, answer.rotation, variant, phase)
    marks = [_as_the_detector_sees(position, answer), *matched(seen, position.radius, look.residuals, told)]
    labels = []
    if look.labels:
        labels = [(place, plane_text(hkl, phase)) for place, hkl in replace(seen, hkl=names).labelled(LABELS)]

    def text_at(place: np.ndarray) -> str:
        return reflection_text(seen, names, phase, place, CIRCLE * position.radius) + _attention_text(
            told, _nearest(seen.disks, place, CIRCLE * position.radius)
        )

    words = answer_words(answer, directions, seen)
    return PatternViewState(None, marks, labels, words, text_at)


def several_view(position: Position, answer: Answer, look: ViewOptions) -> PatternViewState:
    """Return what is drawn and said of a pattern of several crystals: all together, or one of them."""
    every, ones = answer.of_crystals(), answer.of_crystals(look.crystal)
    seen = {one.crystal: position.marks(one.spots) for one in every}
    named: dict[int, Marks] = {}
    for one in ones:
        assert one.phase is not None, "it is one of several"
        variant = variants({"": one})[""]
        names = in_variant(seen[one.crystal].hkl, one.rotation, variant, one.phase)
        named[one.crystal] = replace(seen[one.crystal], hkl=names)
    marks = [
        _as_the_detector_sees(position, *ones),
        *of_crystals(seen, named, position.radius, look.residuals),
    ]
    labels = [
        (place, plane_text(hkl, one.phase))
        for one in ones
        if look.labels and one.phase is not None
        for place, hkl in named[one.crystal].labelled(LABELS // len(ones))
    ]

    def text_at(place: np.ndarray) -> str:
        found = []
        for one in ones:
            assert one.phase is not None
            here = named[one.crystal]
            text = reflection_text(here, here.hkl, one.phase, place, CIRCLE * position.radius)
            found += [f"crystal {one.crystal}: {text}"] if text else []
        return "\n".join(found)

    return PatternViewState(None, marks, labels, several_words(every, ones, seen), text_at)


def several_words(every: tuple[Answer, ...], ones: tuple[Answer, ...], seen: dict[int, Marks]) -> str:
    """Describe all crystals of a pattern in a line each, or one of them as an only answer is described."""
    if len(ones) == 1:
        (one,) = ones
        share = f"{_symbol(one)} crystal {one.crystal} of {len(every)}: {one.share or 0:.0%} of the light"
        return f"{share}<br>{answer_words(one, name_directions({'': one})[''], seen[one.crystal])}"
    lines = []
    for one in ones:
        assert one.phase is not None
        zone = zone_axis(one.rotation, one.phase).text.replace(" ", NO_BREAK)
        told = [f"{one.phase.name} {zone}", f"{one.share or 0:.0%} of the light"]
        told.append(
            f"score {one.score:.2f}"
            if one.reliability is None
            else f"reliability <b>{one.reliability:.0%}</b>"
        )
        lines.append(f"{_symbol(one)} crystal {one.crystal}: {', '.join(told)}")
    explained = np.any([marks.explained for marks in seen.values()], axis=0)
    return "<br>".join([*lines, f"explain {explained.sum()} of {len(explained)} disks"])


def _symbol(one: Answer) -> str:
    style = CRYSTALS[f"crystal {one.crystal}"]
    return f'<span style="color:{style.screen}">{SYMBOLS[style.shape]}</span>'


def _as_the_detector_sees(position: Position, *answers: Answer) -> MarkSet:
    """Return all that is predicted, by each one's share of the light, the direct beam as bright as the strongest."""
    most = max(answer.share or 1.0 for answer in answers)
    spots = np.vstack([answer.spots[:, :3] * [1, 1, (answer.share or 1.0) / most] for answer in answers])
    where = np.vstack([position.detector.pixels(spots[:, :2]), np.zeros((1, 2))])
    return MarkSet("predicted", where, position.radius, np.append(spots[:, 2], 1.0))


def reflection_text(seen: Marks, names: np.ndarray, phase: Phase, place: np.ndarray, within: float) -> str:
    """Say which reflection lies at a place: indices, length, intensity relative to the strongest.

    Parameters
    ----------
    seen : Marks
    names : ndarray of int, shape (m, 3)
        What its reflections are called (see ``in_variant``).
    phase : Phase
    place : ndarray, shape (2,)
        Pixels from the direct beam.
    within : float
        Pixels.
    """
    number = seen.at(place, within)
    if number is None:
        return ""
    plane = " ".join(str(index) for index in plane_indices(names[number], phase))
    beside = "no disk" if seen.missing[number] else "measured"
    length = np.linalg.norm(names[number] @ np.linalg.inv(phase.lattice).T)
    return f"({plane})  {length:.2f} Å⁻¹\n{seen.intensity[number]:.0%}, {beside}"


def answer_words(answer: Answer, directions: str, seen: Marks | None = None) -> str:
    """Describe an answer in a few lines of rich text; ``seen`` is what is marked, where there is anything to mark."""
    sure = [] if answer.reliability is None else [f"reliability <b>{answer.reliability:.0%}</b>"]
    if answer.phase is None:
        lines = [answer.status.text, *sure]
    else:
        lines = [
            directions,
            " · ".join([answer.phase.name, f"score {answer.score:.2f}", *sure]),
            *([seen.text] if seen is not None else []),
        ]
    if answer.ambiguity:
        lines.append(f"<i>{answer.ambiguity.text}</i>")
    return "<br>".join(lines)


def _nearest(disks: np.ndarray, place: np.ndarray, within: float) -> int | None:
    if not len(disks):
        return None
    apart = np.hypot(*(disks - place).T)
    return int(apart.argmin()) if apart.min() <= within else None


def _attention_text(attention: np.ndarray | None, number: int | None) -> str:
    if attention is None or number is None:
        return ""
    share = attention[number]
    return "\nnot read by the transformer" if np.isnan(share) else f"\nattention {share:.0%}"
