"""The gateway serves its own OpenAPI document."""

import json
from pathlib import Path

import pytest
import yaml

from gateway.errors import SettingsError
from handlers.operations import openapi_document
from handlers.operations.openapi_document import OpenAPIDocument
from tests.gateway import NO_TOKEN, Gateway

OPENAPI_YAML = Path(__file__).parents[2] / "openapi.yaml"
PATHS = ["/openapi.yaml", "/openapi.json"]


async def test_both_formats_have_the_same_content_as_the_file(gateway: Gateway) -> None:
    as_yaml = await gateway.get("/openapi.yaml", token=NO_TOKEN)
    as_json = await gateway.get("/openapi.json", token=NO_TOKEN)
    assert as_yaml.headers["Content-Type"] == "application/yaml"
    assert as_json.headers["Content-Type"] == "application/json"
    assert as_yaml.body == OPENAPI_YAML.read_bytes()
    assert json.loads(as_json.body) == yaml.safe_load(as_yaml.body)
    assert as_yaml.headers["ETag"] != as_json.headers["ETag"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_cached_document_is_not_sent_again(gateway: Gateway, path: str) -> None:
    first = await gateway.get(path, token=NO_TOKEN)
    etag = first.headers["ETag"]
    for condition in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await gateway.get(path, token=NO_TOKEN, headers={"If-None-Match": condition})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    changed = await gateway.get(path, token=NO_TOKEN, headers={"If-None-Match": '"other"'})
    assert (changed.status, changed.body) == (200, first.body)


@pytest.mark.parametrize("path", PATHS)
async def test_the_etag_is_the_same_after_a_restart(gateway: Gateway, path: str) -> None:
    etag = (await gateway.get(path, token=NO_TOKEN)).headers["ETag"]
    await gateway.restart()
    assert (await gateway.get(path, token=NO_TOKEN)).headers["ETag"] == etag


async def test_the_file_is_read_once(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(openapi_document, "PATH", tmp_path / "missing.yaml")
    for path in PATHS * 2:
        assert (await gateway.get(path, token=NO_TOKEN)).status == 200


def test_the_packaged_file_is_the_file_at_the_top() -> None:
    assert openapi_document.PATH.read_bytes() == OPENAPI_YAML.read_bytes()


def test_a_missing_file_is_a_settings_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi_document, "PATH", tmp_path / "openapi.yaml")
    with pytest.raises(SettingsError, match=r"cannot read .*openapi\.yaml .*: install the gateway again"):
        OpenAPIDocument.load()
