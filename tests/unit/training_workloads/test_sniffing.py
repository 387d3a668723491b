"""Measure 4 of the main job: each bad file gets a reason and a sentence that helps; each odd one is read."""

import codecs
import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.errors import InvalidInput
from services.training.domain.errors import NotText
from services.training.domain.model import TableFormat
from services.training.domain.sniffing import is_archive, sniff

ROWS = "1,2\n" * 4


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("a.csv", "a,b\n" + ROWS)
    return buffer.getvalue()


BAD = {
    "no bytes": (b"", "EMPTY_FILE", "header row"),
    "blank lines": (b"\n \r\n\n", "EMPTY_FILE", "header row"),
    "a byte order mark and nothing else": (codecs.BOM_UTF8, "EMPTY_FILE", "header row"),
    "a wide byte order mark and nothing else": (codecs.BOM_UTF16_LE, "EMPTY_FILE", "header row"),
    "header only": (b"a,b\n", "NO_ROWS", "at least 4"),
    "header only without an end of line": (b"a,b", "NO_ROWS", "at least 4"),
    "three rows": (b"a,b\n1,2\n3,4\n5,6\n", "TOO_FEW_ROWS", "only 3 rows"),
    "zero bytes": (bytes(range(256)) * 8, "NOT_TEXT", "zero bytes"),
    "random bytes": (np.random.default_rng(0).bytes(4096), "NOT_TEXT", "CSV"),
    "control characters": (b"a,b\n" + b"1,\x07\n" * 4, "NOT_TEXT", "control characters"),
    "an image": (b"\x89PNG\r\n\x1a\nIHDR", "NOT_TEXT", "PNG"),
    "a workbook": (_zip(), "NOT_TEXT", "Excel"),
    "a parquet file": (b"PAR1\x15\x04\x15", "NOT_TEXT", "Parquet"),
    "a document": (b"%PDF-1.7\n1 0 obj", "NOT_TEXT", "PDF"),
    "an object of JSON": (b'{"a": 1,\n"b": 2}\n', "NOT_TEXT", "it is JSON"),
    "objects of JSON": (b'[\n  {"a": 1, "b": 2},\n  {"a": 3, "b": 4}\n]\n' * 9, "NOT_TEXT", "it is JSON"),
    "arrays of JSON": (b'[["a", "b"],\n[1, 2]]\n', "NOT_TEXT", "it is JSON"),
    "lines of JSON": (b'\xef\xbb\xbf{"a":0,"b":1}\n' + b'{"a":0,"b":1}\n' * 9, "NOT_TEXT", "it is JSON"),
    "a web page": (b"\r\n<!DOCTYPE html>\n<html>\n<body>\nhi\n</body>\n</html>", "NOT_TEXT", "web page"),
    "a table of a web page": (b'<TABLE border="1">\n<tr><td>1\n' + b"<tr><td>2\n" * 9, "NOT_TEXT", "web page"),
    "a commented web page": (b"<!-- c -->\n<html>\n<body>\nhi\n</body>\n</html>", "NOT_TEXT", "web page"),
    "a web page in XML": (b'<?xml version="1.0"?>\n<html>\n<p>\nhi\n</p>\n</html>', "NOT_TEXT", "XML"),
    "a mark of DOS and nothing else": (b"\x1a", "EMPTY_FILE", "header row"),
    "three rows and a mark of DOS": (b"a,b\n1,2\n3,4\n5,6\n\x1a", "TOO_FEW_ROWS", "only 3 rows"),
    "compressed": (gzip.compress(b"a,b\n" + ROWS.encode()), "NOT_TEXT", "gzip"),
    "numbers in place of names": (b"3,2\n" * 5, "NO_HEADER", "every cell in it is a number"),
    "what only tells a spreadsheet the delimiter": (b"sep=;\na;b\n" + b"1;2\n" * 4, "NO_HEADER", "'sep='"),
    "the same for another delimiter": (b"sep=;\na,b\n" + b"1,2\n" * 4, "NO_HEADER", "'sep="),
    "no names": (b",,\n1,2,3\n", "NO_HEADER", "empty"),
    "two columns of one name": (b"a,b,a\n" + b"1,2,3\n" * 4, "DUPLICATE_COLUMNS", "'a'"),
    "names that differ in blanks": (b"a, a\n" + ROWS.encode(), "DUPLICATE_COLUMNS", "'a'"),
    "a row with too much": (b"a,b\n1,2\n1,2,3\n1,2\n1,2\n", "UNREADABLE_ROW", "Line 3"),
    "a row of 10,000 fields": (b"a,b\n1,2\n1,2\n1,2\n" + b"1," * 9999 + b"1\n", "UNREADABLE_ROW", "10,000 fields"),
    "a quotation mark that stays open": (b'a,b\n1,2\n1,"2\n1,2\n1,2\n', "UNREADABLE_ROW", "Line 3"),
    "a value without end": (b'a,b\n1,"' + b"x" * 200_000, "UNREADABLE_ROW", "Line 2"),
    "20,001 columns": (",".join(f"c{i}" for i in range(20_001)).encode(), "TOO_MANY_COLUMNS", "at most 20,000"),
    "100,001 columns": (",".join(f"c{i}" for i in range(100_001)).encode(), "TOO_MANY_COLUMNS", "100,001"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gets_its_reason_and_a_sentence_that_helps(case):
    content, reason, hint = BAD[case]
    with pytest.raises(InvalidInput) as caught:
        sniff(content, complete=True)

    assert caught.value.reason == reason
    assert caught.value.field == "file"
    assert hint in caught.value.message
    assert "{" not in caught.value.message


SWEDISH = "namn;ort;ålder\nÅsa;Malmö;3\nBo;Göteborg;4\nEva;Umeå;5\nUlf;Luleå;6\n"
ODD = {
    "commas": ("a,b\n" + ROWS, ",", "utf-8"),
    "semicolons": ("a;b\n" + "1;2\n" * 4, ";", "utf-8"),
    "semicolons and decimal commas": ("a;b\n1,5;2,0\n2,5;3\n1;2,25\n3;4\n", ";", "utf-8"),
    "tabs": ("a\tb\n" + "1,0\t2\n" * 4, "\t", "utf-8"),
    "pipes": ("a|b\n" + "x, y|2\n" * 4, "|", "utf-8"),
    "lists within commas": ("a,b\n" + "1,x;y;z\n" * 4, ",", "utf-8"),
    "prices": ("Name;Preis, EUR\nAda;1,50\nBo;2,00\nCy;3,75\nDi;10,10 €\n", ";", "utf-8"),
    "prices only": ("Netto, EUR;Brutto, EUR\n" + "1,50;-2,50\n" * 4, ";", "utf-8"),
    "towns": ("Name;Ort, Land\n" + "Ada;Wien, AT\n" * 4, ";", "utf-8"),
    "tabs and prices": ("Name\tPreis, EUR\n" + "Ada\t1,50\n" * 4, "\t", "utf-8"),
    "pairs within commas": ("id,lat;lon\n" + "1,48;11\n" * 4, ",", "utf-8"),
    "pairs of fractions within commas": ("id, lat;lon\n" + "1,48.1;11.5\n" * 4, ",", "utf-8"),
    "names in brackets": ("[id],<html_length>,{a}\n" + "1,2,3\n" * 4, ",", "utf-8"),
    "a mark of DOS": ("a,b\n" + ROWS + "\x1a", ",", "utf-8"),
    "one column": ("a\n" + "1\n" * 4, ",", "utf-8"),
    "quoted line breaks": ('a,b\n1,"x\ny"\r\n2,"p,q"\n3,z\n4,"w ""q"""', ",", "utf-8"),
    "old line ends": ("a,b\r" + "1,2\r" * 4, ",", "utf-8"),
    "a byte order mark": ("\ufeffa,b\n" + ROWS, ",", "utf-8-sig"),
    "utf-16": ("a\tb\n" + "1\t2\n" * 4, "\t", "utf-16"),
    "windows text": (SWEDISH, ";", "cp1252"),
    "japanese": ("名前,都市\n太郎,東京\n花子,大阪\n次郎,京都\n三郎,名古屋\n", ",", "cp932"),
    "russian": ("имя,город\nАнна,Москва\nИван,Казань\nОльга,Тула\nПётр,Омск\n", ",", "cp1251"),
    "emoji": ("a,b\n" + "1,🙂\n" * 4, ",", "utf-8"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_file_is_read(case):
    text, delimiter, encoding = ODD[case]
    content = text.removeprefix("\ufeff").encode(encoding)

    sniffed = sniff(content, complete=True)

    assert sniffed.format == TableFormat(delimiter, encoding)
    assert sniffed.row_count == 4


WESTERN = {
    "German": "größe,b,ziel\n" + "1,2,schön\n3,4,häßlich\n" * 10,
    "one letter": "a,b,Qualität\n" + "1,2,x\n2,3,y\n" * 10,
    "French": "âge,salaire,décision\n" + "1,2,accepté\n2,3,refusé\n" * 10,
    "a sign": "name,price €\n" + "a,1\nb,2\n" * 5,
    "prices": "name,preis\n" + "Kaffee,5 €\nTee,3 €\n" * 50,
    "pounds": "item,price\n" + "Tea,£3\nCake,£4.50\n" * 20,
    "degrees": "t,b\n" + "20 °C,1\n21 °C,2\n" * 50,
    "micrometres": "size\n" + "5 µm\n7 µm\n" * 20,
    "tolerances": "x,y\n" + "5 ±1,2\n6±2,2\n" * 20,
    "products": "a,b\n" + "3×4,1\n5×6,2\n" * 10,
    "areas": "flat,area\n" + "a,50 m²\nb,70 m²\n" * 20,
    "typed quotation marks": "a,t\n" + "1,“hello” – he said…\n2,it’s fine\n" * 30,
    "Spanish questions": "a,b\n" + "¿Qué?,1\n¡Sí!,2\n" * 10,
    "single letters": "größe,b\n1,ü\n2,é\n3,ß\n4,ö\n",
    "three letters": "a,b\n" + "å,1\nä,2\nö,3\n" * 20,
    "one word in many rows": "farbe,b\n" + "grün,1\nrot,2\n,3\n" * 100,
    "Finnish": "nimi,kaupunki\n" + "Väinö,Hämeenlinna\nÄijä,Jyväskylä\n" * 20,
    "Icelandic": "nafn,borg,staða\n" + "Þór,Ísafjörður,já\nGuðrún,Höfn,nei\n" * 20,
    "names from everywhere": "name\n" + "Søren\nHélène\nIñigo\nJoão\nGünther\nÅsa\nZoë\nGuðrún\nJosé\n" * 9,
}


@pytest.mark.parametrize("case", WESTERN)
def test_short_western_text_is_not_taken_for_something_exotic(case):
    assert sniff(WESTERN[case].encode("cp1252"), complete=True).format.encoding == "cp1252"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("имя,город\n" + "Иван,Москва\nМария,Санкт-Петербург\n" * 10, "cp1251"),
        ("名前,都市\n" + "太郎,東京\n花子,大阪\n" * 10, "cp932"),
        ("姓名,城市,状态\n" + "王伟,北京,是\n李娜,上海,否\n" * 30, "gb18030"),
        ("姓名,城市,狀態\n" + "王偉,台北,是\n李娜,高雄,否\n" * 30, "big5"),
        ("이름,도시,상태\n" + "김민수,서울,예\n이영희,부산,아니오\n" * 30, "cp949"),
        ("όνομα,πόλη\n" + "Γιώργος,Αθήνα\nΜαρία,Θεσσαλονίκη\n" * 30, "cp1253"),
    ],
)
def test_other_scripts_are_recognised(text, encoding):
    assert sniff(text.encode(encoding), complete=True).format.encoding == encoding


@pytest.mark.parametrize(
    ("header", "values", "encoding"),
    [
        ("id,купил,пол", ["да,муж", "нет,жен", "да,жен"], "cp1251"),
        ("id,имя,число", ["Москва", "Привет", "Спасибо", "данные", "проверка"], "cp1251"),
        ("id,x,y", ["ذكر,نعم", "أنثى,لا", "ذكر,لا"], "cp1256"),
    ],
)
def test_a_few_words_in_many_rows_are_text(header, values, encoding):
    """Measure 4: statistics alone find none in what repeats."""
    content = "\n".join([header, *(f"{row},{values[row % len(values)]}" for row in range(20))]).encode(encoding)

    assert sniff(content, complete=True).format.encoding == encoding


POLISH = "imię,miasto,wynik\n" + "Łukasz,Łódź,zły\nŻaneta,Poznań,średni\nJędrzej,Częstochowa,dobry\n" * 20
CZECH = "jméno,město\n" + "Jiří,Plzeň\nTomáš,Ústí nad Labem\nKateřina,České Budějovice\nLukáš,Třebíč\n" * 15
HUNGARIAN = "név,város\n" + "Gergő,Győr\nZsófia,Pécs\nTünde,Kőszeg\nÖdön,Szentendre\nGyőző,Tótkomlós\n" * 12
CROATIAN = "ime,grad\n" + "Đuro,Čakovec\nŽeljka,Šibenik\nAnić,Požega\nKovačić,Đakovo\n" * 15
TURKISH = "isim,şehir\n" + "Ayşe,İstanbul\nÇağlar,Muğla\nIşıl,Diyarbakır\nGülşen,Eskişehir\n" * 15
LITHUANIAN = "vardas,būsena\n" + "Jūratė,gerai\nŽygimantas,blogai\nRūta,įdomiai\nAgnė,šaltai\n" * 15
GERMAN = "name,größe\n" + "Jürgen,groß\nKäthe,höher\nGünther,mäßig\nSören,größer\n" * 15
SPANISH = "nombre,ciudad\n" + "Íñigo,Málaga\nJosé,León\nBegoña,Cádiz\nÁngel,Córdoba\n" * 15


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (POLISH, "cp1250"),
        (POLISH, "iso8859_2"),
        (POLISH, "cp852"),
        (CZECH, "cp1250"),
        (CZECH, "iso8859_2"),
        (HUNGARIAN, "cp1250"),
        (CROATIAN, "cp1250"),
        (TURKISH, "cp1254"),
        (LITHUANIAN, "cp1257"),
        (GERMAN, "mac_roman"),
        (GERMAN, "cp850"),
        (SPANISH, "mac_roman"),
        (SPANISH, "cp850"),
    ],
)
def test_latin_letters_are_read_in_the_encoding_in_which_they_make_words(text, encoding):
    """Which of two encodings that read it alike is named does not matter."""
    content = text.encode(encoding)

    assert content.decode(sniff(content, complete=True).format.encoding) == text


