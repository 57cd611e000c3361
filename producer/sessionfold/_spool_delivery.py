"""Journals seen delivered one after the other, by a process that does nothing else meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from ._inbox import Settled
from ._line import Line
from ._publisher import NotTakenError

if TYPE_CHECKING:
    from ._journal import Journal
    from ._publisher import DeliveredRecord, DeliveryError, OnDelivery, Publisher

_POLL_SECONDS = 0.05


class Delivery:
    """Publishes journals of others. One thread; :meth:`close` it.

    A broker refuses a request as a whole, for one event that is too large; so what was refused is
    published again with a request for each, before it is given up.

    Args:
        make_publisher: makes what takes the events; True for one request an event.
        timeout_seconds: for how long there may be no acknowledgement.
        on_progress: called often with the updates that are delivered.
    """

    def __init__(
        self,
        make_publisher: Callable[[bool], Publisher],
        timeout_seconds: float,
        on_progress: Callable[[int], None],
    ) -> None:
        self.settled = Settled()
        self.problem = ""
        """Why there is no sense in going on, as a clause; empty while there is."""
        self.refusal = ""
        """Why the broker refused an event for good, the last time."""
        self._make_publisher = make_publisher
        self._timeout_seconds = timeout_seconds
        self._on_progress = on_progress

    def deliver(self, journal: Journal) -> None:
        """Publish what waits and mark what is delivered, until all is or there is a problem.

        Raises:
            JournalError: when the file cannot be read.
        """
        self._publish(journal, self._together)
        if self._together.refusal:
            self._publish(journal, self._one_by_one)

    def close(self) -> None:
        """Stop at once."""
        for made in ("_together", "_one_by_one"):
            if made in vars(self):
                getattr(self, made).close()

    @cached_property
    def _together(self) -> Watched:
        return Watched(self._make_publisher(False), takes_refusals=False)

    @cached_property
    def _one_by_one(self) -> Watched:
        return Watched(self._make_publisher(True), takes_refusals=True)

    def _publish(self, journal: Journal, publisher: Watched) -> None:
        journal.rewind()
        publisher.begin()
        line = Line(journal, publisher, lambda _: None, adopted=True)
        try:
            while not (line.is_empty or self.problem or publisher.has_enough):
                is_busy = line.advance(self.settled)
                publisher.poll(_POLL_SECONDS, hurry=is_busy)
                self.problem = publisher.problem(self._timeout_seconds)
                self._on_progress(self.settled.adopted_delivered)
        finally:
            if not line.is_empty:
                # Whatever ended this: what is delivered is marked, and nothing more is published.
                publisher.close()
                line.fail()
                line.advance(self.settled)
            self.refusal = publisher.refusal or self.refusal


class Watched:
    """A publisher that knows when it was last of use, and why it is not."""

    def __init__(self, publisher: Publisher, *, takes_refusals: bool) -> None:
        self.refusal = ""
        """Why an event was refused since :meth:`begin`."""
        self._publisher = publisher
        self._takes_refusals = takes_refusals
        self._settled_at = 0.0
        self._trouble = ""
        self.poll = publisher.poll
        self.close = publisher.close
        self.has_failed = publisher.has_failed

    @property
    def has_enough(self) -> bool:
        """Whether an event was refused, and it is not known which of a request."""
        return bool(self.refusal) and not self._takes_refusals

    def begin(self) -> None:
        """Let the time run from now on, with no refusal so far."""
        self._settled_at = time.monotonic()
        self.refusal = ""

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Queue one event; see :class:`~._publisher.Publisher`."""

        def settled(error: DeliveryError | None, record: DeliveredRecord) -> None:
            self._note(error)
            on_delivery(error, record)

        try:
            self._publisher.publish(key, value, settled)
        except NotTakenError as error:
            if error.final:
                self.refusal = str(error)
            raise

    def is_refusal(self, error: DeliveryError) -> bool:
        """Say whether ``error`` is about the event itself, and about it alone."""
        return self._takes_refusals and self._publisher.is_refusal(error)

    def problem(self, timeout_seconds: float) -> str:
        """Return why there is no sense in going on, as a clause; empty while there is."""
        if self.has_failed():
            return "the Kafka client has failed"
        if time.monotonic() - self._settled_at < timeout_seconds:
            return ""
        why = f" ({self._trouble})" if self._trouble else ""
        return f"the broker acknowledged nothing for {timeout_seconds:g} s{why}"

    def _note(self, error: DeliveryError | None) -> None:
        if error is not None and not self._publisher.is_refusal(error):
            self._trouble = _sentence(error)
            return
        self._settled_at = time.monotonic()
        if error is not None:
            self.refusal = _sentence(error)


def _sentence(error: DeliveryError) -> str:
    """Return the client's words without the names of its class and code."""
    words = getattr(error, "str", None)
    return str(words() if callable(words) else error)
