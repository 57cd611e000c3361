"""A long job: ten batches, each with the task, the share done and a text with the time left."""

import os
import time

import sessionfold as lai

PAUSE_SECONDS = float(os.environ.get("SESSIONFOLD_EXAMPLE_PAUSE_SECONDS", "0.1"))
BATCHES = 10


def main() -> None:
    """Work through the batches and report after each."""
    session_id = lai.init(session_name="Reindex the catalogue", task="Start")
    print(f"session {session_id}", flush=True)

    started = time.monotonic()
    for batch in range(1, BATCHES + 1):
        time.sleep(PAUSE_SECONDS)  # the work
        seconds_left = (time.monotonic() - started) / batch * (BATCHES - batch)
        lai.update_session(
            task=f"Batch {batch} of {BATCHES}",
            session_eval=batch / BATCHES,
            session_eval_reason=f"ETA {seconds_left:.1f} s",
        )
        print(f"batch {batch} of {BATCHES}, {seconds_left:.1f} s left")

    lai.end_session(is_successful=True, is_successful_reason=f"All {BATCHES} batches are indexed")
    print("The catalogue is indexed.")


if __name__ == "__main__":
    main()