def test_names_are_stripped_and_nameless_columns_are_named_for_their_place():
    sniffed = sniff(b"a, b ,,d\n" + b"1,2,3,4\n" * 4, complete=True)

    assert sniffed.column_names == ["a", "b", "Unnamed: 2", "d"]


def test_ten_thousand_columns_are_read_at_once():
    header = ",".join(f"column {i}" for i in range(10_000))
    content = (header + "\n" + (",".join(["1.5"] * 10_000) + "\n") * 5).encode()
    sniffed = sniff(content, complete=True)

    assert len(sniffed.column_names) == 10_000
    assert sniffed.row_count == 5


@pytest.mark.parametrize("header", ["0,1,2", "1,2,3"])
def test_a_header_that_counts_its_columns_is_one(header):
    """Programs that know no names write the columns' positions."""
    assert sniff(f"{header}\n".encode() + b"7,8,9\n" * 4, complete=True).row_count == 4


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_head_may_end_anywhere(cut):
    """A row that is cut is not counted, even where the cut goes through a character."""
    content = SWEDISH.encode()
    sniffed = sniff(content[: len(content) - cut], complete=False)

    assert sniffed.format == TableFormat(";", "utf-8")
    assert sniffed.column_names == ["namn", "ort", "ålder"]
    assert sniffed.row_count == 3


