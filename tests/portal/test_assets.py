"""Static files: cached for ever, compressed, and nothing but what the build made."""

from typing import Any

import pytest


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
