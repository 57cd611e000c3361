"""``make bench``: every figure of the documents, each beside its yardstick of the same run."""

from __future__ import annotations

import sys

from benchmarks import fold, garbage, sdk_calls


def main() -> int:
    """Run the benchmarks one after the other; return the first exit code that is not 0."""
    if len(sys.argv) > 1:
        names = "benchmarks.fold, benchmarks.garbage and benchmarks.sdk_calls"
        print(f"this takes no arguments; the programs {names} do, see their --help")
        return 2
    print("== the fold, beside a bare consume() loop")
    folded = fold.main()
    print("\n== the fold, with records that are no valid events")
    spoiled = garbage.main()
    print("\n== update_session, beside a bare produce()")
    return folded or spoiled or sdk_calls.main()


if __name__ == "__main__":
    sys.exit(main())
