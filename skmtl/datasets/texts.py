"""Summaries of books and movies with their genres: text for transfer, books to movies."""

import json
import re

import numpy as np
from sklearn.utils import Bunch

from skmtl.datasets.remote import Archive, fetch_archive, open_archive, read_rows

__all__ = ["fetch_books", "fetch_movies"]

BOOKS = Archive(
    url="https://www.cs.cmu.edu/~dbamman/data/booksummaries.tar.gz",
    members=("booksummaries/booksummaries.txt",),
)
MOVIES = Archive(
    url="https://www.cs.cmu.edu/~ark/personas/data/MovieSummaries.tar.gz",
    members=("MovieSummaries/movie.metadata.tsv", "MovieSummaries/plot_summaries.txt"),
)

# A text is of the first category that a genre of it names, so special ones stand before those that
# most texts have: a "Western" that is also an "Adventure" and a "Drama" is a western.
CATEGORIES = {
    name: re.compile(words, flags=re.IGNORECASE)
    for name, words in {
        "western": r"\bwesterns?\b",
        "war": r"\b(war|combat)\b",
        "horror": r"\b(horror|ghost|vampire|zombie|slasher)",
        "musical": r"\bmusical",
        "scifi_fantasy": r"science fiction|fantasy|speculative|dystopia|cyberpunk|steampunk"
        r"|alternate history|time travel|superhero|\balien\b",
        "crime": r"\b(crime|detective|mystery|noir|gangster|whodunn?it|thriller|suspense)\b",
        "folklore": r"folklore|fairy ?tale|mytholog|\b(legend|fable)s?\b",
        "biography": r"biograph|memoir|biopic",
        "historical": r"\bhistorical\b",
        "travel": r"\btravel",
        "romance": r"\b(romance|romantic)\b",
        "adventure": r"\b(adventure|swashbuckler)",
        "comedy": r"\b(comed|comic\b|humou?r|parody|slapstick)",
        "drama": r"drama\b",
    }.items()
}

BOOKS_DESCR = """CMU Book Summary Dataset

Plots of 16,559 books from the English Wikipedia of 2 November 2012, with genres from Freebase.
Creative Commons Attribution-ShareAlike 3.0 US; the texts are by Wikipedia's contributors.

David Bamman and Noah A. Smith (2013). New Alignment Methods for Discriminative Book Summarization.
arXiv:1305.1319. https://www.cs.cmu.edu/~dbamman/booksummaries.html
"""
MOVIES_DESCR = """CMU Movie Summary Corpus

Plots of 42,306 movies from the English Wikipedia of 2 November 2012, with genres from Freebase.
Creative Commons Attribution-ShareAlike 3.0 US; the texts are by Wikipedia's contributors.

David Bamman, Brendan O'Connor and Noah A. Smith (2013). Learning Latent Personas of Film
Characters. Proceedings of ACL 2013, 352-361. http://www.cs.cmu.edu/~ark/personas/
"""


def fetch_books(
    *,
    data_home=None,
    download_if_missing=True,
    n_retries=3,
    delay=1.0,
    checksum=None,
    labeled_only=True,
    return_X_y=False,
):
    """Fetch the plots of 16,559 books with their genres, from the CMU Book Summary Dataset [1]_.

    Freebase gives a book any number of several hundred genres. For classification each text gets
    one of 14 categories, the same in :func:`fetch_movies`: the first of western, war, horror,
    musical, scifi_fantasy, crime, folklore, biography, historical, travel, romance, adventure,
    comedy and drama that one of its genres names, mysteries and thrillers being crime.

    The archive (17 MB) is kept in the folder ``skmtl`` of `data_home` and is not unpacked. Its
    publishers state no checksum: its SHA-256 is written down beside it when it is downloaded, and
    compared at each later use, and after a new download too.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder for downloads; by default that of :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether to download the archive if it is not there.
    n_retries : int, default=3
        Further attempts if the server cannot be reached or does not send the whole file; each
        comes with a warning.
    delay : float, default=1.0
        Seconds between attempts.
    checksum : str, default=None
        The SHA-256 that the archive must have, 64 digits, in place of the one written down.
    labeled_only : bool, default=True
        Whether to leave out the texts that have no category. Else their target is None, which
        is a missing label for the estimators of skmtl.
    return_X_y : bool, default=False
        Whether to return (data, target) only.

    Returns
    -------
    data : Bunch
        With one entry per text in the attributes

        data : ndarray of shape (n_texts,), object
            The plots.
        target : ndarray of shape (n_texts,), object
            The category of each text.
        target_names : list of str
            The categories that occur, sorted.
        genres : list of lists of str
            All genres of each text.
        titles : ndarray of shape (n_texts,), object
            The titles.
        ids : ndarray of shape (n_texts,), int64
            The ids of the articles in Wikipedia.
        filename : str
            Where the archive lies.
        DESCR : str
            Origin and licence.
    (data, target) : tuple if ``return_X_y=True``

    Raises
    ------
    OSError
        If the archive is not there and `download_if_missing` is False, if it cannot be
        downloaded, is damaged, or has another checksum.
    ValueError
        If `n_retries`, `delay` or `checksum` is out of range, or if a line in the archive is not
        of the format.

    See Also
    --------
    fetch_movies : The target that goes with this source.

    Notes
    -----
    Texts without a plot are left out.

    References
    ----------
    .. [1] Bamman and Smith (2013). New alignment methods for discriminative book summarization.
       arXiv:1305.1319.

    Examples
    --------
    >>> from skmtl.datasets import fetch_books, fetch_movies
    >>> books, movies = fetch_books(), fetch_movies()  # doctest: +SKIP
    >>> books.titles[0], books.target[0]  # doctest: +SKIP
    ('Animal Farm', 'scifi_fantasy')
    >>> books.genres[0][:3]  # doctest: +SKIP
    ['Roman à clef', 'Satire', "Children's literature"]
    """
    path = fetch_archive(
        BOOKS,
        data_home=data_home,
        download_if_missing=download_if_missing,
        n_retries=n_retries,
        delay=delay,
        checksum=checksum,
    )
    return _bunch(_read_books(path), path, BOOKS_DESCR, labeled_only, return_X_y)


