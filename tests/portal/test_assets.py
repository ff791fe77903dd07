"""Static files: cached for ever, compressed, and nothing but what the build made."""

from pathlib import Path
from typing import Any

import pytest

from koinon.base.errors import Unavailable
from koinon.portal import Portal, assets


def test_a_page_names_its_files_by_their_content(site: Any) -> None:
    address = site.portal.assets.address("main.css")
    assert address in site.get("/letters").text
    answer = site.get(address, accept_encoding="identity")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "content-encoding" not in answer.headers
    assert "--iris" in answer.text


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_file_comes_compressed_to_who_takes_it(site: Any, encoding: str) -> None:
    address = site.portal.assets.address("main.js")
    plain = site.get(address, accept_encoding="identity")
    with site.client.stream("GET", address, headers={"accept-encoding": encoding}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == encoding
    assert answer.headers["content-type"] == plain.headers["content-type"]
    assert answer.headers["vary"] == "Accept-Encoding"
    assert len(body) < len(plain.content) / 2


def test_a_portal_that_was_not_built_says_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "files", lambda package: tmp_path)
    with pytest.raises(Unavailable) as raised:
        Portal()
    assert raised.value.code == "assets_missing"
    assert raised.value.facts == {"run": "python -m koinon.portal.build"}


@pytest.mark.parametrize(
    "path",
    [
        "/static/main.js",
        "/static/manifest.json",
        "/static/.inputs",
        "/static/..%2f__init__.py",
        "/static/%2e%2e/__init__.py",
        "/static/../__init__.py",
        "/static/",
    ],
)
def test_no_other_file_can_be_had(site: Any, path: str) -> None:
    assert site.get(path).status_code in (404, 405)
