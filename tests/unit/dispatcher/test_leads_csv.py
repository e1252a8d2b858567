"""What a CSV of leads may be, and what becomes of each row that it may not be."""

import csv
import io
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.domain.csv_records import BadHeading
from dispatcher.domain.lead_rows import MAX_RECORD_BYTES, BadRow, LeadRow
from dispatcher.domain.leads_csv import LeadReader

Rows = list[LeadRow | BadRow]


def read(data: bytes, *cuts: int) -> Rows:
    """All rows; the file arrives in pieces, cut at these places."""
    reader, rows, start = LeadReader(), [], 0
    for cut in (*sorted(cuts), len(data)):
        rows += list(reader.feed(data[start:cut]))
        start = max(start, cut)
    return rows + list(reader.finish())


def good(rows: Rows) -> list[tuple[int, str, dict[str, str]]]:
    return [(row.row, row.address, row.fields) for row in rows if isinstance(row, LeadRow)]


def bad(rows: Rows) -> list[tuple[int, str, str]]:
    return [(row.row, row.field, row.reason) for row in rows if isinstance(row, BadRow)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"email,name\njo@x.test,Jo\n", [(2, "jo@x.test", {"name": "Jo"})], id="plain"),
        pytest.param(
            b"email,name\r\njo@x.test,Jo\r\n", [(2, "jo@x.test", {"name": "Jo"})], id="CRLF"
        ),
        pytest.param(b"email\njo@x.test", [(2, "jo@x.test", {})], id="no line end at the end"),
        pytest.param(
            b"\xef\xbb\xbfemail;name\njo@x.test;Jo\n",
            [(2, "jo@x.test", {"name": "Jo"})],
            id="a byte order mark, and semicolons",
        ),
        pytest.param(
            b"email\tname\njo@x.test\tJo\n", [(2, "jo@x.test", {"name": "Jo"})], id="tabs"
        ),
        pytest.param(
            b"Name, E-Mail \nJo,jo@x.test\n", [(2, "jo@x.test", {"Name": "Jo"})], id="E-Mail second"
        ),
        pytest.param(b"email\n\n\njo@x.test\n", [(4, "jo@x.test", {})], id="empty lines"),
        pytest.param(
            b'email,name\njo@x.test,"Doe, Jo ""JD"""\n',
            [(2, "jo@x.test", {"name": 'Doe, Jo "JD"'})],
            id="quoted cells",
        ),
        pytest.param(
            b'email,size\na@x.test,5" disk\nb@x.test,plain\nc@x.test,3" disk\n',
            [
                (2, "a@x.test", {"size": '5" disk'}),
                (3, "b@x.test", {"size": "plain"}),
                (4, "c@x.test", {"size": '3" disk'}),
            ],
            id="stray quotes swallow no rows",
        ),
        pytest.param(
            b'email,note\njo@x.test,"a\r\nb, ""c""\n"\nal@x.test,d\n',
            [(2, "jo@x.test", {"note": 'a\r\nb, "c"'}), (3, "al@x.test", {"note": "d"})],
            id="a cell of several lines",
        ),
        pytest.param(
            b"email,note\njo@x.test,=HYPERLINK(1)\n",
            [(2, "jo@x.test", {"note": "=HYPERLINK(1)"})],
            id="a formula is a text",
        ),
        pytest.param(
            b'"name, first";email\nJo;jo@x.test\n',
            [(2, "jo@x.test", {"name, first": "Jo"})],
            id="semicolons, and a comma in a name",
        ),
        pytest.param(
            b"email,,\njo@x.test,,\n", [(2, "jo@x.test", {})], id="columns without name or cells"
        ),
        pytest.param(b"email,name\njo@x.test\n", [(2, "jo@x.test", {})], id="a cell left out"),
        pytest.param(
            "email,name\njö@x.test,Zoë 💌\n".encode(),
            [(2, "jö@x.test", {"name": "Zoë 💌"})],
            id="utf8",
        ),
        pytest.param(b"email\nJo.Doe@X.Test\n", [(2, "jo.doe@x.test", {})], id="made canonical"),
    ],
)
def test_good_rows_come_out(data: bytes, expected: list[tuple[int, str, dict[str, str]]]) -> None:
    rows = read(data)
    assert good(rows) == expected
    assert bad(rows) == []


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        pytest.param(b"nobody,Jo", "email", "no @", id="no address"),
        pytest.param(b",Jo", "email", "no @", id="an empty address"),
        pytest.param(b"jo@x,Jo", "email", "not a full host name", id="no full domain"),
        pytest.param(b"jo@x.test> ORCPT=a@b.test,Jo", "email", "not valid", id="an injection"),
        pytest.param(b"jo@x.test,J\xf6", "", "not UTF-8", id="Latin-1"),
        pytest.param(b"jo@x.test,a\x00b", "name", "U+0000", id="NUL"),
        pytest.param(b"jo@x.test,a\x0bb", "name", "U+000B", id="vertical tab"),
        pytest.param(b"jo@x.test,a,b,c", "", "4 cells, but only 2 columns", id="too many cells"),
        pytest.param(b'jo@x.test,"a"b', "", "not CSV", id="text behind a quoted cell"),
        pytest.param(b"jo@x.test," + b"x" * 10_001, "name", "longer than 10000", id="a long cell"),
        pytest.param(b"jo@x.test,a\rb", "", "not CSV", id="a lone CR"),
        pytest.param(b"jo@x.test," + b"x" * 1_000_000, "", "longer than", id="a cell of 1 MB"),
        pytest.param(b"x" * 5_000_000, "", "longer than 65536 bytes", id="a line of 5 MB"),
    ],
)
def test_a_bad_row_is_reported_once_and_the_others_come_out(
    line: bytes, field: str, reason: str
) -> None:
    data = b"email,name\nann@x.test,Ann\n" + line + b"\nbob@x.test,Bob\n"
    rows = read(data, *range(0, len(data), 50_000))
    assert good(rows) == [
        (2, "ann@x.test", {"name": "Ann"}),
        (4, "bob@x.test", {"name": "Bob"}),
    ]
    ((number, found_field, found_reason),) = bad(rows)
    assert (number, found_field) == (3, field)
    assert reason in found_reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b"\n\n", "empty", id="empty lines only"),
        pytest.param(b"name,phone\nJo,1\n", "no column email", id="no email column"),
        pytest.param("email\n".encode("utf-16"), "is UTF-16, not UTF-8", id="UTF-16"),
        pytest.param("email\n".encode("utf-16-le"), "is UTF-16", id="UTF-16 without a mark"),
        pytest.param(b"PK\x03\x04email", "a spreadsheet", id="a spreadsheet"),
        pytest.param(b"email,a,b,a\n", "'a' is there twice, as number 2 and 4", id="a name twice"),
        pytest.param(b"email,Email\n", "'Email' is there twice", id="email twice"),
        pytest.param(
            b"email," + b",".join(b"c%d" % n for n in range(9_999)), "10000 columns", id="10,000"
        ),
        pytest.param(b"email,a\x00b\n", "column 2: the control character", id="NUL in a name"),
        pytest.param(b"email," + b"x" * 101 + b"\n", "column 2: longer than 100", id="a long name"),
        pytest.param("Straße,email\n".encode("latin-1"), "not UTF-8", id="Latin-1"),
        pytest.param(b"x" * 70_000 + b"\n", "longer than", id="an endless heading"),
        pytest.param(b'"email"x,name\njo@x.test,Jo\n', "not CSV", id="a broken heading"),
        pytest.param(b'"email,name\njo@x.test,Jo\n', "not CSV", id="an unclosed heading"),
    ],
)
def test_a_file_without_a_usable_heading_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadHeading, match=reason):
        read(data)


