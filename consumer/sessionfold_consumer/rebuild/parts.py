"""The fold of a log by several processes at a time, each with a part of its partitions.

Python does one thing at a time, however many processors there are; so a second process folds nearly
half as much again on two of them. Their commits take turns where a database has one writer.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ..errors import ConsumerError
from ..observer import Observer, Progress

_WAIT_SECONDS = 0.2

Stopping = Callable[[], bool]
Fold = Callable[[Sequence[int], Observer, Stopping], None]
"""Folds these partitions; a function of a module, called in another process."""


@dataclass(kw_only=True, slots=True)
class _Part:
    process: BaseProcess
    pipe: Connection
    progress: Progress | None = None


def fold_in_parts(
    fold: Fold, parts: Sequence[Sequence[int]], observer: Observer, stopping: Stopping
) -> None:
    """Fold parts of a log, each in a process of its own; return when all have ended.

    A process ends with its part, when ``stopping`` says so, or when this process is gone.

    Args:
        fold: what each of them does.
        parts: the partitions of each.
        observer: sees the progress of all of them together.
        stopping: asked several times a second.

    Raises:
        ConsumerError: the first that one of them ended with; the others are stopped.
    """
    context = multiprocessing.get_context("spawn")
    running = []
    for part in parts:
        ours, theirs = context.Pipe()
        process = context.Process(target=_fold_part, args=(theirs, fold, part, os.getpid()))
        process.start()
        theirs.close()
        running.append(_Part(process=process, pipe=ours))
    try:
        _follow(running, observer, stopping)
    finally:
        for each in running:
            each.pipe.close()  # tells it to stop
            each.process.join()


def _follow(running: Sequence[_Part], observer: Observer, stopping: Stopping) -> None:
    open_ones = {each.pipe: each for each in running}
    while open_ones and not stopping():
        for pipe in wait([*open_ones], _WAIT_SECONDS):
            assert isinstance(pipe, Connection)  # noqa: S101 - it is one of ours
            try:
                told = pipe.recv()
            except EOFError:
                told = ConsumerError("a process that folded a part of the log was ended")
            if isinstance(told, ConsumerError):
                raise told
            if told is None:
                del open_ones[pipe]
                continue
            open_ones[pipe].progress = told
            observer.progressed(_together([each.progress for each in running if each.progress]))


def _together(each: Sequence[Progress]) -> Progress:
    return Progress(
        records=sum(one.records for one in each),
        dead_letters=sum(one.dead_letters for one in each),
        next_offsets={p: offset for one in each for p, offset in one.next_offsets.items()},
        ends={p: end for one in each for p, end in one.ends.items()},
        waiting=next((one.waiting for one in each if one.waiting), None),
    )


class _Teller(Observer):
    """Tells the other process how far this one is."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def progressed(self, progress: Progress) -> None:
        """Tell it; nobody may listen any more."""
        try:
            self._pipe.send(progress)
        except OSError:
            return


def _fold_part(pipe: Connection, fold: Fold, partitions: Sequence[int], parent: int) -> None:
    """Fold one part, in a process that was made for it."""

    def is_over() -> bool:
        return os.getppid() != parent or pipe.poll()  # what can be read is its end

    try:
        fold(partitions, _Teller(pipe), is_over)
        pipe.send(None)
    except ConsumerError as error:
        pipe.send(error.plain())
    except (BrokenPipeError, ConnectionError):
        return
