"""A training run: three phases, each with a score and its reason; success is a comparison.

The scores are numpy's when numpy is installed, plain floats otherwise: both are published alike.
"""

import os
import time
from collections.abc import Callable, Sequence

import sessionfold as lai

mean: Callable[[Sequence[float]], float]
try:
    from numpy import mean  # noqa: TID251 - workers may; the SDK must take its values
except ImportError:
    from statistics import fmean as mean

PAUSE_SECONDS = float(os.environ.get("SESSIONFOLD_EXAMPLE_PAUSE_SECONDS", "0.1"))
TARGET_ACCURACY = 0.9

PHASES = {
    "Train the embedding": [0.41, 0.52, 0.58],
    "Train all layers": [0.70, 0.79, 0.83],
    "Validate on held-out data": [0.915, 0.925, 0.92],
}


def main() -> None:
    """Run the phases and report each."""
    session_id = lai.init(session_name="Sentiment model", task="Train a sentiment classifier")
    print(f"session {session_id}", flush=True)

    accuracy = 0.0
    for phase, accuracies in PHASES.items():
        accuracy = mean(accuracies)
        lai.update_session(
            task=phase,
            session_eval=accuracy,
            session_eval_reason=f"mean accuracy of {len(accuracies)} batches: {accuracy:.3f}",
        )
        print(f"{phase}: accuracy {accuracy:.3f}")
        time.sleep(PAUSE_SECONDS)

    reached = accuracy >= TARGET_ACCURACY  # a numpy.bool_, with numpy
    lai.end_session(
        session_eval=accuracy,
        is_successful=reached,
        is_successful_reason=f"accuracy {accuracy:.3f}, the target was {TARGET_ACCURACY}",
    )
    print("The target is reached." if reached else "The target is missed.")


if __name__ == "__main__":
    main()