def test_consent_is_read_from_its_columns() -> None:
    (given, plain, *wrong) = read(
        b"email,consent,consent_at,consent_source\n"
        b"jo@x.test,Confirmed,2026-03-01T10:00Z,the form at /join\n"
        b"al@x.test,none,,\n"
        b"cy@x.test,yes,,\n"
        b"di@x.test,given,01/03/2026,\n"
        b"ed@x.test,,2026-03-01,\n"
        b"fy@x.test,given,2026-03-01T10:00,\n"
    )
    assert isinstance(given, LeadRow)
    assert (given.consent.level, given.consent.source) == ("confirmed", "the form at /join")
    assert given.consent.at == 1_772_359_200_000
    assert isinstance(plain, LeadRow)
    assert plain.consent.level == "none"
    assert [(row.row, row.field) for row in wrong if isinstance(row, BadRow)] == [
        (4, "consent"),
        (5, "consent_at"),
        (6, "consent"),
        (7, "consent_at"),
    ]


def test_a_cell_below_no_name_is_not_dropped_in_silence() -> None:
    assert bad(read(b"email,,x\njo@x.test,lost,y\n")) == [
        (2, "", "column 2 has no name in the heading")
    ]


def test_one_stray_quote_in_a_long_file_costs_no_other_row() -> None:
    lines = [f"lead{n}@x.test,Lead {n}" for n in range(5000)]
    lines[10] = 'lead10@x.test,5" disk'
    data = ("email,name\n" + "\n".join(lines) + "\n").encode()
    rows = read(data, *range(0, len(data), 1460))
    assert len(good(rows)) == 5000
    assert [row for row, _, _ in good(rows)] == list(range(2, 5002))


