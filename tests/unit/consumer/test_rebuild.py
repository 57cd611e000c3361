"""A rebuild, step by step, over a log and a store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.commit import LeftOut
from sessionfold_consumer.dead_letters import retry
from sessionfold_consumer.errors import (
    DecisionsChangedError,
    FencedError,
    GenerationKeptError,
    LogStartGoneError,
    NothingKeptError,
    NothingToRebuildError,
    RebuiltDiffersError,
    ShadowGoneError,
    StoreBusyError,
)
from sessionfold_consumer.rebuild import Reader, Rebuilder
from sessionfold_consumer.rebuild.rebuilder import Ends
from sessionfold_consumer.service import Service
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.store import FATAL_REASON, MemoryShadow, MemoryStore
from tests.strategies import KeyAndValue
from tests.unit.consumer import conftest
from tests.unit.consumer.services import (
    Item,
    Topic,
    assert_is_fold_of_its_prefix,
    items,
    new_service,
    new_store,
)
from tests.unit.consumer.verifying import assert_is_clean, new_verifier

BAD = b"no event"


def event(session_id: str, **given: Any) -> KeyAndValue:  # noqa: ANN401 - any field's value
    """Return a record that gives these fields."""
    record: KeyAndValue = conftest.event(0, session_id, 0, **given)[1]
    return record


@dataclass
class Scene:
    """A log, the store of it, a service that folds it, and a rebuild of it."""

    topic: Topic = field(default_factory=Topic)
    store: MemoryStore = field(default_factory=new_store)
    stopping: Callable[[], bool] = lambda: False
    batch_records: int = 2

    def append(self, *items: Item) -> None:
        """Append to the log."""
        self.topic.append(items)

    def service(self) -> Service:
        """Return a service that folds up to the log's present end, into what is live."""
        return new_service(MemorySource(self.topic.log), self.store, until=self.topic.ends())

    def fold(self, *items: Item) -> None:
        """Append to the log and let a service fold it."""
        self.append(*items)
        self.service().run()

    def rebuilder(self) -> Rebuilder:
        """Return what rebuilds the store, as another process would."""
        shadow = MemoryShadow(self.store)

        @contextmanager
        def open_reader(ends: Ends, left_out: LeftOut) -> Iterator[Reader]:
            source = MemorySource(self.topic.log)
            service = new_service(
                source,
                shadow,
                until=ends,
                batch_records=self.batch_records,
                accepted=self.store.gaps(),
                left_out=left_out,
            )
            yield Reader(service=service, source=source)

        return Rebuilder(self.store, shadow, open_reader, self.stopping)

    def rebuild(self, *, accept: bool = False) -> None:
        """Do all steps."""
        rebuilder = self.rebuilder()
        rebuilder.prepare()
        assert rebuilder.fill()
        rebuilder.switch(rebuilder.compare(10), accept=accept)

    def rebuild_anew(self) -> None:
        """Go on with a rebuild, and do another one: the generations are again as they were."""
        self.rebuild()
        self.rebuilder().drop()
        self.rebuild()

    def become_valid(self, place: tuple[int, int]) -> None:
        """Let the record of a dead letter be an event: as if the program knew its schema now."""
        letter = next(
            each for each in self.store.dead_letters() if (each.partition, each.offset) == place
        )
        value = event((letter.key or b"").decode(), task=f"late {place}")[1]
        for tables in self.store.shelf.generations.values():
            if place in tables.dead_letters:
                tables.dead_letters[place] = letter._replace(value=value, reason="unknown_schema")
        records = self.topic.log.partitions[place[0]]
        before = records[place[1]]
        assert before is not None
        records[place[1]] = replace(before, value=value)

    def assert_is_right(self) -> None:
        """Hold the live state to the log, and to its positions."""
        assert_is_fold_of_its_prefix(self.store, self.topic)
        assert_is_clean(new_verifier(self.topic).check(self.store))


