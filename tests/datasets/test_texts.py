"""Books and movies: what is read of the archives, and the category of each text."""

import hashlib

import numpy as np
import pytest
from archives import Response, archive, serve

from skmtl import TransferClassifier, as_source
from skmtl.datasets import fetch_books, fetch_movies, texts
from skmtl.datasets.texts import _category_of

BOOKS = """\
620\t/m/0hhy\tAnimal Farm\tGeorge Orwell\t1945-08-17\t\
{"/m/016lj8": "Roman \\u00e0 clef", "/m/06nbt": "Satire", "/m/014dfn": "Speculative fiction"}\
\t Old Major, the old boar…\twith a tab.\u2028And a line.\x20
13\t/m/1\tÉtranger\t\t\t{"/m/4": "Crime Fiction"}\tPlot two.
14\t/m/2\tWithout genres\tA\t1999\t\tPlot three.
15\t/m/3\tWithout a plot\tA\t1999\t{"/m/4": "Horror"}\t\x20
16\t/m/5\tOf no category\tA\t\t{"/m/6": "Novel"}\tPlot five.
"""
METADATA = """\
10\t/m/1\tThe Train\t1903\t\t\t{}\t{"/m/us": "USA"}\t{"/m/2": "Western", "/m/3": "Drama"}
11\t/m/2\tNo plot\t1904\t\t90.0\t{}\t{}\t{"/m/3": "Drama"}
12\t/m/4\tÑandú\t\t1000\t\t{}\t{}\t{}
13\t/m/5\tGhosts\t\t\t\t{}\t{}\t{"/m/7": "Comedy film"}
"""
PLOTS = """\
13\tA ghost laughs.
99\tA movie without metadata.
10\tTwo bandits.
12\tA bird runs.
"""


@pytest.fixture
def books(tmp_path, monkeypatch):
    """The folder where downloads go, and a server that gives the books once."""
    return from_server(monkeypatch, tmp_path, "BOOKS", {"booksummaries/booksummaries.txt": BOOKS})


@pytest.fixture
def movies(tmp_path, monkeypatch):
    files = {"MovieSummaries/plot_summaries.txt": PLOTS}
    files["MovieSummaries/movie.metadata.tsv"] = METADATA
    return from_server(monkeypatch, tmp_path, "MOVIES", files)