def test_hostile_files_take_a_bounded_time() -> None:
    started = time.process_time()
    for data in (b'"\n' * 100_000, b"\n" * 500_000 + b'"', b'a"' * 200_000, b'"' + b"\n" * 300_000):
        read(b"email\n" + data, *range(0, 500_000, 65_536))
    assert time.process_time() - started < 10


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
FILES = st.one_of(
    st.lists(st.sampled_from([b"jo@x.test", b",", b";", b'"', b"\n", b"\r\n", b"\xff", b" "])).map(
        b"".join
    ),
    st.binary(max_size=200),
)


@given(FILES, st.lists(st.integers(0, 220), max_size=8))
@example(b'"\n"\n', [1, 2, 3])
def test_how_a_file_is_cut_does_not_matter(body: bytes, cuts: list[int]) -> None:
    data = b"email,name\n" + body
    assert read(data, *(cut for cut in cuts if cut <= len(data))) == read(data)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["short", "quoted", "stray", "huge", "edge"]), max_size=6),
    st.integers(500, 70_000),
)
def test_how_a_file_with_huge_rows_is_cut_does_not_matter(kinds: list[str], step: int) -> None:
    made = {
        "short": b"jo@x.test,Jo",
        "quoted": b'jo@x.test,"a\nb"',
        "stray": b'jo@x.test,5"',
        "huge": b"x" * 150_000,
        "edge": b"y" * MAX_RECORD_BYTES,
    }
    data = b"email,name\n" + b"\n".join(made[kind] for kind in kinds)
    assert read(data, *range(step, len(data), step)) == read(data)


@given(st.lists(CELLS, max_size=4))
def test_what_a_spreadsheet_writes_is_read_as_it_was_or_refused(names: list[str]) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["email", "name"])
    for number, name in enumerate(names):
        writer.writerow([f"l{number}@x.test", name])
    rows = read(out.getvalue().encode("utf-8", "surrogatepass"))
    read_back = {address: fields.get("name", "") for _, address, fields in good(rows)}
    for number, name in enumerate(names):
        if f"l{number}@x.test" in read_back:
            assert read_back[f"l{number}@x.test"] == name.strip()
