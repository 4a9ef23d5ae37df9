"""Prediction from the command line: a JSON object for every line, in order."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import WORDS, Command, Done, assert_refused, process

Trained = tuple[Path, Done]


def _labels(out: str) -> list[str]:
    rows = [json.loads(line) for line in out.splitlines()]
    for row in rows:
        assert set(row) == {"label", "probabilities"}
        assert row["label"] == max(row["probabilities"], key=lambda k: row["probabilities"][k])
        assert abs(sum(row["probabilities"].values()) - 1) < 1e-9  # float64 shares
    return [row["label"] for row in rows]


def test_lines_in_lines_out(trained: Trained, command: Command) -> None:
    lines = [" ".join(words) for words in WORDS.values()]
    data = "\n".join([*lines, "", *lines[::-1]]).encode()
    done = command("predict", trained[0], stdin=data)
    assert done.status == 0, done.err
    labels = _labels(done.out)
    assert len(labels) == 7
    assert labels[:3] == labels[:3:-1], "the order is kept"
    assert labels[:3] == list(WORDS), "thirty steps tell these texts apart"


def test_texts_and_files(trained: Trained, command: Command, tmp_path: Path) -> None:
    folder, _ = trained
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\xef\xbb\xbfwaves tide\r\nhill field\r\n")
    from_file = command("predict", folder, "--input", path)
    from_texts = command("predict", folder, "--text", "waves tide", "--text", "hill field")
    assert from_file.out == from_texts.out
    assert len(_labels(from_file.out)) == 2


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    """Writes rows in the format of the path's suffix."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="", encoding="utf-8") as file:
        if ".jsonl" in path.name:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            delimiter = "\t" if ".tsv" in path.name else ","
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["new.csv", "new.csv.gz", "new.tsv", "new.jsonl", "new.parquet"])
@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
def test_rows_of_a_table_are_read_as_in_training(
    trained: Trained, command: Command, tmp_path: Path, name: str, labelled: bool
) -> None:
    folder, _ = trained
    rows = [{"id": "x", "title": words[0], "body": ", ".join(words)} for words in WORDS.values()]
    if labelled:
        rows = [row | {"topic": ""} for row in rows]
    path = _write(tmp_path / name, rows)
    by_text = [f"{row['title']} {row['body']}" for row in rows]
    asked = command("predict", folder, *(x for text in by_text for x in ("--text", text)))
    done = command("predict", folder, "--input", path)
    assert (done.status, done.err, done.out) == (0, "", asked.out)
    only = command("predict", folder, "--input", path, "--data.text-columns", "body")
    asked = command("predict", folder, *(x for row in rows for x in ("--text", row["body"])))
    assert (only.status, only.out) == (0, asked.out)


def test_a_table_that_does_not_fit_is_refused(
    trained: Trained, command: Command, tmp_path: Path
) -> None:
    folder, _ = trained
    predict = ("predict", folder, "--input")
    (tmp_path / "new.csv").write_text("titel,body\na,b\n")
    assert_refused(command(*predict, tmp_path / "new.csv"), "'title'", "'titel'")
    (tmp_path / "wide.csv").write_text("title,body\na,b\na,b,c\n")
    assert_refused(command(*predict, tmp_path / "wide.csv"), "row 2 (line 3)", "3 fields")
    (tmp_path / "bytes.csv").write_bytes(b"title,body\na,\xff\n")
    assert_refused(command(*predict, tmp_path / "bytes.csv"), "row 1", "pass --errors replace")
    assert command(*predict, tmp_path / "bytes.csv", "--errors", "replace").status == 0
    (tmp_path / "bad.parquet").write_text("title")
    assert_refused(command(*predict, tmp_path / "bad.parquet"), "bad.parquet", "parquet")
    assert_refused(command(*predict, tmp_path / "bda.parquet"), "'", "bad.parquet'")
    (tmp_path / "lines.txt").write_text("title\n")
    columns = ("--data.columns", "title")
    assert_refused(command(*predict, tmp_path / "lines.txt", *columns), "line by line")
    assert_refused(command("predict", folder, "--text", "a", *columns), "--input")


ROWS = [
    {"id": f"00{i}", "title": words[0], "body": words[1]} for i, words in enumerate(WORDS.values())
]


