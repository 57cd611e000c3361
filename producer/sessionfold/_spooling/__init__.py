"""Events kept on disk because the broker could not take them, and their way to it.

Along the way of an event: :mod:`~.backlog` decides that it goes over the disk, and into which
:mod:`~.journal`, a file in the :mod:`~.spool` that is locked by :mod:`~.claims`; a :mod:`~.line`
publishes it from there. :mod:`~.sending` and :mod:`~.delivery` do that for files of processes that
are gone, by hand.
"""