def test_a_head_without_a_whole_row_is_enough():
    assert sniff(b"a,b\n1,", complete=False).row_count == 0


def test_a_known_format_is_not_guessed():
    sniffed = sniff(b"a;b|c\n" + b"1;2|3\n" * 4, complete=True, known=TableFormat("|", "utf-8"))

    assert sniffed.column_names == ["a;b", "c"]


def test_a_known_encoding_that_does_not_fit_is_named():
    with pytest.raises(InvalidInput, match="not encoded in utf-8") as caught:
        sniff(SWEDISH.encode("cp1252"), complete=True, known=TableFormat(";", "utf-8"))

    assert caught.value.reason == "NOT_TEXT"


CELLS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=4, max_size=30))
def test_whatever_pandas_writes_is_read_with_as_many_rows(rows):
    frame = pd.DataFrame(rows, columns=["first", "second", "third"])
    content = frame.to_csv(index=False).encode()

    sniffed = sniff(content, complete=True)

    assert sniffed.column_names == ["first", "second", "third"]
    assert sniffed.row_count == len(rows)
    assert sniffed.format.delimiter == ","


@given(st.binary(max_size=2000), st.booleans())
def test_no_bytes_raise_anything_but_an_invalid_input(content, complete):
    try:
        outcome = sniff(content, complete).column_names
    except InvalidInput as problem:
        outcome = problem.reason

    assert outcome


def test_an_archive_is_told_from_an_office_document():
    """FEATURES 000: a folder of images comes as a zip; a workbook, a zip as well, is no archive of them."""
    with io.BytesIO() as made:
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("cats/1.png", b"x")
        content = made.getvalue()

    assert is_archive(content)
    assert not is_archive(b"a,b\n1,2\n")
    with pytest.raises(NotText) as caught:
        is_archive(_zip())
    assert "Excel" in caught.value.message