@pytest.fixture
def scene() -> Scene:
    """Three sessions, one on each partition, and a dead letter, folded."""
    scene = Scene()
    scene.fold(
        (0, event("a", task="one")),
        (1, event("b", task="one")),
        (0, (b"a", BAD)),
        (2, event("c", session_eval=0.5)),
        (0, event("a", task="two")),
    )
    return scene


def test_the_rebuilt_state_is_the_same_and_takes_over(scene: Scene) -> None:
    """What was live before is kept; the dead letter is set aside again."""
    before = [*scene.store.states()], [*scene.store.dead_letters()]
    scene.rebuild()
    assert ([*scene.store.states()], [*scene.store.dead_letters()]) == before
    assert (scene.store.info().generation, scene.store.info().shadow) == ("b", "kept")
    scene.assert_is_right()


def test_a_service_goes_on_in_the_new_generation(scene: Scene) -> None:
    """It is fenced at its next commit, claims again, and follows."""
    source = MemorySource(scene.topic.log)
    service = new_service(source, scene.store)
    service.step()
    scene.rebuild()
    scene.append((0, event("a", task="three")), (1, event("d")))
    for _ in range(4):
        service.step()
    assert scene.store.get("a")[0]["task"] == "three"
    scene.assert_is_right()


def test_what_live_has_gone_on_with_is_folded_before_the_switch(scene: Scene) -> None:
    """Readers never see a state that is older than one they have seen."""
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    assert rebuilder.fill()
    found = rebuilder.compare(10)
    scene.fold((0, event("a", task="three")), (1, event("new")))
    rebuilder.switch(found, accept=False)
    assert scene.store.get("a")[0]["task"] == "three"
    assert [each["session_id"] for each in scene.store.states()] == ["a", "b", "c", "new"]
    scene.assert_is_right()


def test_a_value_that_was_changed_by_hand_is_named(scene: Scene) -> None:
    """By session, field and both values; and nothing is switched."""
    scene.store.tables.states["a", 0]["task"] = "by hand"
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    found = rebuilder.compare(10)
    (change,) = found.changes
    assert (change.session_id, change.partition, change.field) == ("a", 0, "task")
    assert (change.live, change.rebuilt) == ("by hand", "two")
    with pytest.raises(RebuiltDiffersError, match="1 session"):
        rebuilder.switch(found, accept=False)
    assert (scene.store.info().generation, scene.store.info().shadow) == ("a", "filling")
    rebuilder.switch(found, accept=True)
    scene.assert_is_right()


def test_a_value_that_is_changed_after_the_comparison_is_named_by_the_switch(scene: Scene) -> None:
    """If live has gone on with the session, it is compared at the moment of the switch."""
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    found = rebuilder.compare(10)
    assert found.is_same
    scene.fold((0, event("a", session_eval=1.0)))
    scene.store.tables.states["a", 0]["task"] = "by hand"
    with pytest.raises(RebuiltDiffersError):
        rebuilder.switch(found, accept=False)
    assert [each.field for each in found.changes] == ["task"]


def test_a_session_that_differs_again_is_counted_once(scene: Scene) -> None:
    """Live has gone on with it, and it is compared at each try to switch."""
    scene.store.tables.states["a", 0]["task"] = "by hand"
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    found = rebuilder.compare(10)
    scene.fold((0, event("a", session_eval=1.0)))
    with pytest.raises(RebuiltDiffersError, match="1 session"):
        rebuilder.switch(found, accept=False)
    rebuilder.switch(found, accept=True)
    assert (found.sessions, len(found.changes)) == (1, 1)


@pytest.mark.parametrize("lost", ["live", "rebuilt"])
def test_a_session_that_only_one_has_is_named(scene: Scene, lost: str) -> None:
    """Without a field."""
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    shadow = MemoryShadow(scene.store)
    del (scene.store if lost == "live" else shadow).tables.states["b", 1]
    (change,) = rebuilder.compare(10).changes
    assert (change.session_id, change.field) == ("b", None)
    assert getattr(change, lost) is None


