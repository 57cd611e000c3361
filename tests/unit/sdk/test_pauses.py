"""The sender lets go of the interpreter's lock, however much there is to send."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

import sessionfold as lai
from sessionfold import _process

from .held import held

UPDATES = 30_000
MOST_IN_A_ROW = 5_000
"""Events that are handed over without a pause: some 20 ms, for which calls may wait."""


def test_the_sender_pauses_while_it_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waited until the sender had caught up: 100 ms and more after a burst of 30,000."""
    at_pauses = [0]
    with held() as publisher:
        sender = _process.client().sender
        assert sender is not None
        lai.init(session_id="s")
        for _ in range(UPDATES):
            lai.update_session(task="t")
        monkeypatch.setattr(
            time,
            "sleep",
            lambda seconds: at_pauses.append(len(publisher._waiting)) if seconds else None,
        )
        while sender.step():
            pass
        monkeypatch.undo()
        publisher.deliver_all()
    assert len(publisher.delivered) == 1 + UPDATES
    in_a_row = [then - before for before, then in pairwise(at_pauses)]
    assert sum(in_a_row) > UPDATES - MOST_IN_A_ROW
    assert max(in_a_row) <= MOST_IN_A_ROW
