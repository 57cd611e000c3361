"""Options that several commands share, each with its environment variable."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ..store import has_password, is_postgres

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


def _refuse_password(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Refuse a password on the command line, which every user of the machine can read."""
    given = ctx.get_parameter_source(param.name or "")
    if given is ParameterSource.COMMANDLINE and is_postgres(value) and has_password(value):
        raise click.UsageError(
            "a password on the command line can be read by everyone on this machine; give the URL "
            "in SESSIONFOLD_STORE, or the password in PGPASSWORD or the password file",
            ctx,
        )
    return value


store = click.option(
    "--store",
    callback=_refuse_password,
    envvar="SESSIONFOLD_STORE",
    default="sqlite:///sessions.db",
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="Where the state is: sqlite:///FILE, sqlite:////FILE with an absolute path, or "
    "postgresql://USER@HOST:PORT/DATABASE.",
)
batch_records = click.option(
    "--batch-records",
    type=click.IntRange(1, 1_000_000),
    default=50_000,
    show_default=True,
    envvar="SESSIONFOLD_BATCH_RECORDS",
    show_envvar=True,
    help="The most records in one transaction.",
)
processes = click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Fold by so many processes at a time, each with a part of the partitions; they share what "
    "--batch-records says.",
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
differing_limit = click.option(
    "--limit",
    type=click.IntRange(0, 1_000_000),
    default=20,
    show_default=True,
    metavar="N",
    help="Show what differs of at most N sessions; all are counted.",
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


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(click.ParamType[int]):
    """A time as ISO 8601 (UTC unless it says otherwise) or an age, in microseconds."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's signature
        """Return microseconds since the epoch, or fail with what is accepted."""
        text = str(value)
        if _AGE.fullmatch(text):
            return time.time_ns() // 1000 - AGE.convert(text, param, ctx) * 1_000_000
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{value!r} is no time; write it as 2026-03-01T12:00:00Z, 2026-03-01, or as an age "
                "like 15m, 2h or 7d",
                param,
                ctx,
            )
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1)


AGE, MOMENT = Age(), Moment()


Until = int | tuple[int, int]
"""A time in microseconds since the epoch, or a partition and an offset."""

_PLACE = re.compile(r"(\d{1,9}):(\d{1,19})")


class _Until(click.ParamType[Until]):
    """A time, or a place in the log as PARTITION:OFFSET."""

    name = "until"

    def convert(self, value: Any, param: Any, ctx: Any) -> Until:  # noqa: ANN401 - click's signature
        """Return what is given, or fail with what is accepted."""
        found = _PLACE.fullmatch(str(value))
        if found is not None:
            return int(found[1]), int(found[2])
        return MOMENT.convert(value, param, ctx)


UNTIL = _Until()
