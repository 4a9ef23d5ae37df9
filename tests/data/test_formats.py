"""One file in each format."""

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wave_jax.data.files import open_texts_with_ids, read_file
from wave_jax.data.table import ColumnSpec
from wave_jax.errors import UserError

TEXTS = ["A fine film.", 'Dull, "long"\nand flat.', "Größe & naïveté", "", "it's\u2028fine"]
LABELS = ["pos", "neg", "pos", "neg", "pos"]


def read(path, *, errors="strict", **wanted):
    return read_file(path, ColumnSpec(errors=errors, **wanted))


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


CSV = "text,label\n" + "".join(f"{quoted(t)},{c}\n" for t, c in zip(TEXTS, LABELS, strict=True))
JSONL = "".join(
    json.dumps({"text": t, "label": c, "extra": [{"deep": 1}]}) + "\n"
    for t, c in zip(TEXTS, LABELS, strict=True)
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV),
        ("a.CSV", "\ufeff" + CSV),
        ("a.tsv", CSV.replace('",', '"\t').replace("text,", "text\t")),
        ("a.jsonl", JSONL),
        ("a.ndjson", "\ufeff" + JSONL.replace("\n", "\r\n") + "\n\n"),
        ("a.json", "[" + ",".join(JSONL.splitlines()) + "]"),
        ("unnamed", JSONL),
    ],
)
def test_every_text_format_gives_the_same_rows(tmp_path, name, content):
    rows = read(write(tmp_path / name, content))
    assert rows.texts == TEXTS
    assert rows.labels == LABELS
    assert rows.classes is None


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), ("", gzip.compress)],
)
def test_compressed_files_are_known_by_their_bytes(tmp_path, suffix, compress):
    for name, content in (("a.csv", CSV), ("a.jsonl", JSONL)):
        path = write(tmp_path / (name + suffix), compress(content.encode()))
        assert read(path).texts == TEXTS


def test_a_truncated_file_is_reported_in_one_line(tmp_path):
    path = write(tmp_path / "a.csv.gz", gzip.compress(CSV.encode() * 50)[:-20])
    with pytest.raises(UserError, match=r"a\.csv\.gz: damaged"):
        read(path)