@pytest.mark.parametrize("name", ["new.csv", "new.jsonl", "new.parquet"])
def test_ids_and_texts_stand_beside_the_labels(
    trained: Trained, command: Command, tmp_path: Path, name: str
) -> None:
    predict = ("predict", trained[0], "--input", _write(tmp_path / name, ROWS))
    plain = [json.loads(line) for line in command(*predict).out.splitlines()]
    done = command(*predict, "--id-column", "id", "--with-text", "--top", "2")
    assert (done.status, done.err) == (0, "")
    for line, row, alone in zip(done.out.splitlines(), ROWS, plain, strict=True):
        found = json.loads(line)
        assert list(found) == ["id", "text", "label", "probabilities"]
        assert (found["id"], found["text"]) == (row["id"], f"{row['title']} {row['body']}")
        best = sorted(alone["probabilities"].items(), key=lambda pair: -pair[1])[:2]
        assert list(found["probabilities"].items()) == best, "in this order"
        assert found["label"] == alone["label"] == best[0][0]
    assert_refused(command(*predict, "--id-column", "idd"), "no column 'idd'", "did you mean 'id'?")


def test_csv_for_a_spreadsheet(trained: Trained, command: Command, tmp_path: Path) -> None:
    rows = [
        {"id": 7, "title": 'sea, "salt"', "body": "a\rb\nü"},
        {"id": None, "title": "", "body": ""},
    ]
    path = tmp_path / "new.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = ("predict", trained[0], "--input", path, "--id-column", "id", "--with-text")
    expected = [json.loads(line) for line in command(*given).out.splitlines()]
    assert [row["id"] for row in expected] == [7, None], "numbers stay numbers"
    done = command(*given, "--format", "csv")
    found = list(csv.DictReader(io.StringIO(done.out, newline="")))
    assert list(found[0]) == ["id", "text", "label", "probability"]
    for row, record in zip(found, expected, strict=True):
        assert row["id"] == ("" if record["id"] is None else str(record["id"]))
        assert (row["text"], row["label"]) == (record["text"], record["label"])
        assert float(row["probability"]) == record["probabilities"][record["label"]]
    done = command(*given, "--format", "csv", "--top", "99")
    ranked = list(csv.reader(io.StringIO(done.out, newline="")))
    names = [name + rank for rank in ("", "_2", "_3") for name in ("label", "probability")]
    assert ranked[0] == ["id", "text", *names]
    assert sorted(ranked[1][2::2]) == sorted(WORDS)
    assert command("predict", trained[0], "--format", "csv").out == "label,probability\r\n"


def test_ids_keep_the_order_over_many_lists(
    trained: Trained, command: Command, tmp_path: Path
) -> None:
    path, count = tmp_path / "new.csv", 20_000
    path.write_text("id,title,body\n" + "".join(f"{i},tide,ship\n" for i in range(count)))
    done = command("predict", trained[0], "--input", path, "--id-column", "id")
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == list(
        map(str, range(count))
    )


def test_texts_that_the_run_cannot_know_are_counted(trained: Trained, command: Command) -> None:
    data = "tide ship\nКорабль в море\n船在海上\n".encode()
    done = command("predict", trained[0], stdin=data)
    assert (done.status, len(_labels(done.out))) == (0, 3)
    assert done.err.startswith("Warning: 2 of 3 texts mostly unknown to the run's vocabulary")
    assert done.err.endswith("first text 2\n")
    assert done.err.count("\n") == 1
    assert command("predict", trained[0], stdin=b"tide ship\n").err == ""


