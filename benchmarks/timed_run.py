"""``sessionfold run --until-caught-up``, in this process. Prints the seconds it took."""

from __future__ import annotations

import sys
import time

from sessionfold_consumer.bootstrap import Wiring, service
from sessionfold_consumer.config import load


def main() -> None:
    """Fold a topic into a store; the arguments are brokers, topic and store URL."""
    servers, topic, store = sys.argv[1:4]
    start = time.perf_counter()
    settings = load({"bootstrap_servers": servers, "topic": topic, "store": store})
    with service(settings, Wiring(in_group=False, to_present_end=True)) as ready:
        ready.run()
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
