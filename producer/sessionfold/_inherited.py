"""What a forked child must not free: the Kafka clients of its parent.

To free one takes its locks and waits for its threads. In the child these threads are not there, and
a lock that one of them held at the fork is held for ever. That goes for clients, too, that the
parent had closed, or given up in a cycle that its garbage collector had not met.
"""

from __future__ import annotations

from weakref import WeakSet

_clients: WeakSet[object] = WeakSet()
_kept: list[object] = []


def know(client: object) -> None:
    """Note what holds a Kafka client of this process."""
    _clients.add(client)


def keep() -> None:
    """In a forked child: keep for ever what its parent has not freed."""
    _kept.extend(_clients)