def test_fasttext(tmp_path):
    content = "__label__pos A fine film .\r\n\n__label__neg\t Dull\n__label__neg\n"
    rows = read(write(tmp_path / "a.txt", content))
    assert rows.texts == ["A fine film .", "Dull", ""]
    assert rows.labels == ["pos", "neg", "neg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("__label__a x\ny\n", r"row 2 \(line 2\): expected __label__CLASS"),
        ("__label__a __label__b x\n", r"row 1 \(line 1\): several labels"),
        ("__label__ x\n", r"row 1 \(line 1\): the label is empty"),
    ],
)
def test_bad_fasttext_names_the_row(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read(write(tmp_path / "a.txt", content))


def test_columns_name_a_file_without_header(tmp_path):
    path = write(tmp_path / "a.csv", "pos,7,A fine film\nneg,8,Dull\n")
    with pytest.raises(
        UserError, match=r"'pos', '7', 'A fine film'.*no header line.*--data\.columns"
    ):
        read(path)
    rows = read(path, names=("label", "id", "text"))
    assert rows.texts == ["A fine film", "Dull"]
    with pytest.raises(UserError, match=r"row 1 \(line 1\): 3 fields where 2"):
        read(path, names=("label", "text"))
    with pytest.raises(UserError, match=r"--data\.columns for a\.csv has no column for the text"):
        read(path, names=("label", "id", "words"))


def test_a_header_line_beside_columns_is_no_row(tmp_path):
    path = write(tmp_path / "a.csv", "label,text\npos,Fine\n")
    assert read(path, names=("label", "text")).labels == ["pos"]


def test_a_tsv_without_quoting_keeps_its_quotes(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"A film" it is\t1\n" open\t0\n')
    rows = read(path)
    assert rows.texts == ['"A film" it is', '" open']


def test_quotes_of_a_tsv_that_pair_up_across_rows_merge_none(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\n" he said\ta\nfine then "\tb\nplain\ta\n')
    rows = read(path)
    assert (rows.texts, rows.labels) == (['" he said', 'fine then "', "plain"], ["a", "b", "a"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,label\na,b\nc,d,e\n", r"row 2 \(line 3\): 3 fields where 2 were expected"),
        (b'text,label\n"a\nb",x\nc\n', r"row 2 \(line 4\): 1 fields where 2"),
        (b'text,label\na,b\n"c,d\n', r"line 3: broken quotes"),
        (b'text,label\n"a"b,c\n', r"line 2: broken quotes"),
        (b"text,label\na,b\ncaf\xe9,d\n", r"row 2 \(line 3\): not valid UTF-8 \(byte 0xE9\)"),
        (b"text,label\na,b\nc,\n", r"row 2 \(line 3\): the label is empty"),
        (b"text,label\n", "a header line and no rows"),
        (b"\n \n\r\n", "empty"),
    ],
)
def test_bad_csv_names_the_row(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read(write(tmp_path / "a.csv", content))


def test_replace_reads_on(tmp_path):
    path = write(tmp_path / "a.csv", b"text,label\ncaf\xe9,d\n")
    assert read(path, errors="replace").texts == ["caf\ufffd"]


def test_bad_bytes_in_a_column_not_used_do_no_harm(tmp_path):
    path = write(tmp_path / "a.csv", b"text,label,id\na,b,\xe9\n")
    assert read(path).texts == ["a"]


def test_long_fields_nul_bytes_and_crlf(tmp_path):
    long = "word " * 2_000_000
    path = write(tmp_path / "a.csv", f"text,label\r\n{long},x\r\na\0b,y\r\n,x\r\n")
    rows = read(path)
    assert rows.texts == [long, "a\0b", ""]
    path = write(tmp_path / "a.jsonl", json.dumps({"text": long + "\0", "label": 1}))
    assert read(path).texts == [long + "\0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"text": "a", "label": 1}\n[1]\n',
            r"row 2 \(line 2\): expected a JSON object.*found \[1\]",
        ),
        ('{"text": "a", "label": 1}\n\n{"text"\n', r"row 2 \(line 3\): not valid JSON"),
        ('{"text": "a", "label": 1}\n{"text": "a"}\n', r"row 2 .*the label is missing"),
        ('{"text": 5, "label": 1}\n', r"row 1 .*'text' should hold a string, found 5"),
        ('{"text": "a", "label": null}\n', r"row 1 .*the label is missing"),
        ('{"text": "a", "label": NaN}\n', r"row 1 .*the label is missing"),
        ('{"text": "a", "label": 0.5}\n', r"row 1 .*neither a whole number"),
        ('{"text": "a", "label": ["x"]}\n', r"row 1 .*neither a whole number"),
        ('{"text": "\\ud800", "label": 1}\n', r"row 1 .*surrogate U\+D800"),
        ('{"text": "a", "label": ' + "9" * 5000 + "}\n", r"row 1 .*not valid JSON"),
        ('{"text": ' + "[" * 200_000 + "\n", r"row 1 .*not valid JSON .*recursion"),
        ('{"txt": "a", "label": 1}\n', r"no column for the text.*'txt'"),
        ("[1, 2]", r"row 1: expected a JSON object"),
        ("[]", "holds no rows"),
    ],
)
def test_bad_jsonl_names_the_row(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read(write(tmp_path / "a.jsonl", content))


def test_a_carriage_return_between_json_values_ends_no_row(tmp_path):
    content = '{"text": "a",\r "label": 1}\n{"text": "b", "label": }\n'
    with pytest.raises(UserError, match=r"row 2 \(line 2\): not valid JSON"):
        read(write(tmp_path / "a.jsonl", content))


def test_a_null_text_is_empty_and_surrogates_can_be_replaced(tmp_path):
    content = '{"text": null, "label": true}\n{"text": "a\\ud800b", "label": false}\n'
    rows = read(write(tmp_path / "a.jsonl", content), errors="replace")
    assert rows.texts == ["", "a\ufffdb"]
    assert rows.labels == ["true", "false"]


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.string_view()])
def test_parquet_texts(tmp_path, kind):
    texts = pa.array([text.encode() for text in TEXTS], pa.binary()).cast(kind)
    rows = read(parquet(tmp_path / "a.parquet", text=texts, label=LABELS))
    assert (rows.texts, rows.labels) == (TEXTS, LABELS)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pa.array([0, 1], pa.int8()), ["0", "1"]),
        (pa.array([0.0, 1.0]), ["0", "1"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
    ],
)
def test_parquet_labels(tmp_path, labels, expected):
    path = parquet(tmp_path / "a.parquet", text=["a", None], label=labels)
    rows = read(path)
    assert rows.texts == ["a", ""]
    assert rows.labels == expected


