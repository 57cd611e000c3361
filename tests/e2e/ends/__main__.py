"""Prints the table of process ends: ``python -m tests.e2e.ends [--json] [KIND ...]``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.ends import group, table
from tests.e2e.ends.kinds import KINDS, Kind
from tests.e2e.ends.states import STATES, State
from tests.e2e.ends.verdict import Outcome, problems
from tests.services.kafka import KafkaBroker


def run(broker: KafkaBroker, states: Sequence[State], kinds: Sequence[Kind]) -> list[Outcome]:
    """Run every kind in every state."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="ends-") as folder:
        for state in states:
            outcomes += group.run(broker, state, kinds, Path(folder))
    return outcomes


def main() -> int:
    """Print the table; return 1 when a cell is not as it shall be, which stderr explains."""
    arguments = _arguments()
    kinds = [kind for kind in KINDS if not arguments.kinds or kind.name in arguments.kinds]
    states = [state for state in STATES if arguments.state in (None, state.name)]
    with KafkaBroker.start() as broker:
        outcomes = run(broker, states, kinds)
    if arguments.json:
        sys.stdout.write(json.dumps(table.objects(outcomes), indent=1) + "\n")
    else:
        sys.stdout.write(table.markdown(outcomes))
    wrong = [(each, found) for each in outcomes if (found := problems(each))]
    for outcome, found in wrong:
        sys.stderr.write(f"{outcome.kind.name}, {outcome.state.name}: {'; '.join(found)}\n")
    return 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.ends", description=main.__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="only these kinds")
    parser.add_argument("--state", choices=[state.name for state in STATES])
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    arguments = parser.parse_args()
    unknown = set(arguments.kinds) - {kind.name for kind in KINDS}
    if unknown:
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
