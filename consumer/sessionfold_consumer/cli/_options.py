"""Options that several commands share, each with its environment variable."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

bootstrap_servers = click.option(
    "--bootstrap-servers",
    envvar="SESSIONFOLD_BOOTSTRAP_SERVERS",
    default="localhost:9092",
    show_default=True,
    show_envvar=True,
    metavar="HOST:PORT,...",
    help="Brokers to ask for the cluster.",
)
topic = click.option(
    "--topic",
    envvar="SESSIONFOLD_TOPIC",
    default="session-updates",
    show_default=True,
    show_envvar=True,
    help="The topic of the events.",
)
store = click.option(
    "--store",
    envvar="SESSIONFOLD_STORE",
    default="sqlite:///sessions.db",
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="Where the state is: sqlite:///FILE, or sqlite:////FILE with an absolute path.",
)
kafka = click.option(
    "--kafka",
    "-X",
    "kafka_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any librdkafka setting; may be repeated. Also from the environment as "
    "SESSIONFOLD_KAFKA_ and the name with underscores, which is the only way for secrets.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
limit = click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000_000),
    metavar="N",
    help="Show at most N. All by default.",
)
output = click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    metavar="FILE",
    help="Where to write; stdout by default.",
)


def broker_options(command: F) -> F:
    """Add the options that name a topic on a cluster."""
    return bootstrap_servers(topic(kafka(command)))


_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_SECONDS = 10_000 * 366 * 86_400
"""Longer ages mean the same: before every time that there is."""
_AGE = re.compile(r"(\d{1,9})([smhd])")


class Age(click.ParamType[int]):
    """A length of time as 90s, 15m, 2h or 7d, in seconds."""

    name = "age"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's signature
        """Return seconds, or fail with what is accepted."""
        found = _AGE.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no age; write it as 90s, 15m, 2h or 7d", param, ctx)
        return min(int(found[1]) * _UNIT_SECONDS[found[2]], _LONGEST_SECONDS)
