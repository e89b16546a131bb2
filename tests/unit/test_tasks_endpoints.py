"""What an endpoint's text names, and what the settings let a flow use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tasks.errors import TaskError
from tasks.storage import LocalStore, StorageSettings, open_bucket
from tasks.storage.allow_list import check_allowed
from tasks.storage.endpoint import LocalEndpoint, OssEndpoint, S3Endpoint, parse_endpoint

HANGZHOU = OssEndpoint("https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou")


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("oss://cn-hangzhou", HANGZHOU),
        ("https://oss-cn-hangzhou.aliyuncs.com", HANGZHOU),
        ("oss-cn-hangzhou.aliyuncs.com", HANGZHOU),
        ("oss://oss-cn-hangzhou.aliyuncs.com", HANGZHOU),
        ("https://oss-cn-hangzhou.aliyuncs.com/", HANGZHOU),
        (
            "http://oss-cn-beijing-internal.aliyuncs.com",
            OssEndpoint("http://oss-cn-beijing-internal.aliyuncs.com", "cn-beijing"),
        ),
        (
            "https://files.example.org?region=cn-beijing",
            OssEndpoint("https://files.example.org", "cn-beijing"),
        ),
        (
            "oss+http://127.0.0.1:9000",
            OssEndpoint("http://127.0.0.1:9000", "cn-hangzhou", path_style=True),
        ),
        (
            "http://localhost:9000",
            OssEndpoint("http://localhost:9000", "cn-hangzhou", path_style=True),
        ),
        ("s3://eu-west-1", S3Endpoint("eu-west-1")),
        ("https://s3.eu-west-1.amazonaws.com", S3Endpoint("eu-west-1")),
        ("s3.amazonaws.com", S3Endpoint("us-east-1")),
        ("s3+http://127.0.0.1:5000", S3Endpoint("us-east-1", "http://127.0.0.1:5000")),
        (
            "s3+https://minio.example.org?region=eu-west-1",
            S3Endpoint("eu-west-1", "https://minio.example.org"),
        ),
    ],
)
def test_an_endpoint_names_a_store(text: str, endpoint: object) -> None:
    assert parse_endpoint(text) == endpoint


def test_a_local_folder_is_named_by_url_or_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    for text in (folder.as_uri(), str(folder), "./a b", f"{folder}/../a b"):
        assert parse_endpoint(text) == LocalEndpoint(folder)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://host",
        "gs+http://host",
        "https://user:secret@host",
        "https://",
        "file://host/path",
        "http://host:port",
        "s3://eu west",
        "https://h?region=A B",
    ],
)
def test_what_names_no_store_is_an_invalid_argument(text: str) -> None:
    with pytest.raises(TaskError) as caught:
        parse_endpoint(text)
    assert caught.value.code == "FC.InvalidArgument"
    assert "\n" not in caught.value.cause


def _allowed(allow: str, endpoint: str, bucket: str) -> bool:
    settings = StorageSettings.model_validate({"allow": allow})
    try:
        check_allowed(settings.allow, parse_endpoint(endpoint), bucket)
    except TaskError as error:
        assert error.code == "AccessDenied"
        assert "PENSTOCK_STORAGE_ALLOW" in error.cause
        return False
    return True


@pytest.mark.parametrize(
    ("allow", "bucket", "allowed"),
    [
        ("", "photos", False),
        ("oss://cn-hangzhou", "photos", True),
        ("oss://cn-hangzhou/photos", "photos", True),
        ("oss-cn-hangzhou.aliyuncs.com/photos", "photos", True),
        ("oss://cn-hangzhou/photos", "photos2", False),
        ("oss://cn-hangzhou/logs-*, s3://eu-west-1 oss://cn-hangzhou/pho*", "photos", True),
        ("oss://cn-beijing", "photos", False),
        ("s3://cn-hangzhou", "photos", False),
        ("http://oss-cn-hangzhou.aliyuncs.com", "photos", False),
    ],
)
def test_the_allow_list_pairs_endpoints_with_buckets(
    allow: str, bucket: str, allowed: bool
) -> None:
    assert _allowed(allow, "oss://cn-hangzhou", bucket) is allowed


def test_a_local_root_allows_what_is_in_it_and_nothing_else(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    (root / "inner" / "bucket").mkdir(parents=True)
    (other / "bucket").mkdir(parents=True)
    (root / "link").symlink_to(other / "bucket")
    allow = root.as_uri()
    assert _allowed(allow, str(root), "bucket")
    assert _allowed(allow, str(root / "inner"), "bucket")
    assert _allowed(allow, str(tmp_path), "root")
    assert not _allowed(allow, str(other), "bucket")
    assert not _allowed(allow, f"{root}/../other", "bucket")
    assert not _allowed(allow, str(root), "link")
    assert not _allowed("oss://cn-hangzhou", str(root), "bucket")


@pytest.mark.parametrize("bucket", ["..", ".", "a/b", "", "a b", "-", "x" * 64])
def test_a_text_that_is_no_bucket_name_is_refused(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(TaskError) as caught:
        check_allowed((tmp_path.as_uri(),), LocalEndpoint(tmp_path), bucket)
    assert caught.value.code == "FC.InvalidArgument"


def test_an_entry_that_cannot_be_read_is_told_by_the_name_of_the_setting() -> None:
    with pytest.raises(TaskError, match=r"PENSTOCK_STORAGE_ALLOW: .*'ftp://x'") as caught:
        check_allowed(("ftp://x",), HANGZHOU, "photos")
    assert caught.value.code == "InvalidSettings"


def test_the_refusal_tells_an_entry_that_would_help() -> None:
    for text in ("oss://cn-hangzhou", "s3://eu-west-1", "s3+http://127.0.0.1:5000"):
        with pytest.raises(TaskError) as caught:
            check_allowed((), parse_endpoint(text), "photos")
        check_allowed((caught.value.cause.split()[-1],), parse_endpoint(text), "photos")


def test_nothing_is_allowed_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_STORAGE_ALLOW", raising=False)
    with pytest.raises(TaskError) as caught:
        open_bucket(tmp_path.as_uri(), "bucket")
    assert caught.value.code == "AccessDenied"


def test_an_empty_endpoint_and_bucket_stand_for_the_settings_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_STORAGE_ENDPOINT", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_STORAGE_BUCKET", "mine")
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", tmp_path.as_uri())
    opened = open_bucket("", "")
    assert opened.name == "mine"
    assert isinstance(opened.store, LocalStore)
    assert open_bucket("", "other").store is opened.store


@pytest.mark.parametrize(
    ("variables", "code", "names"),
    [
        ({}, "FC.InvalidArgument", "PENSTOCK_STORAGE_BUCKET"),
        ({"BUCKET": "b"}, "AccessDenied", "PENSTOCK_STORAGE_ENDPOINT"),
        ({"RESTORE_DAYS": "many"}, "InvalidSettings", "PENSTOCK_STORAGE_RESTORE_DAYS"),
    ],
)
def test_settings_that_are_missing_or_wrong_are_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], code: str, names: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"PENSTOCK_STORAGE_{name}", value)
    with pytest.raises(TaskError, match=names) as caught:
        open_bucket("", "")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("endpoint", "module", "extra"),
    [
        ("oss+http://127.0.0.1:1", "alibabacloud_oss_v2", "oss"),
        ("s3+http://127.0.0.1:1", "boto3", "s3"),
    ],
)
def test_an_sdk_that_is_not_installed_is_told_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, module: str, extra: str
) -> None:
    # An entry of None is Python's own way of saying that a module is not there.
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", endpoint)
    with pytest.raises(TaskError, match=rf"penstock\[{extra}\]") as caught:
        open_bucket(endpoint, "photos")
    assert caught.value.code == "MissingExtra"
