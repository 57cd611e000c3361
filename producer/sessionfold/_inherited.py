"""What a forked child must not free: the Kafka clients of its parent.

To free one takes its locks and waits for its threads. In the child these threads are not there, and
a lock that one of them held at the fork is held for ever. That goes for clients, too, that the
parent had closed, or given up in a cycle that its garbage collector had not met.
"""

from __future__ import annotations

import gc
from weakref import WeakSet

_clients: WeakSet[object] = WeakSet()


def know(client: object) -> None:
    """Note what holds a Kafka client of this process."""
    _clients.add(client)


def keep() -> None:
    """In a forked child: keep for ever what its parent has not freed.

    That is longer than any name in a module would: the interpreter, when it ends, frees what those
    refer to. So each is given a reference that nobody has.
    """
    if not _clients:
        return
    collects = gc.isenabled()
    gc.disable()  # what was given up must not be met before it has its reference
    try:
        from ctypes import py_object, pythonapi

        for client in _clients:
            pythonapi.Py_IncRef(py_object(client))
    finally:
        if collects:
            gc.enable()
