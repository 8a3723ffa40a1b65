"""What a panel holds ends with it: connections and workers, the last first, whatever one of them raises."""

import pytest
from psygnal import Signal

from napari_4dstem_orient.napari_plugin.qt.endings import Endings


class Teller:
    told = Signal(int)


def test_connections_and_workers_end_and_nothing_else_does(qtbot):
    teller, heard, others, answers = Teller(), [], [], []
    endings = Endings()
    endings.listen(teller.told, heard.append)
    teller.told.connect(others.append)
    worker = endings.latest(answers.append)
    worker.ask(lambda: 1)
    qtbot.waitUntil(lambda: answers == [1], timeout=60_000)
    teller.told.emit(1)
    endings.close()
    teller.told.emit(2)
    worker.ask(lambda: 2)
    worker.wait(10)
    assert (heard, others, answers) == ([1], [1, 2], [1])


def test_one_that_fails_keeps_no_other():
    endings, order = Endings(), []

    def fail():
        raise RuntimeError("first")

    endings.callback(order.append, "opened first")
    endings.callback(fail)
    endings.callback(order.append, "opened last")
    with pytest.raises(RuntimeError, match="first"):
        endings.close()
    assert order == ["opened last", "opened first"]
