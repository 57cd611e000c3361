"""``sessionfold topic``: create the topic as it should be, and see whether it still is."""

from __future__ import annotations

import click

from ..broker import Broker
from ..config import load
from ..errors import TopicExistsError
from ..topic import DEFAULT_PARTITIONS, TopicDescription, deviations, refuse_destructive
from . import _options


@click.group("topic")
def command() -> None:
    """Create and check the topic of the events."""


@command.command("create")
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    default=DEFAULT_PARTITIONS,
    show_default=True,
    help="Their number bounds how many services share the work. It cannot be changed later: "
    "sessions would move between partitions.",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(1, 1000),
    help="Copies of each event; 3 by default, or as many as there are brokers.",
)
@click.option("--if-missing", is_flag=True, help="Leave a topic that exists as it is.")
@_options.broker_options
def create(
    partitions: int,
    replication_factor: int | None,
    if_missing: bool,
    bootstrap_servers: str,
    topic: str,
    kafka_options: tuple[str, ...],
) -> None:
    """Create the topic with the settings that events need."""
    settings = load({"bootstrap_servers": bootstrap_servers, "topic": topic}, kafka_options)
    try:
        made = Broker(settings).create(topic, partitions, replication_factor)
    except TopicExistsError:
        if not if_missing:
            raise
        click.echo(f"the topic {topic} exists")
        return
    click.echo(f"created the topic {topic} with {partitions} partitions:")
    for name, value in made.items():
        click.echo(f"  {name}={value}")


@command.command("check")
@_options.broker_options
def check(bootstrap_servers: str, topic: str, kafka_options: tuple[str, ...]) -> None:
    """Say what is not as it should be, and why it matters.

    Exits with 8 when a setting destroys events, else with 0.
    """
    settings = load({"bootstrap_servers": bootstrap_servers, "topic": topic}, kafka_options)
    description = Broker(settings).describe(topic)
    click.echo(
        f"{topic}: {description.partition_count} partitions, "
        f"replication factor {description.replication_factor}, id {description.topic_id}"
    )
    print_deviations(description)
    refuse_destructive(description)


def print_deviations(description: TopicDescription) -> None:
    """Print a line for each deviation, or that there is none."""
    found = deviations(description)
    for each in found:
        word = "WRONG" if each.destroys_events else "note"
        click.echo(f"  {word}: {each.setting} is {each.found}, should be {each.wanted}: {each.why}")
    if not found:
        click.echo("  all settings are as they should be")
