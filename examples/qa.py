"""A QA check: results against criteria. The score is the share that passed, success means all."""

import os
import time

import sessionfold as lai

PAUSE_SECONDS = float(os.environ.get("SESSIONFOLD_EXAMPLE_PAUSE_SECONDS", "0.1"))

MOST_CHARACTERS = 200
ANSWER = "Restart the router, wait a minute, and try again. Thank you!"

CRITERIA = {
    "is polite": "thank you" in ANSWER.lower(),
    "names a step to take": "restart" in ANSWER.lower(),
    "is short": len(ANSWER) < MOST_CHARACTERS,
    "links to the manual": "https://" in ANSWER,
}


def main() -> None:
    """Hold the answer to each criterion and report the verdict."""
    with lai.session(session_name="Answer quality", task="Check an answer") as session_id:
        print(f"session {session_id}", flush=True)

        failures = []
        for number, (criterion, passed) in enumerate(CRITERIA.items(), start=1):
            lai.update_session(task=f"Criterion {number} of {len(CRITERIA)}: {criterion}")
            print(f"{'passed' if passed else 'FAILED'}: the answer {criterion}")
            if not passed:
                failures.append(criterion)
            time.sleep(PAUSE_SECONDS)

        share = 1 - len(failures) / len(CRITERIA)
        lai.update_session(
            session_eval=share,
            is_successful=not failures,
            is_successful_reason=f"Failed: {', '.join(failures)}" if failures else "All passed",
        )
        print(f"{share:.0%} of the criteria passed.")


if __name__ == "__main__":
    main()
