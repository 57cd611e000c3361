"""A data pipeline: four named stages with progress; the first stage that raises ends the run.

``SESSIONFOLD_EXAMPLE_FAILING_STAGE=Transform`` (or another stage's name) shows a failure.
"""

import os
import time
from collections.abc import Callable

import sessionfold as lai

PAUSE_SECONDS = float(os.environ.get("SESSIONFOLD_EXAMPLE_PAUSE_SECONDS", "0.1"))
FAILING_STAGE = os.environ.get("SESSIONFOLD_EXAMPLE_FAILING_STAGE")

Rows = list[dict[str, str]]


def extract(_: Rows) -> Rows:
    """Read the rows."""
    return [{"country": "de", "amount": "12.50"}, {"country": "", "amount": "8.00"}]


def clean(rows: Rows) -> Rows:
    """Leave out the rows that name no country."""
    return [row for row in rows if row["country"]]


def transform(rows: Rows) -> Rows:
    """Write countries the way the warehouse does."""
    return [row | {"country": row["country"].upper()} for row in rows]


def load(rows: Rows) -> Rows:
    """Hand the rows over."""
    return rows


STAGES: list[tuple[str, Callable[[Rows], Rows], float]] = [
    ("Extract", extract, 0.25),
    ("Clean", clean, 0.5),
    ("Transform", transform, 0.75),
    ("Load", load, 1.0),
]


def run(name: str, stage: Callable[[Rows], Rows], rows: Rows) -> Rows:
    """Run one stage, or fail where the environment says so."""
    time.sleep(PAUSE_SECONDS)
    if name == FAILING_STAGE:
        raise ConnectionError("the warehouse closed the connection")
    return stage(rows)


def main() -> None:
    """Run the stages in turn and report the progress of each."""
    session_id = lai.init(session_name="Nightly orders", task="Run the order pipeline")
    print(f"session {session_id}", flush=True)

    rows: Rows = []
    for name, stage, progress in STAGES:
        lai.update_session(task=f"Stage: {name}")
        try:
            rows = run(name, stage, rows)
        except Exception as error:  # noqa: BLE001 - whatever a stage raises is its failure
            lai.update_session(
                session_eval=progress - 0.1,
                is_successful=False,
                is_successful_reason=f"{name} failed: {error}",
            )
            print(f"{name} failed: {error}")
            break
        lai.update_session(session_eval=progress, session_eval_reason=f"{name} is done")
        print(f"{name} is done, {len(rows)} rows, {progress:.0%}")
    else:
        lai.update_session(is_successful=True, is_successful_reason="All four stages are done")
        print("The orders are in the warehouse.")
    lai.end_session()


if __name__ == "__main__":
    main()
