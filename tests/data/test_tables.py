import unicodedata

import pytest

from privacy_exp.data.photo import BadDataError
from privacy_exp.data.tables import FileNames, left_over, match_files, read_table

FILES = ["ann/1.jpg", "ann/2.jpg", "jos\u00e9/3.jpg", "bob/1.jpg"]


@pytest.fixture
def table(tmp_path):
    def write(text, **keys):
        path = tmp_path / "t.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return read_table(path, **{"columns": None, **keys})

    return write


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_line_ends_do_not_matter(table, separator, end):
    lines = ["\ufeff path , who", "", " a.jpg , ann ", "b.jpg,bob", ""]
    read = table(end.join(lines).replace(",", separator))
    assert read.columns == ["who"]
    assert read.rows == {"a.jpg": {"who": "ann"}, "b.jpg": {"who": "bob"}}
    assert read.lines == {"a.jpg": 3, "b.jpg": 4}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_unicode_text_of_a_spreadsheet_is_read(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_text(("\ufeff" if encoding == "utf-16-be" else "") + "path,who\na.jpg,José\n", encoding=encoding)
    assert read_table(path, None).rows == {"a.jpg": {"who": "José"}}


def test_a_quoted_cell_keeps_its_comma(table):
    assert table('path,who\na.jpg,"Doe, Jane"\n').rows["a.jpg"] == {"who": "Doe, Jane"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("path,x\na.jpg,1\nb.jpg,2\na.jpg,3\n", r"Line 4 .* names a.jpg a second time, after line 2"),
        ("path,x\na.jpg,\n", r"Line 2 .* leaves x empty"),
        ("path,x\n,1\n", r"Line 2 .* leaves path empty"),
        ("path,x\na.jpg,1,2\n", r"Line 2 .* has 3 columns, but the first line names 2"),
        ("path,x,x\na.jpg,1,2\n", r"names the column 'x' twice"),
        ("path,x,\na.jpg,1,\n", r"no name for column 3"),
    ],
)
def test_what_is_wrong_is_named_by_line(table, text, words):
    with pytest.raises(BadDataError, match=words):
        table(text)


def test_columns_that_must_be_there(table):
    with pytest.raises(BadDataError, match=r"needs the columns image, identity in its first line, but has path, who"):
        table("path,who\na,b\n", columns=["identity"], key="image")
    assert table("who,image\nann,a.jpg\n", columns=["who"], key="image").rows == {"a.jpg": {"who": "ann"}}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ann/1.jpg", "ann/1.jpg"),
        ("ann\\1.jpg", "ann/1.jpg"),
        ("./ann/1.jpg", "ann/1.jpg"),
        ("ann/1", "ann/1.jpg"),
        ("ann/1.png", "ann/1.jpg"),
        ("/photos/ann/1.jpg", "ann/1.jpg"),
        (unicodedata.normalize("NFD", "jos\u00e9/3.jpg"), "jos\u00e9/3.jpg"),
        ("2.jpg", "ann/2.jpg"),
        ("1.jpg", None),  # ann's or bob's
        ("cyd/1.jpg", None),
    ],
)
def test_names_are_compared_after_normalising(key, expected, tmp_path):
    root = type(tmp_path)("/photos")
    assert FileNames(FILES, root).find(key) == expected


def test_rows_that_mean_one_file_or_none(table):
    files = FileNames(FILES)
    with pytest.raises(BadDataError, match=r"Line 3 .*ann/1.jpg a second time, after line 2"):
        match_files(table("path,x\nann/1.jpg,1\n./ann/1.jpg,2\n"), files)
    with pytest.raises(BadDataError, match=r"names none of the images: its first row says 'x.jpg'"):
        match_files(table("path,x\nx.jpg,1\n"), files)
    read = table("path,x\nann/1.jpg,1\nx.jpg,1\ny.jpg,1\n")
    matched = match_files(read, files)
    assert matched.rows == {"ann/1.jpg": {"x": "1"}}
    assert left_over(read, matched) == ["rows of t.csv that name no image: 2 of 3, such as x.jpg, y.jpg"]