def fetch_movies(
    *,
    data_home=None,
    download_if_missing=True,
    n_retries=3,
    delay=1.0,
    checksum=None,
    labeled_only=True,
    return_X_y=False,
):
    """Fetch the plots of 42,306 movies with their genres, from the CMU Movie Summary Corpus [1]_.

    The categories, and all parameters, are those of :func:`fetch_books`. The archive has 46 MB.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder for downloads; by default that of :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether to download the archive if it is not there.
    n_retries : int, default=3
        Further attempts if the server cannot be reached or does not send the whole file; each
        comes with a warning.
    delay : float, default=1.0
        Seconds between attempts.
    checksum : str, default=None
        The SHA-256 that the archive must have, 64 digits, in place of the one written down.
    labeled_only : bool, default=True
        Whether to leave out the texts that have no category. Else their target is None.
    return_X_y : bool, default=False
        Whether to return (data, target) only.

    Returns
    -------
    data : Bunch
        With the attributes of :func:`fetch_books`.
    (data, target) : tuple if ``return_X_y=True``

    Raises
    ------
    OSError
        If the archive is not there and `download_if_missing` is False, if it cannot be
        downloaded, is damaged, or has another checksum.
    ValueError
        If `n_retries`, `delay` or `checksum` is out of range, or if a line in the archive is not
        of the format.

    See Also
    --------
    fetch_books : The source that goes with this target.

    Notes
    -----
    Movies without a plot, and plots without a line among the genres, are left out.

    References
    ----------
    .. [1] Bamman, O'Connor and Smith (2013). Learning latent personas of film characters.
       Proceedings of ACL 2013, 352-361.

    Examples
    --------
    >>> from skmtl.datasets import fetch_movies
    >>> X, y = fetch_movies(return_X_y=True)  # doctest: +SKIP
    """
    path = fetch_archive(
        MOVIES,
        data_home=data_home,
        download_if_missing=download_if_missing,
        n_retries=n_retries,
        delay=delay,
        checksum=checksum,
    )
    return _bunch(_read_movies(path), path, MOVIES_DESCR, labeled_only, return_X_y)


def _category_of(genres):
    """Return the first category that one of the genres names, or None."""
    for category, words in CATEGORIES.items():
        if any(words.search(genre) for genre in genres):
            return category
    return None


def _read_books(path):
    """Yield id, title, genres and plot of each book."""
    with open_archive(path) as tar:
        for page, _, title, _, _, genres, plot in read_rows(tar, *BOOKS.members, 7):
            yield page, title, _genres(page, genres), plot


def _read_movies(path):
    """Yield id, title, genres and plot of each movie that has both."""
    metadata, plots = MOVIES.members
    with open_archive(path) as tar:
        movies = {row[0]: (row[2], row[8]) for row in read_rows(tar, metadata, 9)}
        for page, plot in read_rows(tar, plots, 2):
            if page in movies:
                title, genres = movies[page]
                yield page, title, _genres(page, genres), plot


def _genres(page, cell):
    """Genres from a JSON object of ids and names; the cell of a text without any is empty."""
    try:
        return list(json.loads(cell or "{}").values())
    except (AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"the genres of text {page} are not a JSON object: {cell!r:.80}"
        ) from error


def _bunch(texts, path, descr, labeled_only, return_X_y):
    """Collect the texts that have a plot, with the category of each."""
    rows = [
        (int(page), title, genres, plot.strip(), _category_of(genres))
        for page, title, genres, plot in texts
        if plot.strip()
    ]
    if labeled_only:
        rows = [row for row in rows if row[-1] is not None]
    ids, titles, genres, plots, categories = zip(*rows) if rows else ((),) * 5
    data, target = np.array(plots, dtype=object), np.array(categories, dtype=object)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=sorted(set(categories) - {None}),
        genres=list(genres),
        titles=np.array(titles, dtype=object),
        ids=np.array(ids, dtype=np.int64),
        filename=str(path),
        DESCR=descr,
    )
