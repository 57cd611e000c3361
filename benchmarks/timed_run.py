"""``sessionfold run --until-caught-up``, in this process. Prints the seconds it took."""

from __future__ import annotations

import sys
import time

from sessionfold_consumer.bootstrap import Wiring, catch_up, service
from sessionfold_consumer.config import load
from sessionfold_consumer.observer import Observer


def main() -> None:
    """Fold a topic into a store; the arguments are brokers, topic, store URL and processes."""
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
    if settings.processes > 1:
        catch_up(settings, Observer())
    else:
        with service(settings, Wiring(in_group=False, to_present_end=True)) as ready:
            ready.run()
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
