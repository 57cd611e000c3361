"""What docs/answers.md and the README show of answers from the log is what the commands print."""

from __future__ import annotations

import re
import shlex
import signal
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.docs import markdown
from tests.e2e.conftest import CommandLine, store_url
from tests.services.kafka import Broker
from tests.services.topics import append, create_topic, unique_topic_name
from tests.unit.consumer.conftest import event

pytestmark = pytest.mark.kafka

_PAGE = markdown.ROOT / "docs" / "answers.md"
_SHOWN = [
    (typed, shown)
    for path in (_PAGE, markdown.ROOT / "README.md")
    for typed, shown in pairwise(markdown.blocks(path))
    if (typed.language, shown.language) == ("sh", "text")
]
_PLAIN = [
    line
    for typed, following in pairwise([*markdown.blocks(_PAGE), None])
    if typed is not None and typed.language == "sh"
    if following is None or following.language != "text"
    for line in typed.text.splitlines()
]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z")
_PRODUCER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OTHER_PRODUCER = "0b6e4dd4-5f0e-4f0c-9d0c-0d8f7c1b2a11"


@pytest.fixture(scope="module")
def cli(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The command line with what the page is about: its worker, a bad record, another producer.

    Of that one some events never arrived, and one arrived twice.
    """
    folder, topic = tmp_path_factory.mktemp("answers"), unique_topic_name()
    create_topic(broker, topic, partitions=2)
    cli = CommandLine(
        {
            "SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "SESSIONFOLD_TOPIC": topic,
            "SESSIONFOLD_STORE": store_url(folder / "sessions.db"),
        }
    )
    [worker] = markdown.blocks(_PAGE, "python")
    program = folder / "worker.py"
    program.write_text(worker.text, "utf-8")
    assert cli.program(program).returncode == 0
    append(broker, topic, [(b"refund-7", b"no event")])
    append(broker, topic, _others())
    cli.good("run", "--until-caught-up")
    time.sleep(1.0)  # so old is what `audit --grace 1s` judges
    return cli


def _others() -> Iterator[tuple[bytes, bytes]]:
    for sequence in (0, 1, 2, 5, 6, 6, 9):
        _, record = event(
            0,
            f"refund-{sequence % 3}",
            sequence,
            producer_id=_OTHER_PRODUCER,
            sequence=sequence,
            lost_before=2 if sequence == 9 else 0,
        )
        yield record


@pytest.mark.parametrize(("typed", "shown"), _SHOWN, ids=lambda block: block.place)
def test_it_prints_what_is_shown(
    cli: CommandLine, typed: markdown.Block, shown: markdown.Block
) -> None:
    """Line for line; times and producers are others each time."""
    [line] = typed.text.splitlines()
    _, *arguments = shlex.split(line)
    lines = shown.text.splitlines()
    printed = _tail(cli, arguments, len(lines)) if "tail" in arguments else cli(*arguments).stdout
    assert _comparable(printed).splitlines() == _comparable(shown.text).splitlines()


@pytest.mark.parametrize("line", _PLAIN)
def test_it_runs(cli: CommandLine, line: str) -> None:
    """What is shown without its output, too."""
    _, *arguments = shlex.split(line)
    if "tail" in arguments:
        assert _tail(cli, arguments, 1)
        return
    ended = cli(*arguments)
    assert ended.returncode == (24 if "audit" in arguments and "--until" not in arguments else 0)
    assert ended.stdout


def test_there_is_something_to_check() -> None:
    """A change of the Markdown must not turn these tests off: all four commands are shown."""
    commands = {shlex.split(typed.text)[1] for typed, _ in _SHOWN}
    assert commands == {"explain", "history", "audit", "tail"}
    assert {typed.path.name for typed, _ in _SHOWN} == {"answers.md", "README.md"}
    assert len(_PLAIN) >= 6


def _tail(cli: CommandLine, arguments: list[str], lines: int) -> str:
    """Return so many lines, and expect that Ctrl+C ends it with 0."""
    tailing = cli.start(*arguments)
    assert tailing.stdout is not None
    printed = [tailing.stdout.readline() for _ in range(lines)]
    tailing.send_signal(signal.SIGINT)
    tailing.communicate(timeout=30)
    assert tailing.returncode == 0
    return "".join(printed)


def _comparable(text: str) -> str:
    text = _PRODUCER.sub("PRODUCER", _TIME.sub("TIME", text))
    return re.sub(r" +", " ", re.sub(r" +$", "", text, flags=re.MULTILINE))
