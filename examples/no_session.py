"""A caller that forgot ``init``: the update says so, and the work goes on."""

import os
import time

import sessionfold as lai

PAUSE_SECONDS = float(os.environ.get("SESSIONFOLD_EXAMPLE_PAUSE_SECONDS", "0.1"))

try:
    lai.update_session(task="Work that belongs to no session")
except Exception as error:  # noqa: BLE001 - telemetry never stops the work
    print(f"No active session ({error}).")

time.sleep(PAUSE_SECONDS)
print("The work itself is not disturbed.")
