"""How answers from the log look, and what their command lines accept."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime

import pytest

from sessionfold_consumer.answers import Explained, Heard, Record
from sessionfold_consumer.answers.audit import Auditor, Moments
from sessionfold_consumer.cli import _audit_report, _events, _options, explain, history, tail
from sessionfold_consumer.source import Span
from tests.strategies import batch_of
from tests.unit.consumer.answering import explained, folded
from tests.unit.consumer.answering import history as steps_of
from tests.unit.consumer.conftest import HIDING_ID, SECOND, START, CommandLine, event
from tests.unit.consumer.services import Topic, new_store
from tests.unit.consumer.verifying import advance, resolve

_FIRST_START, _SECOND_START = "2023-11-14T22:13:20.000000Z", "2023-11-14T22:13:21.000000Z"

HOSTILE = "\x1b]0;title\x07\u2066"


@pytest.fixture
def topic() -> Topic:
    """A session with values that were replaced, given again and not taken, and a dead letter."""
    topic = Topic()
    topic.append(
        [
            event(0, "a", 0, task="one", started_at=START, is_finished=False),
            event(0, "a", 1, task="two", session_eval=0.5, lost_before=2),
            (0, (b"a", b"no event")),
            event(0, "a", 3, task="two", started_at=START + SECOND),
        ]
    )
    return topic


def test_a_history_is_a_line_a_record_and_one_a_given_field(topic: Topic) -> None:
    """With what was there before, where that is not plain."""
    lines = [line for step in steps_of(topic, folded(topic), "a") for line in history._lines(step)]
    assert lines == [
        "0:0  1970-01-01T00:00:00.000Z  p #0",
        "    task                  one",
        "    is_finished           no",
        f"    started_at            {_FIRST_START}",
        "0:1  1970-01-01T00:00:00.001Z  p #1",
        "    lost_before           2",
        "    task                  two  (was one)",
        "    session_eval          0.5",
        "0:2  1970-01-01T00:00:00.002Z  set aside (not_single_object)",
        "0:3  1970-01-01T00:00:00.003Z  p #3",
        "    task                  two  (as before)",
        f"    started_at            {_SECOND_START}  (stays {_FIRST_START})",
    ]


def test_a_history_says_what_became_of_dead_letters() -> None:
    """Retried ones are events, dropped ones stay out."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", 0, task="x"), event(0, "a", 1, task="y")])
    advance(store, topic, 0, records=1, fatal={0})
    advance(store, topic, 0, records=1, fatal={0})
    retried, dropped = store.dead_letters()
    assert resolve(store, retried, "retried")
    assert resolve(store, dropped, "dropped")
    heads = [next(history._lines(step)) for step in steps_of(topic, store, "a")]
    assert [head.split("Z  ")[1] for head in heads] == ["p #0 (retried)", "dropped (fatal)"]


def test_a_history_as_json_has_the_event_and_the_state_after_it(topic: Topic) -> None:
    """The event with what it gives alone, the state as show has it; neither for other records."""
    first, _, aside, _ = map(history._json_step, steps_of(topic, folded(topic), "a"))
    assert first["event"] == {
        "session_id": "a",
        "occurred_at": "2023-11-14T22:13:20.000000Z",
        "producer_id": "p",
        "sequence": 0,
        "lost_before": 0,
        "task": "one",
        "is_finished": False,
        "started_at": "2023-11-14T22:13:20.000000Z",
    }
    assert (first["partition"], first["offset"], first["fate"]) == (0, 0, "folded")
    assert (first["state"]["task"], first["state"]["event_count"]) == ("one", 1)
    assert (aside["fate"], aside["reason"], aside["event"]) == (
        "set_aside",
        "not_single_object",
        None,
    )
    assert aside["state"]["task"] == "two"


def explain_lines(found: Explained) -> list[str]:
    """Return what explain prints."""
    return list(explain._lines(found))


def test_an_explanation_is_a_field_and_its_evidence(topic: Topic) -> None:
    """A line each that a terminal has room for."""
    lines = explain_lines(explained(topic, folded(topic), "a"))
    start = lines.index("task                  two")
    assert lines[start : start + 6] == [
        "task                  two",
        "    set by 0:3 at 1970-01-01T00:00:00.003Z, occurred 2023-11-14T22:13:23.000000Z",
        "    by p #3",
        "    replaced two",
        "        set by 0:1 at 1970-01-01T00:00:00.001Z, occurred 2023-11-14T22:13:21.000000Z",
        "        by p #1",
    ]
    never = lines.index("ended_at              -")
    assert lines[never + 1] == "    never given"
    assert lines[-5:] == [
        "event_count           3",
        "    3 of p, from 0:0 to 0:3",
        "lost_before           2",
        "    2 of p, 0:1",
        "set aside: 1 (in no field; see: sessionfold dead-letters list)",
    ]


