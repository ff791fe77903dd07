"""A person's conversation with a platform about exports and asks, over HTTP: for the command line."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from koinon.base.errors import Invalid, KoinonError, NotIdentified, Unavailable
from koinon.base.late import late
from koinon.video.exports.verifying import read_keys, verify_package

if TYPE_CHECKING:
    import httpx
else:
    httpx = late("httpx")

ENDED: Final = frozenset({"ready", "done", "stopped", "failed", "deleted"})
_COOKIE: Final = "koinon_session"
_POLL_SECONDS: Final = 1.0
_TRIES: Final = 5
"""How often in a row a download may break without a byte that is new."""
_TOKEN: Final = re.compile(r'name="csrf-token" content="([^"]*)"')


class Refused(KoinonError):
    """The platform refused; `facts` is what its problem document says beside the code."""

    exit_code = 77
    title = "Refused"


class _Draft:
    """A package of which a part is there, and the entity tag of the whole."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.tag = ""


class PersonClient:
    """The platform, for somebody who is signed in; close it when done."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60, follow_redirects=True)
        self._http.headers["sec-fetch-site"] = "same-origin"

    def close(self) -> None:
        """No connection is open any more."""
        self._http.close()

    def sign_in(self, login: str, password: str) -> None:
        """Acts as the holder of a local account (embedded mode) that has one profile.

        Raises:
            NotIdentified: `sign_in_refused`.
        """
        answer = self._send("POST", "/sign-in/local", data={"login": login, "password": password})
        if _COOKIE not in self._http.cookies or answer.status_code >= 400:
            raise NotIdentified("sign_in_refused", login=login)
        self._take_token()

    def use_session(self, token: str) -> None:
        """Acts in a session that was opened in a browser: the value of its cookie `koinon_session`.

        Raises:
            NotIdentified: `not_signed_in`.
        """
        self._http.cookies.set(_COOKIE, token)
        self._take_token()

    def find_cameras(self, named: Sequence[str]) -> list[dict[str, Any]]:
        """The cameras of these codes or ids, in that order.

        Raises:
            Invalid: `camera_unknown`, with the name.
        """
        known = self.get("/api/video/cameras")["cameras"]
        by_name = {each[name]: each for each in known for name in ("code", "id")}
        for each in named:
            if each not in by_name:
                raise Invalid("camera_unknown", camera=each)
        return [by_name[each] for each in named]

    def confirm(self, request: dict[str, Any], waits: Callable[[str], None]) -> str:
        """The word of a second person for exactly this request, asked and waited for; its id.

        Raises:
            Refused: `second_person_declined`, `confirmation_expired`.
        """
        told = self.post("/api/video/confirmations", request)
        waits(told["expires_at"])
        while told["state"] == "waiting":
            time.sleep(_POLL_SECONDS)
            told = self.get(f"/api/video/confirmations/{told['confirmation']}")
        if told["state"] != "confirmed":
            raise Refused("second_person_declined" if told["state"] == "declined" else "confirmation_expired")
        return str(told["confirmation"])

    def follow(self, id_: str, what: str = "exports") -> Iterator[dict[str, Any]]:
        """How it stands with one of these, again and again, until it has ended."""
        while True:
            told = self.get(f"/api/video/{what}/{id_}")
            yield told
            if told["state"] in ENDED:
                return
            time.sleep(_POLL_SECONDS)

    def save(self, export: str, path: Path, progress: Callable[[int], None]) -> None:
        """The whole package is in the file; `progress` is told how many bytes are there.

        What breaks is taken up where it broke, and all of it is held against its manifest at the end. A part is never
        left under that name.

        Raises:
            Refused: it may not be fetched, or not any more.
            Unavailable: `export_cut`: it broke again and again before anything more came.
            Invalid: `package_differs`, with what does not agree: see `koinon video verify-export`.
        """
        part = path.with_name(f".{path.name}.part")
        tries = 0
        try:
            with part.open("wb") as file:
                draft = _Draft(file)
                while True:
                    before = file.tell()
                    try:
                        self._fetch(export, draft, progress)
                        break
                    except (httpx.HTTPError, Unavailable) as error:
                        tries = 1 if file.tell() > before else tries + 1
                        if tries > _TRIES:
                            why = type(error).__name__
                            raise Unavailable("export_cut", bytes=file.tell(), why=why) from None
                        time.sleep(_POLL_SECONDS * (tries - 1))
            keys = read_keys(self._send("GET", "/api/keys").content)
            found = verify_package(part, keys)
            if not found.ok:
                raise Invalid("package_differs", findings=sorted({each.code for each in found.findings}))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _fetch(self, export: str, draft: _Draft, progress: Callable[[int], None]) -> None:
        """What is missing in the draft is there. Each time under a new token."""
        ticket = self.post(f"/api/video/exports/{export}/token", {})
        file = draft.file
        done = file.tell()
        headers = {"Range": f"bytes={done}-", "If-Range": draft.tag} if done and draft.tag else {}
        with self._http.stream("GET", ticket["package"], headers=headers) as answer:
            if answer.status_code >= 400:
                answer.read()
                _raise(answer)
            if (
                answer.status_code != 206
            ):  # all of it, also where it is not the package of which a part is there
                file.seek(0)
                file.truncate()
            draft.tag = answer.headers.get("etag", "")
            for piece in answer.iter_bytes(1 << 16):
                file.write(piece)
                progress(file.tell())

    def get(self, path: str) -> dict[str, Any]:
        """The answer. Raises `Refused`."""
        return self._json(self._send("GET", path))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises `Refused`."""
        return self._json(self._send("POST", path, json=body))

    def delete(self, path: str) -> None:
        """Done. Raises `Refused`."""
        answer = self._send("DELETE", path)
        if answer.status_code >= 400:
            _raise(answer)

    def _take_token(self) -> None:
        answer = self._http.get("/me", headers={"Accept": "text/html"})
        found = _TOKEN.search(answer.text)
        if answer.status_code >= 400 or found is None or not found[1]:
            raise NotIdentified("not_signed_in")
        self._http.headers["X-CSRF-Token"] = unescape(found[1])

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Unavailable("platform_unavailable", why=type(error).__name__) from None

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code >= 400:
            _raise(answer)
        told: dict[str, Any] = answer.json()
        return told


def _raise(answer: httpx.Response) -> None:
    try:
        problem = answer.json()
        # The command has words of its own for the code, in its own language: of the session's the facts are enough.
        code, facts = str(problem["code"]), dict(problem.get("facts") or {})
    except (ValueError, KeyError, TypeError):
        code, facts = "platform_unavailable", {}
    raise Refused(code, **facts)
