"""Under "Advanced": who does the long steps, for both panels that take one."""

from __future__ import annotations

import os

from qtpy.QtWidgets import QFormLayout, QLineEdit, QSpinBox, QWidget

from napari_4dstem_orient.napari_plugin.qt.collapsible import Section
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.state.long_runs import workforce_for
from napari_4dstem_orient.workflow.session import Session


class Advanced(Section):
    """How many processes, or which cluster, find disks and map; every panel of a session shows the same.

    Parameters
    ----------
    session : Session
    endings : Endings
        Of the panel.
    """

    def __init__(self, session: Session, endings: Endings) -> None:
        content = QWidget()
        super().__init__("Advanced", content)
        self._workforce = workforce_for(session)
        self.form = QFormLayout(content)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.workers, self.cluster = QSpinBox(), QLineEdit()
        self.workers.setRange(1, max(2, os.cpu_count() or 1))
        self.workers.setSuffix(" processes")
        self.workers.setSpecialValueText("1 process (napari itself)")
        self.workers.setToolTip(
            "Share finding disks and mapping among so many processes of this computer. The result is the same. "
            "They take some seconds to start, and each needs memory of its own: for long runs."
        )
        self.cluster.setPlaceholderText("none")
        self.cluster.setToolTip(
            "Address of a running Dask scheduler, such as tcp://HOST:8786. Its workers then find the disks and map; "
            "they must see the scan and the models under the same paths. Empty: this computer."
        )
        self.form.addRow("Workers", self.workers)
        self.form.addRow("Cluster", self.cluster)
        self.workers.valueChanged.connect(lambda count: self._workforce.choose(workers=count))
        self.cluster.textChanged.connect(lambda text: self._workforce.choose(cluster=text.strip()))
        endings.listen(self._workforce.changed, self._show)
        self._show()

    def _show(self) -> None:
        chosen = self._workforce.long_run
        self.workers.setValue(chosen.workers)
        self.workers.setEnabled(not chosen.cluster)
        if self.cluster.text().strip() != chosen.cluster:
            self.cluster.setText(chosen.cluster)
