"""Every kind of process end, on a real broker: what survives it.

``python -m tests.e2e.ends`` prints the table. A *cell* is one worker (with its children) that ends
in one way, in one state of queue and broker; the harness counts the calls that returned, what is in
the log, and what the spool kept.
"""