def test_what_is_cut_is_counted(scene: Scene) -> None:
    """The changes of as many sessions as were asked for."""
    for state in scene.store.tables.states.values():
        state["task"] = "by hand"
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    found = rebuilder.compare(1)
    assert (found.sessions, len({each.session_id for each in found.changes})) == (3, 1)


def test_a_rebuild_that_was_stopped_goes_on(scene: Scene) -> None:
    """From the positions that it had reached."""
    stops = iter([False, False, True])
    scene.stopping = lambda: next(stops, True)
    rebuilder = scene.rebuilder()
    assert not rebuilder.prepare()
    assert not rebuilder.fill()
    reached = sum(each.next_offset for each in MemoryShadow(scene.store).positions().values())
    assert 0 < reached < len(scene.topic.records)
    scene.stopping = lambda: False
    again = scene.rebuilder()
    assert again.prepare()
    assert again.fill()
    again.switch(again.compare(10), accept=False)
    scene.assert_is_right()


def test_dropped_records_stay_out(scene: Scene) -> None:
    """Also one that is a valid event by now: somebody decided, and a rebuild keeps that."""
    scene.fold((0, event("a", task="given up")))
    place = (0, 3)
    letters = scene.store.tables.dead_letters
    state = scene.store.tables.states["a", 0]
    scene.store.tables.states["a", 0] = state | {
        "task": "two", "task_offset": 2, "event_count": 2, "last_offset": 2,
        "last_occurred_at": state["first_occurred_at"],
    }  # fmt: skip
    letters[place] = letters[0, 1]._replace(
        offset=3, timestamp=3, value=event("a", task="given up")[1], status="dropped"
    )
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    assert rebuilder.compare(10).is_same
    assert MemoryShadow(scene.store).get("a")[0]["task"] == "two"


def test_records_that_ended_processes_are_not_decoded(scene: Scene) -> None:
    """They are set aside as they were."""
    letters = scene.store.tables.dead_letters
    letters[0, 1] = letters[0, 1]._replace(reason=FATAL_REASON)
    scene.rebuild()
    assert [each.reason for each in scene.store.dead_letters()] == [FATAL_REASON]


def test_retried_records_are_folded_in_their_place(scene: Scene) -> None:
    """And stay listed as retried."""
    letters = scene.store.tables.dead_letters
    value = event("a", task="late", session_eval=0.1)[1]
    scene.topic.log.partitions[0][1] = type(scene.topic.log.partitions[0][0])(  # type: ignore[misc]
        timestamp=1, key=b"a", value=value, headers=()
    )
    letters[0, 1] = letters[0, 1]._replace(value=value, reason="unknown_schema")
    tried = retry(scene.store.dead_letters())
    scene.store.resolve(tried.accepted, "retried", tried.rows)
    scene.rebuild()
    assert [each.status for each in scene.store.dead_letters()] == ["retried"]
    assert scene.store.get("a")[0]["session_eval"] == 0.1


def test_records_that_are_valid_for_a_newer_program_are_restored(scene: Scene) -> None:
    """An old consumer could not store them; the rebuild does, and says so before it switches."""
    letters = scene.store.tables.dead_letters
    value = event("a", task="newer")[1]
    scene.topic.log.partitions[0][1] = type(scene.topic.log.partitions[0][0])(  # type: ignore[misc]
        timestamp=1, key=b"a", value=value, headers=()
    )
    letters[0, 1] = letters[0, 1]._replace(value=value, reason="unknown_schema")
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    found = rebuilder.compare(10)
    assert (found.sessions, found.letters.restored, found.letters.first_restored) == (1, 1, (0, 1))
    rebuilder.switch(found, accept=True)
    assert scene.store.get("a")[0]["event_count"] == 3
    assert [*scene.store.dead_letters()] == []


