"""Archives from the net: downloaded once, checked at each use, read without being unpacked."""

import gzip
import hashlib
import os
import re
import tarfile
import time
import warnings
import zlib
from contextlib import contextmanager
from http.client import HTTPException
from io import TextIOWrapper
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple
from urllib.error import ContentTooShortError, HTTPError, URLError
from urllib.request import urlopen

from sklearn.datasets import get_data_home

__all__ = ["Archive", "fetch_archive", "open_archive", "read_rows"]

TIMEOUT = 30  # seconds without a byte from the server
CHUNK = 1 << 20
PASSING = (URLError, HTTPException, ConnectionError, TimeoutError)  # what another attempt may mend
DAMAGED = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
SHA256 = re.compile(r"[0-9a-f]{64}")


class Archive(NamedTuple):
    """A gzipped tar archive: where it comes from, and its files that are read."""

    url: str
    members: tuple

    @property
    def filename(self):
        """The name under which it is kept."""
        return self.url.rpartition("/")[2]


def fetch_archive(archive, *, data_home, download_if_missing, n_retries, delay, checksum):
    """Return the path of an archive below `data_home`, downloaded if it is not there.

    Its SHA-256 is that of `checksum`, or else the one written down beside it when it was
    downloaded.
    """
    if checksum is not None and not (isinstance(checksum, str) and SHA256.fullmatch(checksum)):
        raise ValueError(f"checksum must be a SHA-256 of 64 digits 0-9a-f, got {checksum!r}")
    if n_retries < 0 or delay < 0:
        raise ValueError(
            f"n_retries and delay must be at least 0, got n_retries={n_retries!r}, delay={delay!r}"
        )
    folder = Path(get_data_home(data_home), "skmtl")
    path = folder / archive.filename
    note = Path(f"{path}.sha256")
    expected = checksum or _read_note(note)
    if path.exists():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if expected not in (None, found):
            raise OSError(
                f"{path} has the SHA-256 {found}, expected {expected} ({_origin(checksum, note)}). "
                f"Delete the file to download it again."
            )
        return path
    if not download_if_missing:
        raise OSError(
            f"{path} does not exist, and download_if_missing=False. Put {archive.url} there, or "
            f"pass download_if_missing=True."
        )
    folder.mkdir(exist_ok=True)
    with _replacing(path) as temporary:
        found = _download(archive.url, temporary, path, n_retries, delay)
        if expected not in (None, found):
            raise OSError(
                f"{archive.url} gives a file with the SHA-256 {found}, expected {expected} "
                f"({_origin(checksum, note)}); it was not kept. If it is the one that you want, "
                f"pass checksum={found!r}."
            )
        _check_whole(temporary, archive)
        with _replacing(note) as line:  # in the format of sha256sum
            line.write_text(f"{found}  {path.name}\n")
    return path


@contextmanager
def open_archive(path):
    """Open an archive to read; errors say that it is damaged, and what to do."""
    try:
        with tarfile.open(path, "r:gz") as tar:
            yield tar
    except DAMAGED as error:
        raise OSError(
            f"{path} cannot be read: {error}. Delete the file to download it again."
        ) from error


def read_rows(tar, name, n_columns):
    """Yield the rows of a tab separated file in an archive; the last column may hold tabs.

    Nothing is written to disk, so that the names in the archive cannot lead anywhere.
    """
    with TextIOWrapper(_member(tar, name), encoding="utf-8", newline="\n") as lines:
        for i, line in enumerate(lines, start=1):
            row = line.rstrip("\n").split("\t", n_columns - 1)
            if len(row) != n_columns:
                raise ValueError(
                    f"line {i} of {name} has {len(row)} columns, expected {n_columns}: {line!r:.80}"
                )
            yield row


def _member(tar, name):
    """Open a regular file of an archive."""
    try:
        member = tar.getmember(name)
    except KeyError:
        member = None
    if member is None or not member.isfile():
        raise tarfile.ReadError(f"no file {name!r} in the archive, but {tar.getnames()[:10]}")
    return tar.extractfile(member)


def _check_whole(path, archive):
    """Refuse a download that is damaged, or another file than it should be."""
    try:
        with gzip.open(path) as file:  # to its end, where the check sum of gzip stands
            while file.read(CHUNK):
                pass
        with tarfile.open(path, "r:gz") as tar:
            for name in archive.members:
                _member(tar, name)
    except DAMAGED as error:
        raise OSError(
            f"{archive.url} gives a file that cannot be used, and that was not kept: {error}"
        ) from error


def _download(url, temporary, path, n_retries, delay):
    """Download to a file, with retries; return the SHA-256."""
    for left in range(n_retries, -1, -1):
        try:
            return _stream(url, temporary)
        except PASSING as error:
            if left == 0 or not _may_pass(error):
                raise OSError(
                    f"{url} could not be downloaded: {error}. To do without the network, put the "
                    f"file at {path}."
                ) from error
            warnings.warn(f"{url}: {error}; trying again, {left} left", stacklevel=4)
            time.sleep(delay)


def _stream(url, file):
    """Copy what a server sends to a file, piece by piece; return the SHA-256."""
    digest, n_bytes = hashlib.sha256(), 0
    with urlopen(url, timeout=TIMEOUT) as response, file.open("wb") as out:
        while chunk := response.read(CHUNK):
            out.write(chunk)
            digest.update(chunk)
            n_bytes += len(chunk)
        announced = response.headers.get("Content-Length")
    if announced is not None and n_bytes != int(announced):
        raise ContentTooShortError(f"got {n_bytes} of {announced} bytes", None)
    return digest.hexdigest()


def _may_pass(error):
    """Whether an error may be gone at the next attempt; "not found" will not be."""
    if not isinstance(error, HTTPError):
        return True
    error.close()
    return error.code >= 500 or error.code in (408, 429)


@contextmanager
def _replacing(path):
    """Yield a temporary file beside `path` that takes its place, at once, if all goes well."""
    with NamedTemporaryFile(prefix=f"{path.name}.part_", dir=path.parent, delete=False) as file:
        temporary = Path(file.name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_note(note):
    """SHA-256 that was written down beside an archive; None if there is none."""
    if not note.exists():
        return None
    written = note.read_text().partition(" ")[0]
    if not SHA256.fullmatch(written):
        raise OSError(f"{note} does not start with a SHA-256 of 64 digits 0-9a-f: delete it")
    return written


def _origin(checksum, note):
    """Where the expected SHA-256 is from."""
    return f"written down in {note.name} at its download" if checksum is None else "your checksum"
