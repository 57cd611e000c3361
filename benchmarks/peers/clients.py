"""The peers: each reports the same three values in its own way, with its own default settings.

``dogstatsd`` sends a datagram on the calling thread. ``segment`` and ``posthog`` put an event into
a queue of 10,000, from which a thread of theirs posts batches over HTTP. None of them is needed for
anything else: they are imported when they are measured.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.sdk_sides import EVAL, REASON, TASK, Place, Sent
from benchmarks.sdk_timing import Call

_EVENT = "session updated"
_SESSION = "0e8b4a3c-8f0e-4a55-9c0a-2f1f6a6a2b55"


class DogStatsd:
    """A gauge with two tags."""

    NAME = "dogstatsd gauge"
    PACKAGE = "datadog"

    def __init__(self, place: Place) -> None:
        module = import_module("datadog.dogstatsd.base")
        self._client: Any = module.DogStatsd(host="127.0.0.1", port=place.sink_port)

    def make_call(self) -> Call:
        """Return a call of ``gauge``."""
        gauge, tags = self._client.gauge, [f"task:{TASK}", f"reason:{REASON}"]

        def call() -> None:
            gauge("session.eval", EVAL, tags=tags)

        return call

    def flush(self) -> None:
        """Send what is buffered, which by default is nothing."""
        self._client.flush()

    def close(self, calls: int) -> Sent:
        """Every call is a datagram."""
        self._client.close_socket()
        return Sent(events=calls)


class Segment:
    """``track`` with three properties."""

    NAME = "segment track"
    PACKAGE = "segment-analytics-python"

    def __init__(self, place: Place) -> None:
        module = import_module("segment.analytics.client")
        self._client: Any = module.Client("key", host=f"http://127.0.0.1:{place.sink_port}")

    def make_call(self) -> Call:
        """Return a call of ``track``."""
        track = self._client.track

        def call() -> None:
            properties = {"task": TASK, "session_eval": EVAL, "session_eval_reason": REASON}
            track(_SESSION, _EVENT, properties)

        return call

    def flush(self) -> None:
        """Wait until the queue is empty."""
        self._client.flush()

    def close(self, calls: int) -> Sent:
        """Every call is an event."""
        self._client.join()
        return Sent(events=calls)


class PostHog:
    """``capture`` with three properties."""

    NAME = "posthog capture"
    PACKAGE = "posthog"

    def __init__(self, place: Place) -> None:
        module = import_module("posthog")
        self._client: Any = module.Posthog("key", host=f"http://127.0.0.1:{place.sink_port}")

    def make_call(self) -> Call:
        """Return a call of ``capture``."""
        capture = self._client.capture

        def call() -> None:
            properties = {"task": TASK, "session_eval": EVAL, "session_eval_reason": REASON}
            capture(_EVENT, distinct_id=_SESSION, properties=properties)

        return call

    def flush(self) -> None:
        """Wait until the queue is empty."""
        self._client.flush(None)

    def close(self, calls: int) -> Sent:
        """Every call is an event."""
        self._client.shutdown()
        return Sent(events=calls)


PEERS = (DogStatsd, Segment, PostHog)

MOST_CALLS = 8_000
"""What fits, with the warm-up, into a queue of 10,000, whatever the thread behind it does."""


def installed() -> dict[str, str]:
    """Return the version of each peer that is there, by the side's name."""
    found: dict[str, str] = {}
    for peer in PEERS:
        try:
            found[peer.NAME] = f"{peer.PACKAGE} {version(peer.PACKAGE)}"
        except PackageNotFoundError:
            continue
    return found