def test_records_that_are_refused_now_are_said_so(scene: Scene) -> None:
    """The log holds other bytes than those that were folded."""
    records = scene.topic.log.partitions[2]
    records[0] = type(records[0])(timestamp=0, key=b"c", value=BAD, headers=())  # type: ignore[misc]
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    found = rebuilder.compare(10)
    assert (found.sessions, found.letters.refused, found.letters.first_refused) == (1, 1, (2, 0))


def test_a_decision_that_is_made_meanwhile_ends_the_rebuild(scene: Scene) -> None:
    """The next one knows of it."""
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    found = rebuilder.compare(10)
    scene.store.resolve([*scene.store.dead_letters()], "dropped")
    with pytest.raises(DecisionsChangedError):
        rebuilder.switch(found, accept=True)
    assert not scene.rebuilder().prepare()
    scene.rebuild()
    assert [each.status for each in scene.store.dead_letters()] == ["dropped"]


def test_a_log_without_its_start_is_refused(scene: Scene) -> None:
    """Saying what would be missed."""
    scene.topic.log.truncate(0, 2)
    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    with pytest.raises(LogStartGoneError, match="offsets 0 to 1 of partition 0"):
        rebuilder.fill()


def test_a_gap_that_was_accepted_is_no_obstacle() -> None:
    """Its records are in no state; the rebuilt store has the gap on record, too."""
    scene = Scene()
    scene.append((0, event("a", task="gone")), (0, event("a", task="there")), (1, event("b")))
    scene.topic.log.truncate(0, 1)
    claimed = scene.store.claim([0], "a service")[0]
    scene.store.accept_gap(claimed, 1)
    scene.service().run()
    scene.rebuild()
    assert len(scene.store.gaps()) == 1
    assert scene.store.get("a")[0]["event_count"] == 1


def test_a_store_without_a_service_has_nothing_to_rebuild() -> None:
    """There is no state to compare with."""
    with pytest.raises(NothingToRebuildError):
        Scene(store=MemoryStore()).rebuilder().prepare()


def test_what_is_kept_is_in_the_way(scene: Scene) -> None:
    """Until it is thrown away."""
    scene.rebuild()
    with pytest.raises(GenerationKeptError, match="--drop-old"):
        scene.rebuilder().prepare()
    scene.rebuilder().drop()
    assert scene.store.info().shadow == "empty"
    scene.rebuild()
    scene.assert_is_right()


def test_an_undo_shows_what_was_live_folded_up_to_now(scene: Scene) -> None:
    """Also what was changed by hand in it; and it can be undone, too."""
    scene.store.tables.states["a", 0]["session_eval_reason"] = "by hand"
    scene.rebuild(accept=True)
    scene.fold((0, event("a", task="three")))
    scene.rebuilder().undo()
    state = scene.store.get("a")[0]
    assert (state["session_eval_reason"], state["task"], state["event_count"]) == (
        "by hand",
        "three",
        3,
    )
    scene.rebuilder().undo()
    scene.assert_is_right()


@pytest.mark.parametrize("decision", ["dropped", "retried"])
def test_an_undo_keeps_what_was_decided_since(scene: Scene, decision: Any) -> None:  # noqa: ANN401
    """About dead letters that what was kept has, too, and about those that it has not yet."""
    scene.rebuild()
    scene.fold((1, (b"b", BAD)))
    for place in ((0, 1), (1, 1)):
        scene.become_valid(place)
    letters = [*scene.store.dead_letters()]
    rows = retry(letters).rows if decision == "retried" else []
    scene.store.resolve(letters, decision, rows)
    expected = [*scene.store.states()], [*scene.store.dead_letters()]
    scene.rebuilder().undo()
    assert ([*scene.store.states()], [*scene.store.dead_letters()]) == expected
    assert {each.status for each in scene.store.dead_letters()} == {decision}