def test_an_explanation_says_where_the_log_disagrees(topic: Topic) -> None:
    """With what it comes to there, and what to do."""
    other = Topic()
    other.append([event(0, "a", 0, task="one"), *[event(0, "a", n, task="2") for n in (1, 2, 3)]])
    found = explained(other, folded(topic), "a")
    assert found.disagreements
    [line] = [each for each in explain_lines(found) if "by it this is 2" in each]
    assert "the log disagrees: by it this is 2, set by offset 3" in line
    assert line.endswith("sessionfold verify")
    fields = explain._json("a", found)["fields"]
    assert fields["task"]["disagreement"] == {"value": "2", "offset": 3}
    assert "disagreement" not in fields["ended_at"]


def test_an_explanation_as_json_has_every_origin(topic: Topic) -> None:
    """Null where there is none."""
    shown = explain._json("a", explained(topic, folded(topic), "a"))
    task = shown["fields"]["task"]
    assert task["value"] == "two"
    assert task["set_by"] == {
        "partition": 0,
        "offset": 3,
        "timestamp": "1970-01-01T00:00:00.003Z",
        "occurred_at": "2023-11-14T22:13:23.000000Z",
        "producer_id": "p",
        "sequence": 3,
    }
    assert task["replaced"]["value"] == "two"
    assert task["replaced"]["set_by"]["offset"] == 1
    assert shown["fields"]["ended_at"] == {
        "value": None,
        "set_by": None,
        "replaced": None,
        "times_given": 0,
    }
    [part] = shown["fields"]["lost_before"]["parts"]
    assert (part["producer_id"], part["amount"], part["first"]["offset"]) == ("p", 2, 1)
    assert (shown["missing"], shown["set_aside"], shown["disagreements"]) == ([], 1, 0)


def test_a_tail_is_a_line_a_record() -> None:
    """Session, producer, and what was given; or why it was refused."""
    record = Record(3, 7, 1, b"a", b"")
    given = {"producer_id": "p", "sequence": 4, "task": "x", "session_eval": None, "lost_before": 0}
    assert tail._line(Heard(record=record, event=given)) == (
        "3:7  1970-01-01T00:00:00.001Z  a  p #4  task=x"
    )
    refused = Heard(record=record, event={}, reason="malformed", detail="it ends")
    assert tail._line(refused).endswith("  a  refused (malformed): it ends")
    assert tail._json(refused) == {
        "partition": 3,
        "offset": 7,
        "timestamp": "1970-01-01T00:00:00.001Z",
        "key": "61",
        "reason": "malformed",
        "detail": "it ends",
        "event": None,
    }


@pytest.mark.parametrize("key", [None, b"", b"\xff\x1b", HIDING_ID.encode()])
def test_no_line_moves_a_terminal(key: bytes | None) -> None:
    """Whatever key, producer and texts are."""
    record = Record(0, 0, 1, key, b"")
    given = {"producer_id": HOSTILE, "sequence": 4, "task": HOSTILE, "lost_before": 0}
    assert tail._line(Heard(record=record, event=given)).isprintable()
    topic = Topic()
    topic.append([event(0, HIDING_ID, 0, task=HOSTILE, producer_id=HOSTILE)] * 2)
    store = folded(topic)
    lines = [line for step in steps_of(topic, store, HIDING_ID) for line in history._lines(step)]
    lines += explain_lines(explained(topic, store, HIDING_ID))
    assert all(line.isprintable() for line in lines)


