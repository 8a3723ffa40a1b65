"""A method that gives the same answer everywhere: the crystal seen along its c axis."""

from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.parameters import parameter
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.indexing.base import Hypotheses, MapBuilder
from napari_4dstem_orient.indexing.methods import Asked, Method
from napari_4dstem_orient.indexing.settings import AcceptanceSettings


@dataclass(frozen=True)
class ToySettings:
    turn: Annotated[float, parameter("Turn", "About the c axis.", "°", min=0.0, max=360.0)] = 0.0


class ToyIndexer:
    name = "toy"

    def __init__(self, asked: Asked) -> None:
        self.phases = asked.phases
        self.settings = asked.settings or ToySettings()
        self.acceptance = asked.acceptance or AcceptanceSettings()

    def index(self, disks: BraggDisks, progress: Progress = silent) -> OrientationMap:
        found = MapBuilder(disks.scan_shape, self.phases, self.acceptance, runners_up=0)
        count = disks.counts.ravel()
        once = np.ones((count.size, 1), int)
        turned = Rotation.from_euler("z", self.settings.turn, degrees=True).as_matrix()
        answers = Hypotheses(np.tile(turned, (count.size, 1, 1, 1)), 0 * once, 1.0 * once, 0 * once)
        found.put(np.arange(count.size), answers, count)
        progress(count.size, count.size)
        return found.finish(self.name, {"toy": asdict(self.settings)})


TOY = Method("Toy", ToySettings, ToyIndexer)