def test_parquet_takes_class_names_from_hugging_face_metadata(tmp_path):
    feature = {"names": ["neg", "pos"], "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": feature}}})}
    table = pa.table({"text": ["a", "b"], "label": [1, 0]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet")
    assert rows.labels == ["pos", "neg"]
    assert rows.classes == ("neg", "pos")
    pq.write_table(table.set_column(1, "label", pa.array([1, 2])), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"row 2: the label 2, but the file names 2 classes"):
        read(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": [1, 2], "label": [0, 1]}, r"row 1: 'text' should hold a string, found 1"),
        ({"text": ["a"], "label": [[1]]}, r"row 1: the label \[1\] is neither"),
        ({"text": ["a", "b"], "label": [1, None]}, r"row 2: the label is missing"),
        ({"text": ["a", "b"], "label": [1.0, 0.5]}, r"row 2: the label 0\.5"),
        ({"text": ["a", "b"], "label": ["x", None]}, r"row 2: the label is missing"),
        ({"words": ["a"], "label": [1]}, r"no column for the text.*'words'"),
        ({"text": pa.array([], pa.string()), "label": pa.array([], pa.int8())}, "holds no rows"),
    ],
)
def test_bad_parquet_names_the_row(tmp_path, columns, message):
    with pytest.raises(UserError, match=message):
        read(parquet(tmp_path / "a.parquet", **columns))


def test_two_parquet_columns_of_one_name(tmp_path):
    pq.write_table(
        pa.table([["a"], ["b"], ["c"]], ["text", "text", "label"]), tmp_path / "a.parquet"
    )
    with pytest.raises(UserError, match="2 columns named 'text'"):
        read(tmp_path / "a.parquet")


def test_parquet_with_bytes_that_are_not_utf8(tmp_path):
    raw = pa.array([b"fine", b"caf\xe9"], pa.binary())
    lying = pa.StringArray.from_buffers(2, *raw.buffers()[1:])
    for texts in (raw, lying):
        path = parquet(tmp_path / "a.parquet", text=texts, label=[0, 1])
        with pytest.raises(UserError, match=r"row 2: not valid UTF-8 \(byte 0xE9\)"):
            read(path)
        assert read(path, errors="replace").texts == ["fine", "caf\ufffd"]


def test_missing_empty_and_unknown_files(tmp_path):
    write(tmp_path / "train.csv", CSV)
    with pytest.raises(UserError, match=r"no such file.*trian\.csv, did you mean '.*train\.csv'"):
        read(tmp_path / "trian.csv")
    with pytest.raises(UserError, match="is empty"):
        read(write(tmp_path / "none.csv", ""))
    with pytest.raises(UserError, match="unknown format"):
        read(write(tmp_path / "a.docx", "PK..."))
    with pytest.raises(UserError, match="not a readable parquet"):
        read(write(tmp_path / "a.parquet", "PAR1 and no more"))


@pytest.mark.parametrize(
    ("name", "mark"), [("f.csv", ";"), ("f.csv", "|"), ("f.csv", "\t"), ("f.tsv", ",")]
)
def test_another_separator_is_found_and_said(tmp_path, name, mark):
    rows = [["text", "label"], ["one, two", "NA"], [f'"a {mark} and\n a line"', "007"]]
    rows[1][0] = f'"one{mark} two"'
    path = write(tmp_path / name, "".join(mark.join(row) + "\n" for row in rows))
    table = read(path)
    assert table.texts == [f"one{mark} two", f"a {mark} and\n a line"]
    assert table.labels == ["NA", "007"]
    assert table.columns == f"text from text, label from label, separated by {mark!r}"
    write(path, f"text{mark}label\na{mark}b\nc{mark}d{mark}e\n")
    with pytest.raises(UserError, match=r"row 2 \(line 3\): 3 fields where 2"):
        read(path)


def test_a_separator_is_found_by_rows_that_the_named_columns_fit(tmp_path):
    path = write(tmp_path / "f.csv", "pos;a film, dull\nneg;fine\npos;a, b, c\n")
    assert read(path, names=("label", "text")).texts == ["a film, dull", "fine", "a, b, c"]
    with pytest.raises(UserError, match=r"row 1 .*2 fields where 3"):
        read(path, names=("label", "text", "id"))


def test_commas_are_kept_where_they_give_the_columns(tmp_path):
    path = write(tmp_path / "f.csv", "text,label;x,label\na;b,1,c\n")
    assert (read(path).texts, read(path).labels) == (["a;b"], ["c"])


@pytest.mark.parametrize("given", ["tab", "\\t", "\t", "^"])
def test_the_separator_may_be_given(tmp_path, given):
    mark = "^" if given == "^" else "\t"
    for name in ("f.csv", "f.tsv", "f.dat", "unnamed"):
        path = write(tmp_path / name, f"text{mark}label\na,b;c{mark}d\n")
        rows = read(path, delimiter=given)
        assert (rows.texts, rows.labels) == (["a,b;c"], ["d"])
        assert rows.columns == "text from text, label from label"


@pytest.mark.parametrize("given", ["", ";;", '"', "\n"])
def test_no_separator(given):
    with pytest.raises(UserError, match="--data.delimiter is .*expected one character or 'tab'"):
        ColumnSpec(delimiter=given)


ROWS = ['{"text": "naïve €5", "label": "café"}', '{"text": "fine", "label": "b"}']
ENCODED = {
    "f.csv": "text,label\nnaïve €5,café\nfine,b\n",
    "f.tsv": "text\tlabel\nnaïve €5\tcafé\nfine\tb\n",
    "f.jsonl": "\n".join(ROWS),
    "f.json": f"[{ROWS[0]},\n{ROWS[1]}]",
    "f.txt": "__label__café naïve €5\n__label__b fine\n",
    "unnamed": "\n".join(ROWS),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-be", "gb18030", "utf-8"])
def test_encodings(tmp_path, name, encoding):
    path = write(tmp_path / name, ENCODED[name].encode(encoding))
    table = read(path, encoding=encoding)
    assert table.texts == ["naïve €5", "fine"]
    assert table.labels == ["café", "b"]


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("given", [None, "cp1252"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, name, encoding, given, compress):
    path = write(tmp_path / name, compress(ENCODED[name].encode(encoding)))
    assert read(path, encoding=given).labels == ["café", "b"]


@pytest.mark.parametrize(
    ("encoding", "bad", "byte"),
    [
        (None, b"\xe9", "UTF-8 .byte 0xE9"),
        ("cp1252", b"\x81", "cp1252 .byte 0x81"),
        ("shift_jis", b"\x81 ", "shift_jis .byte 0x81"),
        ("ascii", b"\xff", "ascii .byte 0xFF"),
    ],
)
def test_bytes_that_do_not_fit_the_encoding_name_the_row(tmp_path, encoding, bad, byte):
    content = b"text,label\na,b\nfine" + bad + b",d\n"
    path = write(tmp_path / "f.csv", content)
    with pytest.raises(UserError, match=rf"row 2 \(line 3\): not valid {byte}.*--data\.encoding"):
        read(path, encoding=encoding)
    assert read(path, encoding=encoding, errors="replace").texts[1].startswith("fine\ufffd")


def test_half_a_utf_16_file_names_the_row(tmp_path):
    content = "text,label\na,b\nc,d\n".encode("utf-16-le")
    broken = content.replace("c".encode("utf-16-le"), b"\x00\xd8")
    with pytest.raises(UserError, match=r"row 2 \(line 3\): not valid utf-16-le"):
        read(write(tmp_path / "f.csv", broken), encoding="utf-16-le")


def test_utf_8_is_not_read_as_something_else(tmp_path):
    """What would be nonsense of every letter beyond ASCII is not silently learned from."""
    path = write(tmp_path / "f.csv", "text,label\ngröße,b\n")
    for encoding in ("cp1252", "latin-1", "utf-16-le"):
        with pytest.raises(UserError, match=f"f.csv is UTF-8, not {encoding}: give --data.enc"):
            read(path, encoding=encoding)
    assert read(path, encoding="utf-8").texts[0] == "größe"


def test_unknown_encodings_name_a_similar_one():
    with pytest.raises(UserError, match="'cp-1252' is no encoding, did you mean 'cp1252'"):
        ColumnSpec(encoding="cp-1252")
    for name in ("rot13", "hex", "undefined", "", "a\0"):
        with pytest.raises(UserError, match="is no encoding.*such as cp1252"):
            ColumnSpec(encoding=name)


@pytest.mark.parametrize("name", ["f.xlsx", "f.ods", "f.XLS", "f.csv", "f.tsv", "f.jsonl", "f"])
@pytest.mark.parametrize("given", [None, "cp1252"])
def test_spreadsheets_have_a_hint(tmp_path, name, given):
    start = b"\xd0\xcf\x11\xe0" if name == "f.XLS" else b"PK\x03\x04"
    with pytest.raises(UserError, match=r"is a zip archive or a spreadsheet \(save that as csv\)"):
        read(write(tmp_path / name, start), encoding=given)


@pytest.mark.parametrize("name", ENCODED)
def test_utf_16_without_a_mark_is_told(tmp_path, name):
    path = write(tmp_path / name, ENCODED[name].encode("utf-16-le"))
    with pytest.raises(UserError, match=r"is UTF-16 text \(--data.encoding utf-16-le"):
        read(path)


@pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\n', "\ufeffsep=;\n"])
def test_the_line_of_excel_names_the_separator(tmp_path, line):
    path = write(tmp_path / "f.csv", f"{line}text;label\na, b;c\nd;e;f\n")
    with pytest.raises(UserError, match=r"row 2 \(line 4\): 3 fields where 2"):
        read(path)
    assert read(write(path, f"{line}text;label\na, b;c\n")).texts == ["a, b"]


def test_a_given_separator_that_does_not_fit(tmp_path):
    """That of the training may not be that of another file."""
    path = write(tmp_path / "f.csv", "text,label\na;b,c\n")
    rows = read(path, delimiter=";")
    assert (rows.texts, rows.labels) == (["a;b"], ["c"])
    assert rows.columns.endswith("separated by ','")
    said = r"f.csv, separated by ';' \(--data.delimiter\), has no column for the label"
    with pytest.raises(UserError, match=said):
        read(write(path, "a,b\nc,d\n"), delimiter=";")


@pytest.mark.parametrize("name", ["train.csv", "train-00000-of-00001.parquet"])
def test_a_pointer_of_git_lfs_is_no_data(tmp_path, name):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    with pytest.raises(UserError, match="git lfs pull"):
        read(write(tmp_path / name, pointer))


def test_a_parquet_file_of_one_long_text_does_not_fill_the_memory(tmp_path):
    """Two terabytes of text in three kilobytes."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000), pa.array(["a" * (10 << 20)]))
    path = parquet(tmp_path / "f.parquet", text=texts, label=["a", "b"] * 100_000)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UserError, match="f.parquet takes over 256 MB of memory, too much"):
        read(path)


def _write_unlabelled(path):
    """Writes rows of which the second and the third have no label."""
    if path.suffix == ".parquet":
        names = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["neg", "pos"]}}}}
        table = pa.table({"text": list("abcd"), "label": pa.array([1, -1, None, 0], pa.int64())})
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), path)
    elif path.suffix == ".jsonl":
        rows = [{"text": "a", "label": "pos"}, {"text": "b"}, {"text": "c", "label": None}]
        rows.append({"text": "d", "label": "neg"})
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".txt":
        path.write_text("__label__pos a\n__label__ b\n__label__ c\n__label__neg d\n")
    else:
        path.write_text("text,label\na,pos\nb,\nc,  \nd,neg\n")
    return path


@pytest.mark.parametrize("name", ["f.csv", "f.jsonl", "f.parquet", "f.txt"])
def test_rows_without_a_label(tmp_path, name):
    path = _write_unlabelled(tmp_path / name)
    with pytest.raises(UserError, match="row 2"):
        read_file(path, ColumnSpec())
    rows = read_file(path, ColumnSpec(unlabelled="skip"))
    assert (rows.texts, rows.labels, rows.skipped) == (["a", "d"], ["pos", "neg"], 2)
    if name != "f.txt":  # its suffix does not tell that it is a table
        assert [t for t, _ in open_texts_with_ids(path, ColumnSpec())[1]] == list("abcd")


def test_only_rows_without_a_label(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("text,label\na,\nb,\n")
    with pytest.raises(UserError, match="no rows to learn from; 2 rows have no label"):
        read_file(path, ColumnSpec(unlabelled="skip"))


def test_texts_are_read_one_after_the_other(tmp_path):
    """A fault far down is met when its row is reached, and not before."""
    path = tmp_path / "f.csv"
    path.write_text("text\n" + "fine\n" * 200_000 + "too,many\n")
    _, texts = open_texts_with_ids(path, ColumnSpec())
    assert [next(texts) for _ in range(3)] == [("fine", None)] * 3
    with pytest.raises(UserError, match="row 200001"):
        list(texts)


def test_the_label_is_no_text(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("review,content\na,b\n")
    columns, texts = open_texts_with_ids(path, ColumnSpec(label="content"))
    assert columns == "text from review"
    assert list(texts) == [("a", None)]
