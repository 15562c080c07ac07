"""Archives from the net: retries, checksums, damage, and what is left on disk."""

import gzip
import hashlib
import socket
import tarfile

import pytest
from archives import Response, archive, serve

from skmtl.datasets.remote import Archive, fetch_archive, open_archive, read_rows

NAME = "folder/table.txt"
WHOLE = archive({"folder/README": "read me", NAME: "1\ta\n2\tb\n"})
OTHER = archive({NAME: "3\tc\n"})


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def fetch(address, home, **options):
    options = {"download_if_missing": True, "n_retries": 0, "delay": 0, "checksum": None} | options
    return fetch_archive(Archive(f"{address}/some/set.tar.gz", (NAME,)), data_home=home, **options)


def files(home):
    """Names and contents of what lies in the folder of skmtl."""
    return {path.name: path.read_bytes() for path in (home / "skmtl").glob("*")}


KEPT = {"set.tar.gz": WHOLE, "set.tar.gz.sha256": f"{sha256(WHOLE)}  set.tar.gz\n".encode()}


def test_downloaded_once(tmp_path):
    with serve(Response(WHOLE)) as (address, asked):
        path = fetch(address, tmp_path)
        assert fetch(address, tmp_path) == path == tmp_path / "skmtl" / "set.tar.gz"
        assert asked == ["/some/set.tar.gz"]
    assert fetch(address, tmp_path) == path  # the server is gone
    assert fetch(address, tmp_path, download_if_missing=False) == path
    assert files(tmp_path) == KEPT


def test_data_home_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    with serve(Response(WHOLE)) as (address, _):
        assert fetch(address, None) == tmp_path / "skmtl" / "set.tar.gz"


# --- retries -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "passing, message",
    [
        (Response(status=500), "Internal Server Error"),
        (Response(status=503), "Service Unavailable"),
        (Response(status=429), "Too Many Requests"),
        (Response(WHOLE[:-20], n_bytes=len(WHOLE)), "bytes"),
    ],
)
def test_what_may_pass_is_tried_again(tmp_path, passing, message):
    with serve(passing, passing, Response(WHOLE)) as (address, asked):
        with pytest.warns(UserWarning, match=message) as warned:
            fetch(address, tmp_path, n_retries=2)
        assert len(asked) == 3
    assert [str(w.message).rpartition("; ")[2] for w in warned] == [
        "trying again, 2 left",
        "trying again, 1 left",
    ]
    assert files(tmp_path) == KEPT


def test_retries_end(tmp_path):
    broken = Response(WHOLE[:100], n_bytes=len(WHOLE))
    with serve(*[broken] * 3) as (address, asked):
        message = rf"{address}/some/set.tar.gz could not be downloaded: .*{len(WHOLE)} bytes"
        with pytest.warns(match="left"), pytest.raises(OSError, match=message) as raised:
            fetch(address, tmp_path, n_retries=2)
        assert len(asked) == 3
    assert str(raised.value).endswith(f"put the file at {tmp_path / 'skmtl' / 'set.tar.gz'}.")
    assert files(tmp_path) == {}


@pytest.mark.parametrize("status", [403, 404])
def test_what_is_not_there_is_not_tried_again(tmp_path, status):
    with serve(Response(status=status)) as (address, asked):
        with pytest.raises(OSError, match=f"could not be downloaded: HTTP Error {status}"):
            fetch(address, tmp_path, n_retries=5)
        assert len(asked) == 1
    assert files(tmp_path) == {}


def test_no_network(tmp_path):
    with socket.socket() as taken:  # bound, not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match="could not be downloaded.*without the network, put the"):
            fetch(address, tmp_path)


