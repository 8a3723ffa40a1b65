"""Rotation matrices in batches."""

import torch


def random_rotations(
    count: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Draw rotations uniformly over SO(3), shape (count, 3, 3).

    As unit quaternions, which are normalised normal numbers (M. E. Muller, Commun. ACM 2 (1959) 19).
    """
    q = torch.randn(count, 4, generator=generator)
    w, x, y, z = torch.nn.functional.normalize(q, dim=1).unbind(1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], 1),
        torch.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], 1),
        torch.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], 1),
    ]
    return torch.stack(rows, 1).to(device)


def about_beam(angle: torch.Tensor) -> torch.Tensor:
    """Return rotations about lab z by ``angle`` (radians): (...) -> (..., 3, 3)."""
    c, s, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    rows = [
        torch.stack([c, -s, zero], -1),
        torch.stack([s, c, zero], -1),
        torch.stack([zero, zero, zero + 1], -1),
    ]
    return torch.stack(rows, -2)


def from_six(numbers: torch.Tensor) -> torch.Tensor:
    """Make rotations from pairs of 3-vectors by Gram-Schmidt: (..., 6) -> (..., 3, 3), the pair first as columns.

    Continuous, so that a network can learn it (Zhou et al., CVPR 2019).
    """
    first = torch.nn.functional.normalize(numbers[..., :3], dim=-1)
    second = numbers[..., 3:]
    second = torch.nn.functional.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def from_vector(vector: torch.Tensor) -> torch.Tensor:
    """Return the rotation about ``vector`` by its length in radians: (..., 3) -> (..., 3, 3).

    Rodrigues' formula.
    """
    angle = vector.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    x, y, z = (vector / angle).unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    angle = angle[..., None]
    return (
        torch.eye(3, device=vector.device) + torch.sin(angle) * skew + (1 - torch.cos(angle)) * (skew @ skew)
    )


def nearest_rotation(matrix: torch.Tensor) -> torch.Tensor:
    """Return the rotation nearest to each matrix, by singular values: (..., 3, 3) -> (..., 3, 3).

    The gradient is that of the rotation, not of the singular vectors, and stays finite where singular values coincide.

    As a last layer of a network: J. Levinson et al., NeurIPS 2020.
    """
    with torch.no_grad():
        u, values, vt = torch.linalg.svd(matrix)
        values[..., 2] *= torch.linalg.det(u @ vt).sign()
        u[..., 2] *= torch.linalg.det(u @ vt).sign()[..., None]
        rotation = u @ vt
        pull = (values[..., :, None] + values[..., None, :]).clamp_min(1e-3)
    # A small change of the matrix turns the rotation by what is skew in it, divided by pairs of singular values.
    change = rotation.mT @ matrix
    turn = vt.mT @ (vt @ (change - change.mT) @ vt.mT / pull) @ vt
    return rotation + rotation @ (turn - turn.detach())