def test_an_undo_does_not_decode_what_ended_processes_since(scene: Scene) -> None:
    """It sets it aside as it was."""
    scene.rebuild()
    scene.fold((1, (b"b", BAD)))
    letters = scene.store.tables.dead_letters
    letters[1, 1] = letters[1, 1]._replace(reason=FATAL_REASON)
    scene.rebuilder().undo()
    assert [each.reason for each in scene.store.dead_letters()][1:] == [FATAL_REASON]


def test_a_switch_whose_answer_was_lost_is_looked_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for none."""
    holding = MemoryShadow.holding

    @contextmanager
    def holding_without_answer(shadow: MemoryShadow) -> Iterator[Any]:
        with holding(shadow) as held:
            yield held
        raise StoreBusyError("the connection was lost")

    rebuilder = scene.rebuilder()
    rebuilder.prepare()
    rebuilder.fill()
    found = rebuilder.compare(10)
    monkeypatch.setattr(MemoryShadow, "holding", holding_without_answer)
    rebuilder.switch(found, accept=False)
    assert (scene.store.info().generation, scene.store.info().shadow) == ("b", "kept")


def test_a_rebuild_that_was_overtaken_twice_switches_nothing(scene: Scene) -> None:
    """It was frozen since its comparison; what it would put in place is what others have kept."""
    frozen = scene.rebuilder()
    frozen.prepare()
    frozen.fill()
    found = frozen.compare(10)
    scene.rebuild_anew()
    assert (scene.store.info().generation, scene.store.info().shadow) == ("a", "kept")
    with pytest.raises(ShadowGoneError):
        frozen.switch(found, accept=True)
    assert (scene.store.info().generation, scene.store.info().shadow) == ("a", "kept")


def test_a_rebuild_whose_shadow_is_thrown_away_says_so(scene: Scene) -> None:
    """Not that the store is damaged."""
    frozen = scene.rebuilder()
    frozen.prepare()
    frozen.fill()
    found = frozen.compare(10)
    scene.rebuilder().drop()
    with pytest.raises(ShadowGoneError, match="thrown away"):
        frozen.switch(found, accept=True)


def test_there_has_to_be_something_to_go_back_to(scene: Scene) -> None:
    """Or to throw away."""
    with pytest.raises(NothingKeptError, match="go back to"):
        scene.rebuilder().undo()
    with pytest.raises(NothingKeptError, match="throw away"):
        scene.rebuilder().drop()


def test_a_second_rebuild_takes_over(scene: Scene) -> None:
    """The first one is fenced, and what both folded is right."""
    first, second = scene.rebuilder(), scene.rebuilder()
    first.prepare()
    held = MemoryShadow(scene.store)
    stale = new_service(MemorySource(scene.topic.log), held, until=scene.topic.ends())
    stale.step()
    second.prepare()
    second.fill()
    with pytest.raises(FencedError):
        stale.run()
    second.switch(second.compare(10), accept=False)
    scene.assert_is_right()


@given(st.lists(st.one_of(items, st.sampled_from(["fold", "step", "new"])), max_size=60))
def test_whatever_happens_meanwhile(script: list[Item | str]) -> None:
    """Records and services that come at any time change nothing of what a rebuild ends in."""
    scene = Scene(batch_records=3)
    pending = scene.rebuilder()
    is_begun = False
    for each in script:
        if each == "fold":
            scene.service().run()
        elif each == "new":
            pending, is_begun = scene.rebuilder(), False
        elif each == "step":
            if not is_begun:
                pending.prepare()
            is_begun = pending.fill()
        elif isinstance(each, tuple):
            scene.append(each)
    pending.prepare()
    pending.fill()
    found = pending.compare(3)
    scene.service().run()
    pending.switch(found, accept=False)
    scene.service().run()
    scene.assert_is_right()
    assert found.is_same
