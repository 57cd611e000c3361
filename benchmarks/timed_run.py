"""``sessionfold run --until-caught-up``, in this process. Prints the seconds it took."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence

from sessionfold_consumer.bootstrap import Wiring, catch_up, service
from sessionfold_consumer.config import Settings, load
from sessionfold_consumer.observer import Observer


def settings_of(arguments: Sequence[str]) -> Settings:
    """Return the settings that brokers, topic, store URL and number of processes make."""
    names = ("bootstrap_servers", "topic", "store", "processes")
    return load(dict(zip(names, arguments, strict=True)))


def main() -> None:
    """Fold a topic into a store; the arguments are those of ``settings_of``."""
    logging.disable(logging.WARNING)  # a line for each batch with dead letters
    start = time.perf_counter()
    settings = settings_of(sys.argv[1:])
    if settings.processes > 1:
        catch_up(settings, Observer())
    else:
        with service(settings, Wiring(in_group=False, to_present_end=True)) as ready:
            ready.run()
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
