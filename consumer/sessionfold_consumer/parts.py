"""The fold of a log by several processes at a time, each with a part of its partitions.

Python does one thing at a time, however many processors there are; so a second process folds nearly
half as much again on two of them. Their commits take turns where a database has one writer.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import QueueHandler
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from threading import Lock

from .errors import ConsumerError
from .observer import Observer, Progress

_LOGGER = "sessionfold_consumer"
_SIGNALS_TO_ALL = (signal.SIGINT, signal.SIGTERM)
"""A terminal or a supervisor may send them to each process; the first one tells the others."""
_WAIT_SECONDS = 0.2

Stopping = Callable[[], bool]
Fold = Callable[[Sequence[int], Observer, Stopping], Progress]
"""Folds these partitions, and returns how far it came; a function of a module."""


def parts_of(partition_count: int, processes: int) -> list[Sequence[int]]:
    """Return the partitions of each process; no more processes than there are partitions."""
    every = range(partition_count)
    return [every[i::processes] for i in range(min(processes, partition_count))]


def fold_in_parts(
    fold: Fold, parts: Sequence[Sequence[int]], observer: Observer, stopping: Stopping
) -> Progress:
    """Fold the first part of a log here and each other one in a process of its own.

    Returns when all have ended, how far all of them came. Such a process ends with its part, when
    ``stopping`` says so, or when this process is gone; not by the signals that a terminal or a
    supervisor sends to all. What it logs is logged here.

    Args:
        fold: what each of them does.
        parts: the partitions of each.
        observer: sees the progress of all of them together.
        stopping: asked several times a second.

    Raises:
        ConsumerError: the first that one of them ended with; the others are stopped.
    """
    mine, *theirs = parts
    running = [_start(fold, each) for each in theirs]
    others = _Others(running, observer, stopping)
    try:
        others.progressed(fold(mine, others, others.is_over))
        others.follow()
        return others.together()
    finally:
        for each in running:
            each.pipe.close()  # ends what still goes on
            each.process.join()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parent:
    pid: int
    log_level: int


@dataclass(kw_only=True, slots=True, eq=False)
class _Part:
    process: BaseProcess
    pipe: Connection
    progress: Progress | None = None


def _start(fold: Fold, partitions: Sequence[int]) -> _Part:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = _Parent(pid=os.getpid(), log_level=logging.getLogger(_LOGGER).getEffectiveLevel())
    process = context.Process(target=_fold_part, args=(theirs, fold, partitions, parent))
    resource_tracker.ensure_running()  # or the start itself does it, and undoes the mask
    # It inherits the mask; what is sent to all meanwhile reaches this process a little later.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS_TO_ALL)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Part(process=process, pipe=ours)


class _Others(Observer):
    """Hears what the other processes tell, and adds it to what is seen of this one's part."""

    def __init__(self, parts: Sequence[_Part], observer: Observer, stopping: Stopping) -> None:
        self._open = {each.pipe: each for each in parts}
        self._parts = parts
        self._observer = observer
        self._stopping = stopping
        self._are_told = False
        self._own: Progress | None = None
        self._error: ConsumerError | None = None

    def progressed(self, progress: Progress) -> None:
        """Take how far the part of this process is."""
        self._own = progress
        self._observer.progressed(self.together())

    def is_over(self) -> bool:
        """Take what was told since, tell the others when all are to stop; say whether they are."""
        self._hear(0)
        if self._error is None and self._stopping() and not self._are_told:
            self._are_told = True
            for pipe in self._open:
                with suppress(OSError):  # it has ended by itself
                    pipe.send(None)
        return self._error is not None or self._are_told

    def follow(self) -> None:
        """Wait until all have ended.

        Raises:
            ConsumerError: what one of them ended with.
        """
        while self._open and self._error is None:
            self.is_over()
            if self._hear(_WAIT_SECONDS):
                self._observer.progressed(self.together())
        if self._error is not None:
            raise self._error

    def _hear(self, seconds: float) -> bool:
        """Take what they tell, waiting for it so long; say whether there was any."""
        told = wait([*self._open], seconds)
        for pipe in told:
            assert isinstance(pipe, Connection)  # noqa: S101 - it is one of ours
            self._take(pipe)
        return bool(told)

    def _take(self, pipe: Connection) -> None:
        try:
            told = pipe.recv()
        except EOFError:
            told = ConsumerError(
                "a process that folded a part of the log was ended; what it had stored is right, "
                "and the same command goes on from there"
            )
        if isinstance(told, logging.LogRecord):
            logger = logging.getLogger(told.name)
            if logger.isEnabledFor(told.levelno):
                logger.handle(told)
        elif isinstance(told, Progress):
            self._open[pipe].progress = told
        else:
            del self._open[pipe]
            self._error = self._error or told

    def together(self) -> Progress:
        """Return how far all of them are."""
        each = [*filter(None, (self._own, *(part.progress for part in self._parts)))]
        return Progress(
            records=sum(one.records for one in each),
            dead_letters=sum(one.dead_letters for one in each),
            next_offsets={p: offset for one in each for p, offset in one.next_offsets.items()},
            ends={p: end for one in each for p, end in one.ends.items()},
            waiting=next((one.waiting for one in each if one.waiting), None),
        )


class _Teller(Observer):
    """Tells the other process how far this one is; nobody may listen any more."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = Lock()

    def progressed(self, progress: Progress) -> None:
        """Tell it."""
        self.tell(progress)

    def tell(self, what: object) -> None:
        """Send one thing, from whichever thread."""
        with suppress(OSError), self._lock:
            self._pipe.send(what)


class _LogTeller(QueueHandler):
    """Tells the other process what is logged, made fit to be sent."""

    def __init__(self, teller: _Teller) -> None:
        super().__init__(SimpleQueue())
        self._teller = teller

    def enqueue(self, record: logging.LogRecord) -> None:
        """Tell it, instead of the queue."""
        self._teller.tell(record)


def _fold_part(pipe: Connection, fold: Fold, partitions: Sequence[int], parent: _Parent) -> None:
    """Fold one part, in a process that was made for it."""
    teller = _Teller(pipe)
    logger = logging.getLogger(_LOGGER)
    logger.handlers[:] = [_LogTeller(teller)]
    logger.propagate = False
    logger.setLevel(parent.log_level)

    def is_over() -> bool:
        return os.getppid() != parent.pid or pipe.poll()  # a word, or the end of who says it

    try:
        teller.progressed(fold(partitions, teller, is_over))
        teller.tell(None)
    except ConsumerError as error:
        teller.tell(error.plain())
