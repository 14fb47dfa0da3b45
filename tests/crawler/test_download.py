"""Originals from a real local server with faults: whole and checked, or a failure with a kind."""

import errno
import hashlib
import io
import time
import zlib
from dataclasses import replace

import pytest
from PIL import Image

from catalog.files import DiskBroken, DiskFull
from crawler.download import ATTEMPTS, DownloadFailure, ObjectStore, fetch_original
from crawler.limits import CircuitOpen, Limits
from crawler.politeness import PoliteDoor
from filters.picture import refusal
from tests.crawler.servers import answer, drip, hang_up, scripted

LIMITS = Limits(backoff_s=0.001, backoff_429_s=0.001, max_attempts=3, breaker_429=2)


def jpeg(size=(64, 48), mode="RGB"):
    sink = io.BytesIO()
    Image.effect_noise(size, 50).convert(mode).save(sink, "JPEG")
    return sink.getvalue()


PHOTO = jpeg()
SHA1 = hashlib.sha1(PHOTO).hexdigest()
SIZE = len(PHOTO)


def door_to(server, limits=LIMITS):
    return PoliteDoor(
        contact="me@lab.org",
        limits=limits,
        api_hosts=[],
        media_hosts=[server.netloc],
        sleep=lambda seconds: None,
    )


def fetch(
    server,
    store,
    *,
    sha1=SHA1,
    size=SIZE,
    mime="image/jpeg",
    limits=LIMITS,
    url=None,
    check=refusal,
    door=None,
):
    door = door or door_to(server, limits)
    url = url or f"{server.base}/a.jpg"
    return fetch_original(door, store, url=url, sha1=sha1, size_bytes=size, mime=mime, check=check)


def photo(body=PHOTO, kind="image/jpeg", **headers):
    return answer(200, body, Content_Type=kind, **headers)


@pytest.fixture
def store(tmp_path):
    return ObjectStore(tmp_path / "objects")


def left(store):
    return [path for path in store.root.rglob("*") if path.is_file()]


def test_an_original_lands_under_its_sha1_and_is_not_fetched_again(store):
    with scripted(photo()) as server:
        path = fetch(server, store)
        assert fetch(server, store) == path
    assert path == store.root / SHA1[:2] / SHA1[2:4] / SHA1
    assert store.read(SHA1) == PHOTO
    assert store.has(SHA1)
    assert len(server.requests) == 1
    assert left(store) == [path]


CORRUPT = PHOTO[:200] + b"\0" * 100
NOT_AN_IMAGE = b"GIF89a but not really"


@pytest.mark.parametrize(
    ("answers", "given", "kind", "retryable"),
    [
        ([answer(404)], {}, "gone", False),
        ([answer(410)], {}, "gone", False),
        ([answer(400)], {}, "refused", True),
        (
            [photo(b"<html>busy</html>", "text/html; charset=utf-8")],
            {},
            "html_instead_of_image",
            True,
        ),
        ([photo(b'{"error": "busy"}', "application/json")], {}, "html_instead_of_image", True),
        ([photo(jpeg((65, 48)))], {"size": None}, "sha1_mismatch", True),
        ([photo(PHOTO + b"more")], {}, "sha1_mismatch", True),
        ([photo(PHOTO[:300])], {}, "sha1_mismatch", True),
        (
            [photo(CORRUPT)],
            {"sha1": hashlib.sha1(CORRUPT).hexdigest(), "size": len(CORRUPT)},
            "corrupt",
            False,
        ),
        (
            [photo(NOT_AN_IMAGE)],
            {"sha1": hashlib.sha1(NOT_AN_IMAGE).hexdigest(), "size": None},
            "corrupt",
            False,
        ),
        ([answer(503)], {}, "gave_up", True),
    ],
)
def test_each_fault_has_its_kind_and_leaves_nothing_behind(store, answers, given, kind, retryable):
    with scripted(*answers) as server, pytest.raises(DownloadFailure) as caught:
        fetch(server, store, **given)
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert server.base in str(caught.value)
    assert left(store) == []


def test_a_body_that_broke_off_is_asked_for_again(store):
    half = answer(200, PHOTO[:500], Content_Type="image/jpeg", length=str(len(PHOTO)))
    with scripted(half, hang_up, photo()) as server:
        fetch(server, store)
    assert store.read(SHA1) == PHOTO


def test_a_body_that_always_breaks_off_is_asked_for_a_bounded_number_of_times(store):
    def half(handler):
        answer(200, PHOTO[:500], Content_Type="image/jpeg", length=str(len(PHOTO)))(handler)
        handler.close_connection = True

    with scripted(half) as server, pytest.raises(DownloadFailure) as caught:
        fetch(server, store)
    assert caught.value.kind == "truncated"
    assert len(server.requests) == ATTEMPTS
    assert left(store) == []


def test_damaged_bytes_are_asked_for_again(store):
    damaged = bytes([*PHOTO[:100], PHOTO[100] ^ 255, *PHOTO[101:]])
    with scripted(photo(damaged), photo()) as server:
        fetch(server, store)
    assert store.read(SHA1) == PHOTO


def test_one_refused_file_is_its_own_failure_and_several_in_a_row_end_the_run(store):
    # LIMITS open the breaker at two different originals; the same one may be refused for ever.
    with scripted(answer(403)) as server:
        door = door_to(server)
        for _ in range(3):
            with pytest.raises(DownloadFailure) as caught:
                fetch(server, store, door=door)
            assert (caught.value.kind, caught.value.retryable) == ("refused", True)
        with pytest.raises(CircuitOpen, match="2 different originals in a row"):
            fetch(server, store, door=door, url=server.base + "/other.jpg")
    assert left(store) == []


