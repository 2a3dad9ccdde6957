"""A file of rows comes out as it went in: every value as text, every row with its line, nothing lost."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.intake.files import BLOCK_BYTES, RowFile

COLUMNS = ("external_id", "solver_id", "answer", "duration_ms")
HEADER = "external_id,solver_id,answer\n"

Row = tuple[int, str | None, tuple[str | None, ...]]
"""Line, why it cannot be read (None if it can), external_id, solver_id and answer."""


def written(tmp_path: Path, content: str | bytes, name: str = "votes.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows_of(path: Path) -> list[Row]:
    found: list[Row] = []
    with RowFile(path, COLUMNS) as file:
        for block in file.blocks():
            values = [block.values[name].to_pylist() for name in COLUMNS[:3]]
            parts = zip(block.line.tolist(), block.reason.to_pylist(), zip(*values, strict=True), strict=True)
            found.extend(parts)
            assert len(block.row) == len(block.line)
    return found


def rows(tmp_path: Path, content: str | bytes) -> list[Row]:
    return rows_of(written(tmp_path, content))


def answers(found: list[Row]) -> list[str | None]:
    return [values[2] for _, _, values in found]


UNREADABLE = ("unreadable_row", (None, None, None))
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
TABLES = st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=8)
tried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@tried
@given(
    table=TABLES,
    line_end=st.sampled_from(["\n", "\r\n"]),
    quote_all=st.booleans(),
    block_bytes=st.sampled_from([8, 50, BLOCK_BYTES]),
)
def test_any_texts_come_out_of_csv_as_they_went_in(
    tmp_path: Path, table: list[tuple[str, ...]], line_end: str, quote_all: bool, block_bytes: int
) -> None:
    text = io.StringIO(newline="")
    # Python's writer leaves a lone carriage return unquoted where it is no part of the line end.
    quoting = csv.QUOTE_ALL if quote_all or "\r" in "".join(map("".join, table)) else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=line_end, quoting=quoting).writerows([COLUMNS[:3], *table])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hiveguard_pipeline.intake.files.BLOCK_BYTES", block_bytes)
        found = rows(tmp_path, text.getvalue())
    assert [(reason, values) for _, reason, values in found] == [(None, values) for values in table]
    for (line, _, _), (next_line, _, _), values in zip(found, found[1:], table, strict=False):
        breaks = sum(value.count("\n") for value in values)
        assert next_line == line + 1 + breaks


ODD_QUOTES = st.lists(st.text(st.sampled_from('",ab \r'), max_size=9), max_size=6)


@tried
@given(lines=ODD_QUOTES, block_bytes=st.sampled_from([8, BLOCK_BYTES]))
def test_quotes_anywhere_are_read_as_the_csv_module_reads_them(
    tmp_path: Path, lines: list[str], block_bytes: int
) -> None:
    path = written(tmp_path, ",".join(COLUMNS[:3]) + "\n" + "".join(f"{line}\n" for line in lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hiveguard_pipeline.intake.files.BLOCK_BYTES", block_bytes)
        found = rows_of(path)
        patch.setattr("hiveguard_pipeline.intake.files._is_plain", lambda _: False)
        assert found == rows_of(path)


@tried
@given(table=TABLES, ascii_only=st.booleans(), blank_lines=st.booleans())
def test_any_texts_come_out_of_jsonl_as_they_went_in(
    tmp_path: Path, table: list[tuple[str, ...]], ascii_only: bool, blank_lines: bool
) -> None:
    end = "\n\n" if blank_lines else "\n"
    objects = [json.dumps(dict(zip(COLUMNS, row, strict=False)), ensure_ascii=ascii_only) for row in table]
    found = rows(tmp_path, '{"answer": "x"}\n' + "".join(line + end for line in objects))
    assert [(reason, values) for _, reason, values in found[1:]] == [(None, values) for values in table]


def test_values_that_other_readers_turn_into_something_else_stay_text(tmp_path: Path) -> None:
    texts = ["01", "NA", "null", "NULL", "nan", "true", "1e5", "1.0", "-0", "=1+1", "@x", "  x ", "None"]
    table = "".join(f"a,w{number},{text}\n" for number, text in enumerate(texts))
    assert answers(rows(tmp_path, HEADER + table)) == texts


def test_json_numbers_are_text_as_they_are_written(tmp_path: Path) -> None:
    values = ["1.0", "12345678901234567890", "1e400", "0.10", "true", "-7"]
    lines = [f'{{"external_id": "a", "solver_id": "w", "answer": {value}}}\n' for value in values]
    assert answers(rows(tmp_path, "".join(lines))) == values


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    for content in (HEADER + "a,w,x\n", '{"external_id": "a", "solver_id": "w", "answer": "x"}\n'):
        found = rows(tmp_path, b"\xef\xbb\xbf" + content.encode())
        assert [values for _, _, values in found] == [("a", "w", "x")]


@pytest.mark.parametrize("content", [HEADER + "a,w,x\r\nb,w,y\r\n", HEADER.strip() + '\r\na,w,"x"\r\nb,w,y'])
def test_windows_line_ends_are_no_part_of_the_last_value(tmp_path: Path, content: str) -> None:
    assert answers(rows(tmp_path, content)) == ["x", "y"]


def test_lines_are_counted_over_quoted_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    found = rows(tmp_path, HEADER + 'a,w,"x\n\ny"\n\nb,w,z\nc,w\n"d",w,"q""r"\n')
    assert found == [
        (2, None, ("a", "w", "x\n\ny")),
        (6, None, ("b", "w", "z")),
        (7, *UNREADABLE),
        (8, None, ("d", "w", 'q"r')),
    ]


@pytest.mark.parametrize("last", ["d,w,y", 'd,w,"y"'], ids=["plain", "quoted"])
def test_blank_lines_are_no_rows_and_half_and_long_rows_are_unreadable(tmp_path: Path, last: str) -> None:
    found = rows(tmp_path, HEADER + "a,w,x\n\n   \nb,w\nc,w,x,more\n" + last)
    assert found == [
        (2, None, ("a", "w", "x")),
        (5, *UNREADABLE),
        (6, *UNREADABLE),
        (7, None, ("d", "w", "y")),
    ]


def test_a_row_that_ends_inside_a_quote_is_unreadable(tmp_path: Path) -> None:
    assert rows(tmp_path, HEADER + 'a,w,x\nb,w,"x') == [(2, None, ("a", "w", "x")), (3, *UNREADABLE)]


def test_a_quote_that_is_never_closed_makes_its_line_unreadable_and_no_other(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + 'a,w,"x\n' + "".join(f"i{n},w,x\n" for n in range(40_000)))
    reasons = [(line, reason) for line, reason, _ in rows_of(path)]
    assert reasons == [(2, UNREADABLE[0]), *((line, None) for line in range(3, 40_003))]


def test_bytes_that_are_not_utf8_make_their_row_unreadable_and_no_other(tmp_path: Path) -> None:
    for content in (
        HEADER.encode() + b"a,w,\xff\nb,w,x\n",
        b'{"external_id": "a", "solver_id": "w", "answer": "\xff"}\n'
        b'{"external_id": "b", "solver_id": "w", "answer": "x"}\n',
    ):
        found = rows(tmp_path, content)
        assert [(reason, values[0]) for _, reason, values in found] == [("invalid_utf8", None), (None, "b")]


@pytest.mark.parametrize("text", ["\\ud800", "x\\udc80"])
def test_half_a_surrogate_pair_in_json_makes_its_row_unreadable_and_no_other(
    tmp_path: Path, text: str
) -> None:
    row = '{{"external_id": "a", "solver_id": "w", "answer": "{}"}}\n'
    found = rows(tmp_path, row.format(text) + row.format("x"))
    assert [reason is None for _, reason, _ in found] == [False, True]


def test_json_lines_that_are_no_object_are_unreadable_and_no_other(tmp_path: Path) -> None:
    good = '{"external_id": "a", "solver_id": "w", "answer": "x"}\n'
    deep = '{"answer": ' + "[" * 100_000 + "]" * 100_000 + "}\n"
    found = rows(tmp_path, good + "[1]\n5\n" + '{"answer": "x"\n' + deep + "\n" + good)
    assert [(line, reason) for line, reason, _ in found] == [
        (1, None),
        *((line, "unreadable_row") for line in (2, 3, 4, 5)),
        (7, None),
    ]


def test_a_field_of_ten_megabytes_is_read_whole(tmp_path: Path) -> None:
    long = "y" * 10_000_000
    for content in (
        HEADER + f"a,w,{long}\nb,w,x\n",
        HEADER + f'a,w,"{long}"\nb,w,x\n',
        json.dumps({"answer": long}) + '\n{"answer": "x"}\n',
    ):
        assert answers(rows(tmp_path, content)) == [long, "x"]


def test_values_keep_their_rows_and_lines_over_many_blocks(tmp_path: Path) -> None:
    count = 3 * BLOCK_BYTES // 40
    lines = [f"item-{n:08d},solver-{n:08d},answer-{n:08d}\n" for n in range(count)]
    lines[count // 2] = "half,row\n"
    found = rows(tmp_path, HEADER + "".join(lines))
    assert len(found) == count
    assert found[count // 2] == (count // 2 + 2, *UNREADABLE)
    for number in (0, 1, count // 3, count // 2 + 1, count - 1):
        name = f"{number:08d}"
        assert found[number] == (number + 2, None, (f"item-{name}", f"solver-{name}", f"answer-{name}"))


@pytest.mark.parametrize("content", [HEADER + "a,w,x\n", '{"external_id":"a","solver_id":"w","answer":"x"}'])
def test_gzip_is_unpacked_whatever_the_name_and_hashed_as_its_content(tmp_path: Path, content: str) -> None:
    plain, packed = written(tmp_path, content, "a"), written(tmp_path, gzip.compress(content.encode()), "b")
    hashes = []
    for path in (plain, packed):
        assert answers(rows_of(path)) == ["x"]
        with RowFile(path, COLUMNS) as file:
            list(file.blocks())
            hashes.append(file.sha256)
    assert len(set(hashes)) == 1


def test_columns_may_come_in_any_order_among_others(tmp_path: Path) -> None:
    found = rows(tmp_path, "other, answer ,external_id,solver_id\n1,x,a,w\n")
    assert [values for _, _, values in found] == [("a", "w", "x")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\n" + HEADER.encode(), "blank line"),
        (('\ufeff{"answer": "x"}\n').encode("utf-16"), "UTF-8"),
        ((HEADER + "a,w,x\n").encode("utf-16"), "UTF-8"),
        (b'[{"answer": "x"}]', "JSON array"),
        (b"answer,answer,solver_id\n", "twice"),
        (HEADER.encode().replace(b"\n", b"\r") + b"a,w,x\r", "line 1"),
        (gzip.compress(HEADER.encode() + bytes(range(32, 127)) * 9)[:-20], "cannot be read"),
        (b"\x1f\x8bnot gzip at all", "cannot be read"),
    ],
    ids=["empty", "blank", "utf16json", "utf16", "array", "twice", "mac", "cut", "no gzip"],
)
def test_what_is_no_such_file_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(BadInputError, match=why) as refused:
        rows_of(path)
    assert str(path) in str(refused.value)
    assert "line" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(BadInputError, match=path.name):
            RowFile(path, COLUMNS)


def test_a_header_alone_is_a_file_without_rows(tmp_path: Path) -> None:
    assert rows(tmp_path, HEADER) == []
    assert rows(tmp_path, HEADER.strip()) == []
