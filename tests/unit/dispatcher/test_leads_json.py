"""Leads as a JSON list or as lines: what is read, what is refused, however the body is cut."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.domain.lead_rows import BadRow, LeadRow, Rows, UnusableFile
from dispatcher.domain.leads_json import JsonReader, NdjsonReader

Readers = Callable[[], Rows]


def read(make: Readers, data: bytes, *cuts: int) -> list[LeadRow | BadRow]:
    reader, rows, start = make(), [], 0
    for cut in (*sorted(cuts), len(data)):
        rows += list(reader.feed(data[start:cut]))
        start = max(start, cut)
    return rows + list(reader.finish())


ENTRY = '{"email": "Jo@X.test", "name": "Zo\\u00eb", "n": 3, "x": 1.5, "ok": true, "no": null}'
LEAD = LeadRow(1, "jo@x.test", {"name": "Zoë", "n": "3", "x": "1.5", "ok": "true"})


@pytest.mark.parametrize(
    ("make", "data"),
    [
        pytest.param(JsonReader, f" [{ENTRY}]\n", id="a list"),
        pytest.param(NdjsonReader, f"{ENTRY}\n", id="a line"),
        pytest.param(NdjsonReader, ENTRY, id="a line without its end"),
    ],
)
def test_values_become_texts_as_json_writes_them(make: Readers, data: str) -> None:
    assert read(make, data.encode()) == [LEAD]


@pytest.mark.parametrize(
    ("entry", "field", "reason"),
    [
        pytest.param("3", "email", "an object with email", id="a number"),
        pytest.param("{}", "email", "an object with email", id="no email"),
        pytest.param('{"email": 3}', "email", "an object with email", id="email is a number"),
        pytest.param('{"email": "jo"}', "email", "no @", id="no address"),
        pytest.param('{"email": "a@x.test", "b": [1]}', "b", "a text, a number", id="a list"),
        pytest.param('{"email": "a@x.test", "b": "\\u0000"}', "b", "U+0000", id="NUL"),
        pytest.param('{"email": "a@x.test", "": "b"}', "", "needs a name", id="no name"),
        pytest.param(
            '{"email": "a@x.test", "consent": "yes"}', "consent", "none of", id="consent yes"
        ),
    ],
)
@pytest.mark.parametrize("make", [JsonReader, NdjsonReader])
def test_a_bad_entry_is_reported_and_the_next_comes_out(
    make: Readers, entry: str, field: str, reason: str
) -> None:
    other = '{"email": "al@x.test"}'
    text = f"[{entry},{other}]" if make is JsonReader else f"{entry}\n{other}\n"
    wrong, right = read(make, text.encode())
    assert isinstance(wrong, BadRow)
    assert (wrong.row, wrong.field) == (1, field)
    assert reason in wrong.reason
    assert right == LeadRow(2, "al@x.test")


@pytest.mark.parametrize(
    ("make", "data", "reason"),
    [
        pytest.param(JsonReader, b"", "empty", id="nothing"),
        pytest.param(JsonReader, b' {"email": "a@x.test"}', "must be a list", id="an object"),
        pytest.param(JsonReader, b'[{"email": "a@x.test"}', "not JSON behind entry 1", id="cut"),
        pytest.param(JsonReader, b"[1] 2", "not JSON|behind the end", id="more behind"),
        pytest.param(JsonReader, b'[{"a": "' + b"x" * 200_000, "entry 1 is longer", id="endless"),
        pytest.param(JsonReader, b"[" * 200_000, "entry 1 opens more than 200", id="deep"),
        pytest.param(JsonReader, b'["\xff"]', "not JSON", id="Latin-1"),
        pytest.param(NdjsonReader, b"", "empty", id="no line"),
    ],
)
def test_a_body_that_cannot_be_read_on_is_refused(make: Readers, data: bytes, reason: str) -> None:
    with pytest.raises(UnusableFile, match=reason):
        read(make, data)


def test_a_line_that_is_no_json_or_too_long_costs_no_other() -> None:
    data = b'{"email": "a@x.test"}\n{oops\n' + b"x" * 300_000 + b'\n{"email": "b@x.test"}'
    rows = read(NdjsonReader, data, *range(0, len(data), 10_000))
    assert [type(row).__name__ for row in rows] == ["LeadRow", "BadRow", "BadRow", "LeadRow"]
    assert [row.row for row in rows] == [1, 2, 3, 4]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 400), max_size=8), st.sampled_from([JsonReader, NdjsonReader]))
def test_how_a_body_is_cut_does_not_matter(cuts: list[int], make: Readers) -> None:
    entries = [ENTRY, '{"email": "al@x.test", "s": "a\\nb ☃"}', '{"email": "no"}', ENTRY]
    text = f"[{','.join(entries)}]" if make is JsonReader else "\n".join(entries)
    data = text.encode()
    assert read(make, data, *(cut for cut in cuts if cut <= len(data))) == read(make, data)