def test_a_fine_answer_between_two_refusals_keeps_the_breaker_closed(store):
    with scripted(answer(403), photo(), answer(403), photo()) as server:
        door = door_to(server)
        for name in ("a", "b"):
            with pytest.raises(DownloadFailure):
                fetch(server, store, door=door, url=f"{server.base}/{name}.jpg")
            fetch(server, store, door=door, url=f"{server.base}/{name}.jpg")
            store.remove(SHA1)


def test_a_host_that_the_recipe_does_not_name_is_not_asked(store):
    with scripted(photo()) as server, pytest.raises(DownloadFailure, match="elsewhere") as caught:
        fetch(server, store, url="https://elsewhere.test/a.jpg")
    assert (caught.value.kind, caught.value.retryable) == ("foreign_url", True)
    assert server.requests == []
    assert left(store) == []


def stalls(handler):
    answer(200, PHOTO[:500], Content_Type="image/jpeg", length=str(SIZE))(handler)
    handler.wfile.flush()
    time.sleep(0.6)


def test_a_body_that_stalls_is_left_for_a_later_run(store):
    limits = replace(LIMITS, read_timeout_s=0.2)
    with scripted(stalls) as server, pytest.raises(DownloadFailure) as caught:
        fetch(server, store, limits=limits)
    assert (caught.value.kind, caught.value.retryable) == ("timeout", True)
    assert len(server.requests) == 1
    assert left(store) == []


def test_a_body_that_drips_past_its_time_is_left_for_a_later_run(store):
    with scripted(drip) as server, pytest.raises(DownloadFailure) as caught:
        fetch(server, store, size=None, limits=replace(LIMITS, media_total_s=1.0))
    assert (caught.value.kind, caught.value.retryable) == ("timeout", True)
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["application/octet-stream", "IMAGE/JPEG; charset=binary", ""])
def test_a_server_that_does_not_know_the_type_is_believed_by_the_sha1(store, kind):
    with scripted(photo(kind=kind)) as server:
        fetch(server, store)
    assert store.read(SHA1) == PHOTO


def test_a_length_header_that_is_no_number_is_no_length(store):
    with scripted(photo_of_length("12x")) as server:
        fetch(server, store, size=None)
    assert store.read(SHA1) == PHOTO


def photo_of_length(length):
    return answer(200, PHOTO, Content_Type="image/jpeg", length=length)


def png_that_claims(width, height):
    """A small PNG whose header promises this many pixels."""
    sink = io.BytesIO()
    Image.new("L", (8, 8)).save(sink, "PNG")
    png = sink.getvalue()
    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + png[24:29]
    return png[:12] + head + zlib.crc32(head).to_bytes(4, "big") + png[33:]


@pytest.mark.parametrize("size", [(60_000, 60_000), (14_000, 14_300)])
def test_an_image_of_absurd_size_is_refused_before_it_is_decoded(store, size, monkeypatch):
    # 3600 million pixels are a bomb to Pillow as well; 200.2 million are over our limit alone once Pillow's is off.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None if size[0] < 60_000 else 89_478_485)
    bomb = png_that_claims(*size)
    sha1 = hashlib.sha1(bomb).hexdigest()
    with scripted(photo(bomb, "image/png")) as server, pytest.raises(DownloadFailure) as caught:
        fetch(server, store, sha1=sha1, size=len(bomb), mime="image/png")
    assert (caught.value.kind, caught.value.retryable) == ("too_large", False)
    assert left(store) == []


BMP = io.BytesIO()
Image.new("RGB", (40, 30)).save(BMP, "BMP")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n(%pipe%touch started) (w) file\nshowpage\n"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


@pytest.mark.parametrize(
    ("body", "named"), [(BMP.getvalue(), "BMP"), (EPS, "PostScript"), (HEIC, "HEIC")]
)
def test_a_file_of_another_type_than_announced_is_named_what_it_is(store, body, named):
    sha1 = hashlib.sha1(body).hexdigest()
    with scripted(photo(body)) as server, pytest.raises(DownloadFailure) as caught:
        fetch(server, store, sha1=sha1, size=len(body))
    assert (caught.value.kind, caught.value.retryable) == ("corrupt", False)
    assert f"Announced as image/jpeg, but it is a {named} file" in str(caught.value)
    assert left(store) == []


def test_an_image_that_memory_cannot_hold_fails_alone_and_may_be_retried(store, monkeypatch):
    def exhausted(self):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", exhausted)
    with scripted(photo()) as server, pytest.raises(DownloadFailure) as caught:
        fetch(server, store)
    assert (caught.value.kind, caught.value.retryable) == ("too_large", True)


def test_a_disk_that_fails_while_checking_is_not_taken_for_a_corrupt_file(store, monkeypatch):
    def failing(path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("pathlib.Path.read_bytes", failing)
    with scripted(photo()) as server, pytest.raises(DiskBroken, match="input/output error"):
        fetch(server, store)
    assert left(store) == []


def test_a_full_disk_is_not_taken_for_a_broken_file(store, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("catalog.disk.os.fsync", full)
    with scripted(photo()) as server, pytest.raises(DiskFull, match="No space left"):
        fetch(server, store)
    assert left(store) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "ABC", "g" * 40, SHA1.upper()])
def test_only_a_sha1_becomes_a_path(store, name):
    with pytest.raises(ValueError, match="not a SHA-1"):
        store.path(name)