def test_delay_is_slept_between_attempts(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr("skmtl.datasets.remote.time.sleep", slept.append)
    with serve(Response(status=500), Response(WHOLE)) as (address, _), pytest.warns(match="3 left"):
        fetch(address, tmp_path, n_retries=3, delay=2.5)
    assert slept == [2.5]


def test_a_server_that_is_silent_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("skmtl.datasets.remote.TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and says nothing
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(OSError, match="could not be downloaded: .*timed out"):
            fetch(address, tmp_path)


# --- not there ---------------------------------------------------------------------------------


def test_missing_and_not_to_be_downloaded(tmp_path):
    with serve() as (address, asked):
        with pytest.raises(OSError, match="does not exist, and download_if_missing=False"):
            fetch(address, tmp_path, download_if_missing=False)
        assert asked == []


def test_an_archive_put_there_by_hand(tmp_path):
    (tmp_path / "skmtl").mkdir()
    (tmp_path / "skmtl" / "set.tar.gz").write_bytes(WHOLE)
    with serve() as (address, asked):
        fetch(address, tmp_path)
        fetch(address, tmp_path, checksum=sha256(WHOLE))
        assert asked == []
    assert files(tmp_path) == {"set.tar.gz": WHOLE}


# --- checksums ---------------------------------------------------------------------------------


def test_a_checksum_of_the_caller(tmp_path):
    with serve(Response(WHOLE), Response(WHOLE)) as (address, _):
        message = (
            f"gives a file with the SHA-256 {sha256(WHOLE)}, expected {sha256(OTHER)} "
            rf"\(your checksum\); it was not kept.*pass checksum='{sha256(WHOLE)}'"
        )
        with pytest.raises(OSError, match=message):
            fetch(address, tmp_path, checksum=sha256(OTHER))
        assert files(tmp_path) == {}
        fetch(address, tmp_path, checksum=sha256(WHOLE))
    assert files(tmp_path) == KEPT
    with pytest.raises(OSError, match=f"has the SHA-256 {sha256(WHOLE)}, expected {sha256(OTHER)}"):
        fetch(address, tmp_path, checksum=sha256(OTHER))
    assert files(tmp_path) == KEPT


def test_a_file_that_changed_on_disk(tmp_path):
    with serve(Response(WHOLE), Response(WHOLE)) as (address, _):
        path = fetch(address, tmp_path)
        path.write_bytes(OTHER)
        message = (
            f"{path} has the SHA-256 {sha256(OTHER)}, expected {sha256(WHOLE)} "
            r"\(written down in set.tar.gz.sha256 at its download\). Delete the file"
        )
        with pytest.raises(OSError, match=message):
            fetch(address, tmp_path)
        path.unlink()  # as the message says
        fetch(address, tmp_path)
    assert files(tmp_path) == KEPT


def test_a_file_that_changed_on_the_server(tmp_path):
    with serve(Response(WHOLE), Response(OTHER), Response(OTHER)) as (address, _):
        fetch(address, tmp_path).unlink()
        with pytest.raises(OSError, match="at its download.*it was not kept. If it is the one"):
            fetch(address, tmp_path)
        assert files(tmp_path) == {"set.tar.gz.sha256": KEPT["set.tar.gz.sha256"]}
        fetch(address, tmp_path, checksum=sha256(OTHER))  # as the message says
    fetch(address, tmp_path)
    assert files(tmp_path)["set.tar.gz.sha256"].startswith(sha256(OTHER).encode())


def test_a_note_that_holds_no_checksum(tmp_path):
    (tmp_path / "skmtl").mkdir()
    (tmp_path / "skmtl" / "set.tar.gz.sha256").write_text("")
    with pytest.raises(OSError, match="set.tar.gz.sha256 does not start with a SHA-256"):
        fetch("http://127.0.0.1", tmp_path)


@pytest.mark.parametrize("checksum", ["", "abc", sha256(b"").upper(), 7])
def test_what_is_no_checksum(tmp_path, checksum):
    with pytest.raises(ValueError, match=r"checksum must be a SHA-256 of 64 digits 0-9a-f, got"):
        fetch("http://127.0.0.1", tmp_path, checksum=checksum)


@pytest.mark.parametrize("options", [{"n_retries": -1}, {"delay": -0.5}])
def test_options_out_of_range(tmp_path, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"at least 0.*{name}={options[name]}"):
        fetch("http://127.0.0.1", tmp_path, **options)


# --- damage ------------------------------------------------------------------------------------


def link():
    """A member with the right name that points out of the archive."""
    info = tarfile.TarInfo(NAME)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


DAMAGED = {
    "truncated": WHOLE[: len(WHOLE) // 2],
    "without its end": WHOLE[:-4],
    "a flipped bit": WHOLE[:-6] + bytes([WHOLE[-6] ^ 1]) + WHOLE[-5:],
    "a page": b"<html>moved</html>",
    "empty": b"",
    "not gzipped": archive({NAME: "1\ta\n"}, mode="w"),
    "gzipped, no tar": gzip.compress(b"hello" * 1000),
    "without the file": archive({"folder/README": "read me"}),
    "a link": archive({NAME: link()}),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_download_is_not_kept(tmp_path, content):
    with serve(Response(content), Response(WHOLE)) as (address, _):
        with pytest.raises(OSError, match="set.tar.gz gives a file that cannot be used, and that"):
            fetch(address, tmp_path)
        assert files(tmp_path) == {}
        fetch(address, tmp_path)


READ = ["truncated", "a page", "empty", "not gzipped", "without the file", "a link"]


@pytest.mark.parametrize("content", [DAMAGED[what] for what in READ], ids=READ)
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "set.tar.gz"
    path.write_bytes(content)
    with (
        pytest.raises(OSError, match="set.tar.gz cannot be read: .*. Delete the file to download"),
        open_archive(path) as tar,
    ):
        list(read_rows(tar, NAME, 2))


# --- rows --------------------------------------------------------------------------------------


def rows(tmp_path, text, n_columns=3):
    path = tmp_path / "set.tar.gz"
    path.write_bytes(archive({NAME: text}))
    with open_archive(path) as tar:
        return list(read_rows(tar, NAME, n_columns))


def test_lines_end_at_line_feeds_alone(tmp_path):
    strange = "a\x0b\x0c\x1c\x85\u2028\r b"
    assert rows(tmp_path, f"1\t\t{strange}\n2\té\ttab\tin it\n") == [
        ["1", "", strange],
        ["2", "é", "tab\tin it"],
    ]


def test_a_line_with_too_few_columns(tmp_path):
    with pytest.raises(ValueError, match=f"line 2 of {NAME} has 2 columns, expected 3: '2"):
        rows(tmp_path, "1\ta\tb\n2\tb\n")


def test_names_that_lead_out_of_the_folder_are_not_followed(tmp_path):
    home = tmp_path / "a" / "b"
    content = archive({"../../outside": "x", "/tmp/outside": "x", NAME: "1\ta\n"})
    with serve(Response(content)) as (address, _):
        path = fetch(address, home)
    with open_archive(path) as tar:
        assert list(read_rows(tar, NAME, 2)) == [["1", "a"]]
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "set.tar.gz",
        "set.tar.gz.sha256",
    ]
