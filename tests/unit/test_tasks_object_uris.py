"""What an object's URI names, and which folder is a file's bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import TaskError
from tasks.storage import LocalStore, StorageSettings, open_object
from tasks.storage.endpoint import LocalEndpoint, OssEndpoint, S3Endpoint
from tasks.storage.uri import ObjectPlace, place_of

HANGZHOU = OssEndpoint("https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou")


def _settings(endpoint: str = "", allow: str = "") -> StorageSettings:
    return StorageSettings.model_validate({"endpoint": endpoint, "allow": allow})


@pytest.mark.parametrize(
    ("uri", "endpoint", "place"),
    [
        ("oss://b/k", "oss://cn-hangzhou", ObjectPlace(HANGZHOU, "b", "k")),
        (" oss://b/a/b c?#%20/ ", "oss://cn-hangzhou", ObjectPlace(HANGZHOU, "b", "a/b c?#%20/")),
        ("s3://b/a//b", "s3://eu-west-1", ObjectPlace(S3Endpoint("eu-west-1"), "b", "a//b")),
        (
            "s3://b/k",
            "s3+http://127.0.0.1:5000",
            ObjectPlace(S3Endpoint("us-east-1", "http://127.0.0.1:5000"), "b", "k"),
        ),
        (
            "https://oss-cn-hangzhou.aliyuncs.com/b/a/k",
            "s3://eu-west-1",
            ObjectPlace(HANGZHOU, "b", "a/k"),
        ),
        (
            "oss+http://127.0.0.1:9000/b/k",
            "",
            ObjectPlace(OssEndpoint("http://127.0.0.1:9000", "cn-hangzhou", True), "b", "k"),
        ),
        (
            "https://s3.eu-west-1.amazonaws.com/b/k",
            "",
            ObjectPlace(S3Endpoint("eu-west-1"), "b", "k"),
        ),
    ],
)
def test_a_uri_names_endpoint_bucket_and_key(uri: str, endpoint: str, place: ObjectPlace) -> None:
    assert place_of(uri, _settings(endpoint)) == place


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("oss://b/k", "PENSTOCK_STORAGE_ENDPOINT"),
        ("s3://b/k", "PENSTOCK_STORAGE_ENDPOINT"),
        ("https://host/b", "a bucket"),
        ("https://host//k", "a bucket"),
        ("oss+https://user:secret@host/b/k", "no user"),
        ("ftp://host/b/k", "ftp://host/b/k"),
        ("a.jpg", "file:///folder/file"),
        ("./a/b.jpg", "file:///folder/file"),
        ("", "file:///folder/file"),
        ("file://host/a/b", "whole path"),
        ("file:a/b", "file:///folder/file"),
        ("/file", "in a folder"),
        ("/", "in a folder"),
        ("/a/../b/c", r"'\.\.'"),
        ("file:///a/%2e%2e/b/c", r"'\.\.'"),
        ("file:///a/b%00c/d", "whole path"),
    ],
)
def test_a_uri_that_names_no_object_is_told_what_is_missing(uri: str, names: str) -> None:
    with pytest.raises(TaskError, match=names) as caught:
        place_of(uri, _settings())
    assert caught.value.code == "FC.InvalidArgument"
    assert "\n" not in caught.value.cause


def test_an_endpoint_of_another_maker_does_not_serve_a_short_uri() -> None:
    with pytest.raises(TaskError, match="none of S3"):
        place_of("s3://b/k", _settings("oss://cn-hangzhou"))


def test_the_bucket_of_a_file_is_the_first_folder_inside_of_an_allowed_one(tmp_path: Path) -> None:
    uri = f"{tmp_path.as_uri()}/photos/2026/a%20b.jpg"
    for settings in (_settings(allow=str(tmp_path)), _settings(endpoint=tmp_path.as_uri())):
        place = place_of(uri, settings)
        assert place == ObjectPlace(LocalEndpoint(tmp_path), "photos", "2026/a b.jpg")
    deeper = place_of(uri, _settings(str(tmp_path / "photos"), str(tmp_path)))
    assert (deeper.bucket, deeper.key) == ("2026", "a b.jpg")
    assert place_of(uri, _settings()).bucket == "2026"


def test_a_file_in_an_allowed_folder_has_that_folder_as_its_bucket(tmp_path: Path) -> None:
    place = place_of(f"{tmp_path}/a.jpg", _settings(allow=str(tmp_path)))
    assert place == ObjectPlace(LocalEndpoint(tmp_path.parent), tmp_path.name, "a.jpg")


def test_a_folder_that_has_been_a_bucket_stays_one(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create_bucket("photos")
    store.put("photos", "2026/a.jpg", b"x", "Archive")
    settings = _settings(allow=str(tmp_path / "photos"))
    stream = open_object(f"{tmp_path}/photos/2026/a.jpg", settings)
    assert (stream.bucket.name, stream.key) == ("photos", "2026/a.jpg")
    # So a frozen object is frozen by whatever name it is read.
    with pytest.raises(TaskError, match="frozen"):
        list(stream.read())


def test_no_path_leads_out_of_what_is_allowed(tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    for folder in (allowed / "bucket", other):
        folder.mkdir(parents=True)
    (other / "secret").write_bytes(b"secret")
    (allowed / "link").symlink_to(other)
    (allowed / "bucket" / "file").symlink_to(other / "secret")
    settings = _settings(allow=str(allowed))
    for path in (other / "secret", allowed / "link" / "secret"):
        with pytest.raises(TaskError) as caught:
            open_object(str(path), settings)
        assert caught.value.code == "AccessDenied"
    with pytest.raises(TaskError, match="out of its bucket"):
        list(open_object(str(allowed / "bucket" / "file"), settings).read())
    with pytest.raises(TaskError):
        list(open_object(str(allowed / "bucket" / ".penstock" / "lock"), settings).read())


def test_a_file_that_grows_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / "log"
    path.write_bytes(b"x" * 10)
    reading = open_object(str(path), _settings(allow=str(tmp_path))).read(4)
    assert next(reading) == b"xxxx"
    with path.open("ab") as file:
        file.write(b"y")
    with pytest.raises(TaskError) as caught:
        list(reading)
    assert caught.value.code == "ObjectChanged"


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create_bucket("b")
    store.put("b", "a", b"x" * 10)
    reading = store.read_chunks("b", "a", 4)
    assert next(reading) == b"xxxx"
    store.put("b", "a", b"y" * 10)
    assert b"".join(reading) == b"x" * 6


def test_a_write_that_fails_leaves_the_old_object_and_nothing_else(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create_bucket("b")
    store.put("b", "a", b"old")
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(TaskError):
        store.put_file("b", "a", tmp_path / "not-there")
    assert store.read("b", "a") == b"old"
    assert sorted(path for path in tmp_path.rglob("*")) == before