def test_a_binary_file_is_refused_whatever_errors_says(
    trained: Trained, command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "new.xlsx"
    path.write_bytes(b"PK\x03\x04\x14\0" + bytes(range(256)) * 20)
    for given in ((), ("--errors", "replace")):
        done = command("predict", trained[0], "--input", path, *given)
        assert_refused(done, "a zip archive", "expected lines of UTF-8")
        assert done.out == ""


def test_no_line_is_no_prediction(trained: Trained, command: Command) -> None:
    assert command("predict", trained[0]) == Done(0, "", "")


def test_invalid_bytes(trained: Trained, command: Command) -> None:
    data = b"waves\nti\xffde\n"
    done = command("predict", trained[0], stdin=data)
    assert_refused(done, "line 2 of standard input", "--errors replace")
    assert len(_labels(done.out)) == 1, "what came before is not lost"
    done = command("predict", trained[0], "--errors", "replace", stdin=data)
    assert (done.status, len(_labels(done.out))) == (0, 2)


@pytest.mark.parametrize(
    "data",
    [b"x" * 10_000_000, b"word " * 2_000_000, b"nul \x00 byte", "\u202eעברית 🌊 e\u0301".encode()],
    ids=["a word of 10 MB", "a line of 10 MB", "NUL", "scripts"],
)
def test_strange_lines(trained: Trained, command: Command, data: bytes) -> None:
    done = command("predict", trained[0], stdin=data)
    assert (done.status, len(_labels(done.out))) == (0, 1)


def test_wrong_options_are_refused(trained: Trained, command: Command, tmp_path: Path) -> None:
    folder, _ = trained
    assert_refused(command("predict", folder, "--input", tmp_path / "none.txt"), "none.txt")
    assert_refused(command("predict", folder, "--input", tmp_path), str(tmp_path))
    assert_refused(command("predict", folder, "--text", "a", "--input", "b"), "exclude")
    assert_refused(command("predict", folder, "--text", "a", "--top", "0"), "--top is 0")
    assert_refused(command("predict", folder, "--text", "a", "--id-column", "b"), "--id-column")
    assert_refused(command("predict", folder, "--checkpont", "best"), "did you mean --checkpoint?")


def test_a_reader_that_leaves_is_no_error(trained: Trained) -> None:
    """As in `predict ... | head -1`."""
    start = [sys.executable, "-m", "wave_jax", "predict", str(trained[0])]
    with subprocess.Popen(
        start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        running.stdin.write(b"waves\n" * 100)
        running.stdin.close()
        assert running.stderr.read() == b""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lines.txt", "rows.csv", "rows.parquet"])
def test_memory_does_not_grow_with_the_lines(trained: Trained, tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    def peak(count: int) -> int:
        if name == "rows.parquet":
            with pq.ParquetWriter(path, pa.schema({"title": "str", "body": "str"})) as file:
                columns = {"title": ["waves tide"] * 10_000, "body": ["ship sail"] * 10_000}
                for _ in range(count // 10_000):
                    file.write_table(pa.table(columns))
        else:
            path.write_bytes(b"title,body\n" + b"waves tide,ship sail\n" * count)
        start = [sys.executable, "-m", "wave_jax", "predict", str(trained[0]), "--input", str(path)]
        with subprocess.Popen(start, stdout=subprocess.DEVNULL) as running:
            _, status, usage = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
        assert running.returncode == 0
        return usage.ru_maxrss

    few = peak(40_000)  # more than wait ahead
    assert peak(400_000) < 1.05 * few


def test_the_module_as_a_process(trained: Trained) -> None:
    done = process("wave_jax", "predict", trained[0], stdin=b"waves tide ship sail salt deep\n")
    assert (done.status, done.err) == (0, "")
    assert _labels(done.out) == ["sea"]


def test_a_table_in_another_form(trained: Trained, command: Command, tmp_path: Path) -> None:
    """Its separator is found; its encoding is given, or told by its mark."""
    folder, _ = trained
    asked = command("predict", folder, "--text", "waves café", "--text", "hill field")
    table = "title;body\nwaves;café\nhill;field\n"
    path = tmp_path / "new.csv"
    path.write_bytes(table.encode("utf-16"))
    assert command("predict", folder, "--input", path).out == asked.out
    path.write_bytes(table.replace(";", "^").encode("cp1252"))
    form = ("--data.delimiter", "^", "--data.encoding", "cp1252")
    assert command("predict", folder, "--input", path, *form).out == asked.out
    done = command("predict", folder, "--input", path, *form[:2])
    assert_refused(done, "row 1", "not valid UTF-8 (byte 0xE9)", "--data.encoding", "--errors")
    done = command("predict", folder, "--input", path, "--data.encoding", "cp125")
    assert_refused(done, "'cp125' is no encoding, did you mean 'cp1252'")
    done = command("predict", folder, "--input", path, "--data.delimiter", "ab")
    assert_refused(done, "expected one character or 'tab'")
    (tmp_path / "lines.txt").write_text("title\n")
    done = command("predict", folder, "--input", tmp_path / "lines.txt", *form)
    assert_refused(done, "--data.delimiter", "line by line")
