"""Other telemetry clients, as yardsticks of a call's cost: ``make peers`` installs them."""
