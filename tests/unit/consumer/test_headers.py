"""Headers are only read for dead letters, and whatever is in them, the letter is kept."""

from __future__ import annotations

import pytest

from sessionfold_consumer.source import kafka


class ClientRecord:
    """A record as confluent-kafka hands it over, as far as its headers go."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def headers(self) -> object:
        """Return the headers, or end as the client does."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, []),
        ([("trace", b"1"), ("empty", None), ("trace", b"2")], None),
        ([("text", "é")], [("text", "é".encode())]),
        # What the client does with a header name that is not UTF-8 (2.16.1, on a real broker).
        (
            SystemError("returned a result with an exception set"),
            [(kafka.UNREADABLE_HEADERS, None)],
        ),
    ],
)
def test_headers_are_kept_as_far_as_the_client_can_read_them(
    answer: object, expected: object
) -> None:
    """One foreign record must not end the service."""
    found = kafka._headers(ClientRecord(answer))  # type: ignore[arg-type]
    assert found == (answer if expected is None else expected)
