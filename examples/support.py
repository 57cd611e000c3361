"""A support agent: a general task first, a better one when the case is understood, then a verdict.

Set ``SESSIONFOLD_BOOTSTRAP_SERVERS`` to the broker and run it.
"""

import os
import time

import sessionfold as lai

PAUSE_SECONDS = float(os.environ.get("SESSIONFOLD_EXAMPLE_PAUSE_SECONDS", "0.1"))

session_id = lai.init(session_name="Customer Support", task="Handle customer inquiry")
print(f"session {session_id}", flush=True)

print("A customer writes: I was charged twice this month.")
time.sleep(PAUSE_SECONDS)

lai.update_session(task="Resolve billing dispute")
print("It is a billing dispute; looking for the second charge.")
time.sleep(PAUSE_SECONDS)

lai.update_session(
    task="Billing dispute resolved",
    is_successful=True,
    is_successful_reason="The duplicate charge of $49.99 was refunded",
)
print("Refunded $49.99. The customer is content.")
time.sleep(PAUSE_SECONDS)

lai.end_session()
