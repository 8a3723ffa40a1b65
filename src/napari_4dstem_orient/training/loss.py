"""The smallest angle between two orientations over the crystal's symmetry."""

import torch


def misorientation_angle(predicted: torch.Tensor, true: torch.Tensor, symmetry: torch.Tensor) -> torch.Tensor:
    """Return the smallest geodesic angle over the proper symmetry group, in radians.

    The disorientation of H. Grimmer, Acta Cryst. A 30 (1974) 685.

    Parameters
    ----------
    predicted, true : Tensor, shape (..., 3, 3)
        Orientation matrices (broadcast against each other).
    symmetry : Tensor, shape (k, 3, 3)
        Proper rotations in crystal coordinates; they act on the left.

    Returns
    -------
    Tensor, shape (...)
        In [0, π]; its gradient stays finite at 0 (chordal form, clamped).
    """
    between = (predicted @ true.transpose(-1, -2)).flatten(-2)
    trace = (between @ symmetry.flatten(-2).T).amax(-1)
    return 2 * torch.asin(((3 - trace) / 4).clamp(1e-7, 1.0).sqrt())


def hypothesis_loss(
    rotations: torch.Tensor, logits: torch.Tensor, true: torch.Tensor, symmetry: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the training loss of several hypotheses for each pattern, and all their angles.

    The best hypothesis takes nearly all of the geodesic loss (a small share keeps the others alive); the logits
    learn which one that is.

    So C. Rupprecht et al., ICCV 2017, train several answers to one question.

    Parameters
    ----------
    rotations : Tensor, shape (n, h, 3, 3)
    logits : Tensor, shape (n, h)
    true : Tensor, shape (n, 3, 3)
    symmetry : Tensor, shape (k, 3, 3)

    Returns
    -------
    loss : Tensor, scalar
    angles : Tensor, shape (n, h)
        Radians.
    """
    angles = misorientation_angle(rotations, true[:, None], symmetry)
    best = angles.argmin(1)
    geodesic = 0.95 * angles.gather(1, best[:, None]).mean() + 0.05 * angles.mean()
    ranking = torch.nn.functional.cross_entropy(logits, best)
    return geodesic + 0.1 * ranking, angles
