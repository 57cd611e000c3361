"""``sessionfold rebuild``, in this process. Prints the seconds it took, all steps together."""

from __future__ import annotations

import sys
import time

from sessionfold_consumer.bootstrap import rebuilder
from sessionfold_consumer.config import load


def main() -> None:
    """Rebuild a store; the arguments are brokers, topic, store URL and number of processes."""
    servers, topic, store, processes = sys.argv[1:5]
    start = time.perf_counter()
    settings = load(
        {
            "bootstrap_servers": servers,
            "topic": topic,
            "store": store,
            "processes": int(processes),
        }
    )
    with rebuilder(settings, share=1.0) as ready:
        ready.prepare()
        ready.fill()
        found = ready.compare(0)
        ready.switch(found, accept=False)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
