"""``sessionfold rebuild``, in this process. Prints the seconds it took, all steps together."""

from __future__ import annotations

import sys
import time

from benchmarks.timed_run import settings_of
from sessionfold_consumer.bootstrap import rebuilder


def main() -> None:
    """Rebuild a store; the arguments are those of ``settings_of``."""
    start = time.perf_counter()
    settings = settings_of(sys.argv[1:])
    with rebuilder(settings, share=1.0) as ready:
        ready.prepare()
        ready.fill()
        found = ready.compare(0)
        ready.switch(found, accept=False)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