def test_a_line_is_cut_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its width, with a mark, and where a value stands; a pipe gets all of it."""
    assert _events.shortened("x" * 20, 10) == "x" * 9 + "…"
    assert _events.shortened("x" * 10, 10) == "x" * 10
    assert _events.shortened("x" * 20, None) == "x" * 20
    topic = Topic()
    topic.append([event(0, "a", 123_456, task="x" * 100), event(0, "a", 2, task="y")])
    store = folded(topic)
    told, field = [*history._lines(steps_of(topic, store, "a")[0], 30)]
    assert told.endswith("p #123456")
    assert (len(field), field[-1]) == (30, "…")
    lines = [*explain._lines(explained(topic, store, "a"), 30)]
    [replaced] = [line for line in lines if "replaced x" in line]
    assert (len(replaced), replaced[-1]) == (30, "…")
    assert any(line.endswith("p #123456") for line in lines)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert _events.terminal_width() is None


def test_an_audit_is_a_table_of_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Ranges, of which the first few are shown; JSON has all."""
    topic = Topic()
    topic.append([event(0, "a", 2 * n, producer_id=f"p{HOSTILE}", lost_before=1) for n in range(9)])
    topic.append([(0, (b"a", b"no event")), event(1, "b", 0)])
    auditor = Auditor(Moments(), is_whole=True)
    auditor.take(batch_of(topic.records))
    spans = {0: Span(0, 10), 1: Span(0, 1)}
    now = START + 7200 * SECOND
    states = list(folded(topic).states())
    _audit_report.print_report(auditor.audit(), spans, states, now)
    first, headers, row, refused, sessions, *listed = capsys.readouterr().out.splitlines()
    assert first == "11 records, 2 partitions, 2 producers: 8 events missing, 9 updates lost"
    assert headers.split()[:3] == ["PRODUCER", "EVENTS", "MISSING"]
    assert row.split("  ")[-1] == "1, 3, 5, 7, 9 and 3 more"
    assert row.isprintable()
    assert refused.startswith("1 record without a number")
    assert sessions == "2 sessions open for too long"
    assert listed == [
        "  a  began 2h ago, last heard of 119m ago",
        "  b  began 2h ago, last heard of 2h ago",
    ]
    shown = _audit_report.json_report(auditor.audit(), spans, None)
    assert [gap["first"] for gap in shown["findings"][0]["gaps"]] == [1, 3, 5, 7, 9, 11, 13, 15]
    assert shown["open_sessions"] is None
    assert shown["read"][0] == {"partition": 0, "first_offset": 0, "next_offset": 10}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01 12:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00.25+02:00", datetime(2026, 3, 1, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_iso_8601_in_utc_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    """To the microsecond."""
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000
    assert _options.MOMENT.convert(text, None, None) == expected


def test_a_time_may_be_an_age() -> None:
    """As --stale takes it: so long ago."""
    before = time.time_ns() // 1000
    found = _options.MOMENT.convert("2h", None, None)
    assert before <= found + 7200 * SECOND <= time.time_ns() // 1000
    assert _options.MOMENT.convert("999999999d", None, None) < 0


@pytest.mark.parametrize("text", ["", "yesterday", "2h ago", "-2h", "2026-13-01", "12:00", "2h\n"])
def test_other_times_are_refused_with_what_is_accepted(cli: CommandLine, text: str) -> None:
    """By every command that takes one."""
    for command in ("tail", "audit"):
        result = cli(command, f"--since={text}")
        assert result.exit_code == 2
        assert "write it as 2026-03-01T12:00:00Z" in " ".join(result.stderr.split())


def test_a_tail_has_one_beginning(cli: CommandLine) -> None:
    """Two would contradict each other."""
    result = cli("tail", "--from-start", "--since", "2h")
    assert result.exit_code == 2
    assert "give one of them" in result.stderr


def test_a_range_is_not_empty(cli: CommandLine) -> None:
    """In an empty one nothing would be missing, which nobody asked."""
    for since, until in [("1h", "2h"), ("2026-03-02", "2026-03-02T00:00:00Z")]:
        result = cli("audit", "--since", since, "--until", until)
        assert result.exit_code == 2
        assert "--until is not behind --since" in result.stderr


def test_an_unknown_field_is_named_with_those_that_there_are(cli: CommandLine, store: str) -> None:
    """Before anything is read."""
    for name in ("taks", "session_id", "\x1b[2J"):
        result = cli("explain", "alpha", name, "--store", store)
        assert result.exit_code == 13
        assert result.stderr.startswith("sessionfold: there is no field ")
        assert "it has: session_name, task, " in result.stderr
        assert result.stderr.rstrip("\n").isprintable()


@pytest.mark.parametrize("command", ["history", "explain"])
def test_an_unknown_session_is_told_without_a_broker(
    cli: CommandLine, store: str, command: str
) -> None:
    """The store is asked first."""
    result = cli(command, "nobody", "--store", store, "--bootstrap-servers", "127.0.0.1:9")
    assert result.exit_code == 13
    assert "there is no session nobody in" in result.stderr
