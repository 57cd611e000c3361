"""Journals seen delivered one after the other, by a process that does nothing else meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .._inbox import Settled
from .._publisher import NotTakenError, sentence
from .line import Line

if TYPE_CHECKING:
    from .._publisher import DeliveredRecord, DeliveryError, OnDelivery, Publisher
    from .journal import Journal

_POLL_SECONDS = 0.05


class Delivery:
    """Publishes journals of others. One thread; :meth:`close` it.

    Args:
        make_publisher: makes what takes the events, when there are any.
        timeout_seconds: for how long there may be no acknowledgement.
        on_progress: called often with the updates that are delivered.
    """

    def __init__(
        self,
        make_publisher: Callable[[], Publisher],
        timeout_seconds: float,
        on_progress: Callable[[int], None],
    ) -> None:
        self.problem = ""
        """Why there is no sense in going on, as a clause; empty while there is."""
        self._settled = Settled()
        self._lost = 0
        self._make_publisher = make_publisher
        self._publisher: Watched | None = None
        self._timeout_seconds = timeout_seconds
        self._on_progress = on_progress

    @property
    def delivered(self) -> int:
        """How many updates are delivered."""
        return self._settled.adopted_delivered

    @property
    def refused(self) -> int:
        """How many updates the broker has refused for good."""
        return -self._settled.adopted_waiting - self.delivered - self._lost

    @property
    def refusal(self) -> str:
        """Why it did, the last time."""
        return self._publisher.refusal if self._publisher is not None else ""

    def deliver(self, journal: Journal) -> None:
        """Publish what waits and mark what is delivered, until all is or there is a problem."""
        if self._publisher is None:
            self._publisher = Watched(self._make_publisher())
        publisher = self._publisher
        publisher.begin()
        line = Line(journal, publisher, {}, adopted=True)
        try:
            while not (line.is_empty or self.problem):
                is_busy = line.advance(self._settled)
                publisher.poll(_POLL_SECONDS, hurry=is_busy)
                self.problem = publisher.problem(self._timeout_seconds)
                self._on_progress(self.delivered)
        finally:
            if not line.is_empty:
                # Whatever ended this: what is delivered is marked, and nothing more is published.
                publisher.close()
                line.fail()
                line.advance(self._settled)
            self._lost += journal.lost_calls

    def close(self) -> None:
        """Stop at once."""
        if self._publisher is not None:
            self._publisher.close()


class Watched:
    """A publisher that knows when it was last of use, and why it is not."""

    def __init__(self, publisher: Publisher) -> None:
        self.refusal = ""
        """Why an event was refused, the last time."""
        self._publisher = publisher
        self._settled_at = 0.0
        self._trouble = ""
        self.poll = publisher.poll
        self.close = publisher.close
        self.has_failed = publisher.has_failed
        self.is_refusal = publisher.is_refusal

    def begin(self) -> None:
        """Let the time run from now on: there was nothing to acknowledge until now."""
        self._settled_at = time.monotonic()

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Queue one event; see :class:`~.._publisher.Publisher`."""

        def settled(error: DeliveryError | None, record: DeliveredRecord) -> None:
            self._note(error)
            on_delivery(error, record)

        try:
            self._publisher.publish(key, value, settled)
        except NotTakenError as error:
            if error.final:
                self.refusal = str(error)
            raise

    def problem(self, timeout_seconds: float) -> str:
        """Return why there is no sense in going on, as a clause; empty while there is."""
        if self.has_failed():
            return "the Kafka client has failed"
        if time.monotonic() - self._settled_at < timeout_seconds:
            return ""
        why = f" ({self._trouble})" if self._trouble else ""
        return f"the broker acknowledged nothing for {timeout_seconds:g} s{why}"

    def _note(self, error: DeliveryError | None) -> None:
        if error is not None and not self.is_refusal(error):
            self._trouble = sentence(error)
            return
        self._settled_at = time.monotonic()
        if error is not None:
            self.refusal = sentence(error)