def from_server(monkeypatch, home, name, files):
    """Give the archive `name` from a server on loopback, once, in place of its own."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    original = getattr(texts, name)
    filename = original.filename

    class Source:
        content = archive(files)

        @staticmethod
        def fetch(function, **options):
            with serve(Response(Source.content)) as (address, _):
                moved = original._replace(url=f"{address}/{filename}")
                monkeypatch.setattr(texts, name, moved)
                return function(data_home=home, **options)

    return Source


# --- books -------------------------------------------------------------------------------------


def test_books(books, tmp_path):
    data = books.fetch(fetch_books)
    assert data.data.tolist() == [
        "Old Major, the old boar…\twith a tab.\u2028And a line.",
        "Plot two.",
    ]
    assert data.target.tolist() == ["scifi_fantasy", "crime"]
    assert data.target_names == ["crime", "scifi_fantasy"]
    assert data.genres == [["Roman à clef", "Satire", "Speculative fiction"], ["Crime Fiction"]]
    assert data.titles.tolist() == ["Animal Farm", "Étranger"]
    assert data.ids.tolist() == [620, 13]
    assert data.filename == str(tmp_path / "skmtl" / "booksummaries.tar.gz")
    assert "Attribution-ShareAlike" in data.DESCR
    again = fetch_books(data_home=tmp_path, download_if_missing=False)  # from disk
    assert again.data.tolist() == data.data.tolist()


def test_books_without_a_category(books):
    data = books.fetch(fetch_books, labeled_only=False)
    assert data.titles.tolist() == ["Animal Farm", "Étranger", "Without genres", "Of no category"]
    assert data.target.tolist() == ["scifi_fantasy", "crime", None, None]
    assert data.target_names == ["crime", "scifi_fantasy"]
    assert data.genres[2:] == [[], ["Novel"]]


@pytest.mark.parametrize("genres", ['["Horror"]', "{'/m/1': 'Horror'}", '"Horror"', "{"])
def test_genres_that_are_no_object(monkeypatch, tmp_path, genres):
    row = f"7\t/m/1\tTitle\tAuthor\t1999\t{genres}\tPlot\n"
    files = {"booksummaries/booksummaries.txt": row}
    source = from_server(monkeypatch, tmp_path, "BOOKS", files)
    with pytest.raises(ValueError, match="genres of text 7 are not a JSON object: "):
        source.fetch(fetch_books)


def test_an_archive_without_texts(monkeypatch, tmp_path):
    source = from_server(monkeypatch, tmp_path, "BOOKS", {"booksummaries/booksummaries.txt": ""})
    data = source.fetch(fetch_books)
    assert data.data.shape == data.target.shape == data.titles.shape == data.ids.shape == (0,)
    assert data.genres == data.target_names == []


# --- movies ------------------------------------------------------------------------------------


def test_movies(movies, tmp_path):
    data = movies.fetch(fetch_movies)
    assert data.data.tolist() == ["A ghost laughs.", "Two bandits."]
    assert data.target.tolist() == ["comedy", "western"]
    assert data.genres == [["Comedy film"], ["Western", "Drama"]]
    assert data.titles.tolist() == ["Ghosts", "The Train"]
    assert data.ids.tolist() == [13, 10]
    assert data.filename == str(tmp_path / "skmtl" / "MovieSummaries.tar.gz")
    assert "Characters" in data.DESCR


def test_movies_without_a_category(movies):
    data = movies.fetch(fetch_movies, labeled_only=False)
    assert data.titles.tolist() == ["Ghosts", "The Train", "Ñandú"]
    assert data.target.tolist() == ["comedy", "western", None]


# --- both --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, function", [("books", fetch_books), ("movies", fetch_movies)])
def test_X_y(request, tmp_path, name, function):
    bunch = request.getfixturevalue(name).fetch(function)
    X, y = function(data_home=tmp_path, return_X_y=True)
    assert X.tolist() == bunch.data.tolist()
    assert y.tolist() == bunch.target.tolist()
    assert X.dtype == y.dtype == bunch.titles.dtype == object
    assert all(type(text) is str for text in [*X, *y])


@pytest.mark.parametrize("name, function", [("books", fetch_books), ("movies", fetch_movies)])
def test_options_reach_the_download(request, tmp_path, name, function):
    source = request.getfixturevalue(name)
    with pytest.raises(OSError, match="download_if_missing=False"):
        function(data_home=tmp_path, download_if_missing=False)
    wrong = "0" * 64
    with pytest.raises(OSError, match=f"expected {wrong}"):
        source.fetch(function, checksum=wrong)
    source.fetch(function, checksum=hashlib.sha256(source.content).hexdigest())
    with pytest.raises(ValueError, match="n_retries=-2"):
        function(data_home=tmp_path, n_retries=-2)
    with pytest.raises(ValueError, match="delay=-1"):
        function(data_home=tmp_path, delay=-1)


def test_books_are_a_source_for_movies(books, movies):
    """The categories are words, so that both mean the same by them."""
    X_source, y_source = books.fetch(fetch_books, return_X_y=True)
    X, y = movies.fetch(fetch_movies, return_X_y=True, labeled_only=False)

    def count(plots):
        return np.array([[len(plot), plot.count(" ")] for plot in plots], dtype=float)

    transfer = TransferClassifier((4,), max_iter=2, random_state=0)
    with pytest.warns(match="max_iter"):  # two epochs are not meant to suffice
        transfer.fit(count(X), y, **as_source(count(X_source), y_source))
    assert transfer.classes_.tolist() == ["comedy", "western"]


# --- categories --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "genre, category",
    [
        ("Spaghetti Western", "western"),
        ("War film", "war"),
        ("Anti-war", "war"),
        ("Star Wars", None),
        ("Horror Comedy", "horror"),
        ("Musical Drama", "musical"),
        ("Science Fiction", "scifi_fantasy"),
        ("Utopian and dystopian fiction", "scifi_fantasy"),
        ("Time travel", "scifi_fantasy"),
        ("Alternate history", "scifi_fantasy"),
        ("Crime Fiction", "crime"),
        ("Mystery", "crime"),
        ("Film noir", "crime"),
        ("Fairy tale", "folklore"),
        ("Autobiography", "biography"),
        ("Biopic [feature]", "biography"),
        ("Historical novel", "historical"),
        ("History", None),
        ("Travel literature", "travel"),
        ("Romance Film", "romance"),
        ("Romantic comedy", "romance"),
        ("Action/Adventure", "adventure"),
        ("Comedy of manners", "comedy"),
        ("Comics", None),
        ("Melodrama", "drama"),
        ("Children's literature", None),
        ("Documentary", None),
    ],
)
def test_category_of_a_genre(genre, category):
    assert _category_of([genre]) == category
    assert _category_of(["Novel", genre.upper()]) == category


def test_special_categories_come_first():
    """In any order of the genres the one that says most decides."""
    genres = ["Drama", "Comedy", "Adventure", "Romance", "Mystery", "Fantasy", "Horror", "Western"]
    expected = ["drama", "comedy", "adventure", "romance", "crime", "scifi_fantasy", "horror"]
    for n, category in enumerate([*expected, "western"], start=1):
        assert _category_of(genres[:n]) == _category_of(genres[:n][::-1]) == category
    assert _category_of([]) is None


def test_the_docstring_has_the_categories_in_their_order():
    words = fetch_books.__doc__.replace(" and ", " ").replace(",", " ").split()
    assert list(texts.CATEGORIES) == words[(start := words.index("western")) : start + 14]
