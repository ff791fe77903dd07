"""A subscriber and a keeper as a participant may write them, with one way at a time in which they are wrong.

They stand on signatures alone, not on the project's client. As a program: `python participants.py KIND BEND ...`; since
the cases start one some hundred times, `InProcess` runs it without a process.
"""

import contextlib
import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from koinon.base.crypto import SigningKey, VerifyKey
from koinon.base.http_signatures import parse_request, parse_response, sign_request, sign_response
from koinon.integrator.conform.command import Command, Ran, Started

Tell = Callable[[str], None]
EVERY_TIME = b"0123456789abcdef"


class Refused(Exception):
    """The platform said no."""


class Caller:
    """Signed calls, and the answers that are believed."""

    def __init__(self, bend: str, url: str, key: str) -> None:
        self.bend, self.url = bend, url
        self.key = SigningKey.from_pem(Path(key).read_bytes())
        jwks = json.loads(urllib.request.urlopen(url + "/api/keys").read())["keys"]
        self.keys = {each.key_id: each for each in (VerifyKey.from_jwk(jwk) for jwk in jwks)}

    def call(self, method: str, path: str, document: Any = None) -> Any:
        body = b"" if document is None else json.dumps(document).encode()
        signed = sign_request(
            self.key, method, self.url[7:], path.encode(), b"", body, datetime.now(UTC),
            nonce=EVERY_TIME if self.bend == "same_nonce" else None,
        )  # fmt: skip
        headers = {name.decode(): value.decode() for name, value in signed.headers}
        request = urllib.request.Request(self.url + path, body or None, headers, method=method)
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            raise Refused(json.loads(error.read())["code"]) from None
        content = answer.read()
        if self.bend != "credulous":
            said = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
            parsed = parse_response(said, answer.status, content, signed.signature)
            parsed.verify(self.keys[parsed.key_id])
        return json.loads(content)


class Effects:
    """What took effect, and up to which number, kept in the state folder."""

    def __init__(self, tell: Tell, bend: str, state: str) -> None:
        self.tell, self.bend, self.file = tell, bend, Path(state) / "until"
        self.until = int(self.file.read_text()) if self.file.exists() and bend != "forgets" else 0

    def take(self, item: dict[str, Any]) -> bool:
        """Whether it is new; raises when it does not follow."""
        number = item["number"]
        if number <= self.until and self.bend != "doubles":
            return False
        if number != self.until + 1 and self.bend not in ("blind_to_gaps", "doubles"):
            raise ValueError(f"{number} does not follow {self.until}")
        return True

    def done(self, item: dict[str, Any]) -> None:
        if item["kind"] != "withdrawn" or self.bend == "heeds_withdrawn":
            self.tell(json.dumps({"number": item["number"]}))
        self.until = max(self.until, item["number"])
        self.file.write_text(str(self.until))


def subscriber(tell: Tell, bend: str, url: str, key: str, subscription: str, state: str) -> int:
    caller, effects = Caller(bend, url, key), Effects(tell, bend, state)
    base = f"/api/mutations/subscriptions/{subscription}"
    if bend == "asks_where":  # trusts the platform to remember, and keeps nothing itself
        effects.until = caller.call("GET", base)["acknowledged"]
    skipped = False
    while True:
        read_after = effects.until
        delivery = caller.call("GET", f"{base}/after/{read_after}")
        if delivery["subscription"] != subscription and bend not in ("credulous", "any_subscription"):
            raise ValueError("of another subscription")
        if not delivery["items"]:
            break
        if bend == "acknowledges_first":
            acknowledge(tell, caller, base, delivery["until"])
        for item in delivery["items"]:
            if effects.take(item):
                if bend == "loses_one" and item["number"] == 2 and not skipped:
                    skipped = True
                    effects.until = 2
                    continue
                fetch(tell, caller, bend, item)
                effects.done(item)
        if bend == "acknowledges_ahead":
            acknowledge(tell, caller, base, delivery["last"] + 1)
        elif bend not in ("acknowledges_first", "never_acknowledges"):
            acknowledge(tell, caller, base, effects.until)
        if effects.until == read_after:
            break
    if bend == "never_acknowledges":
        return 0
    if caller.call("GET", base)["acknowledged"] < effects.until:
        acknowledge(tell, caller, base, effects.until)
    return 0


def acknowledge(tell: Tell, caller: Caller, base: str, until: int) -> None:
    try:
        caller.call("POST", f"{base}/acknowledge", {"until": until})
    except Refused as refused:
        tell(str(refused))


def fetch(tell: Tell, caller: Caller, bend: str, item: dict[str, Any]) -> None:
    """Asks anew what the party may have of the person today."""
    if item["kind"] == "withdrawn" or bend == "never_fetches":
        return
    for _ in range(2 if bend == "fetches_twice" else 1):
        question = {"flow": "conform", "purpose": "conform", "case": "C", "subject": {}}
        try:
            caller.call(
                "POST", "/api/exchanges", {**question, "subject": {"national_number": item["subject"]}}
            )
        except Refused as refused:
            if bend == "silent_about_refusals":
                return
            tell(str(refused))
            if str(refused) != "subject_not_registered" or bend == "stops_at_refusal":
                raise


def listener(tell: Tell, bend: str, url: str, key: str, port: str, state: str) -> HTTPServer:
    caller, effects = Caller(bend, url, key), Effects(tell, bend, state)
    path = "/told"

    class Told(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
            try:
                if bend == "credulous":
                    signature = parsed_or_none(headers, body) or b"\0" * 64
                else:
                    signed = parse_request(
                        headers, "POST", f"127.0.0.1:{port}", path.encode(), b"", body, datetime.now(UTC)
                    )
                    signed.verify(caller.keys[signed.key_id])
                    signature = signed.signature
                for item in json.loads(body)["items"]:
                    if effects.take(item):
                        effects.done(item)
            except Exception:
                self.send_response_only(400)
                self.send_header("content-length", "0")
                self.end_headers()
                return
            until = json.loads(body)["until"] + (bend == "acknowledges_ahead")
            answer = json.dumps({"until": until}).encode()
            said = sign_response(
                caller.key, 200, "application/json", answer,
                b"\1" * 64 if bend == "answers_another" else signature, datetime.now(UTC),
            )  # fmt: skip
            self.send_response_only(200)
            for name, value in said.headers:
                self.send_header(name.decode(), value.decode())
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    def parsed_or_none(headers: Any, body: bytes) -> bytes | None:
        try:
            return parse_request(
                headers, "POST", f"127.0.0.1:{port}", path.encode(), b"", body, datetime.now(UTC)
            ).signature
        except Exception:
            return None

    return HTTPServer(("127.0.0.1", int(port)), Told)


def keeper(tell: Tell, bend: str, url: str, key: str, source: str, changes: str, state: str) -> int:
    caller = Caller(bend, url, key)
    kept = Path(state) / "given"
    given = int(kept.read_text()) if kept.exists() else 0
    lines = [json.loads(line) for line in Path(changes).read_text().splitlines()]
    if bend != "keeps_order_of_file":
        lines.sort(key=lambda line: line["sequence"])
    if bend in ("renumbers", "new_numbers"):
        start = given if bend == "new_numbers" else 0
        lines = [{**line, "sequence": n} for n, line in enumerate(lines, start=start + 1)]
        kept.write_text(str(start + len(lines)))
    if bend == "wrong_kind":
        lines = [{**line, "kind": "changed", "replaced_by": None} for line in lines]
    if bend == "loses_one":
        lines = [line for line in lines if line["sequence"] != 2]
    keys = ("sequence", "kind", "service", "subject", "effective_on", "replaced_by")
    if bend != "tells_content":
        lines = [{name: line[name] for name in keys if line.get(name)} for line in lines]
    size = 1 if bend == "keeps_order_of_file" else 3
    missing: list[Any] = []
    for start in range(0, len(lines), size):
        request = {"source": source, "mutations": lines[start : start + size]}
        for again in (True, False):
            try:
                answer = caller.call("POST", "/api/mutations/publications", request)
                missing = answer.get("stream", {}).get("missing", [])
                break
            except OSError:
                if not again:
                    raise
                if bend == "renumbers_after_cut":
                    for line in request["mutations"]:
                        line["sequence"] += 3
    if bend == "silent_about_gaps":
        return 0
    for first, last in missing:
        tell(f"missing: {first} to {last}")
    again = [line for line in lines if any(first <= line["sequence"] <= last for first, last in missing)]
    if again:
        caller.call("POST", "/api/mutations/publications", {"source": source, "mutations": again})
    return 0


def main(tell: Tell, words: list[str]) -> int:
    """The exit code of a subscriber or keeper."""
    kind, bend, *arguments = words
    try:
        return {"subscriber": subscriber, "keeper": keeper}[kind](tell, bend, *arguments)
    except Exception as error:
        tell(f"{type(error).__name__}: {error}")
        return 0 if bend == "always_well" else 1


class InProcess(Command):
    """A command whose words are those of `main`."""

    def run(self, values: Mapping[str, str]) -> Ran:
        lines: list[str] = []
        exit_ = main(lines.append, self._fill(values))
        return Ran(exit_, "\n".join(lines))

    @contextlib.contextmanager
    def running(self, values: Mapping[str, str]) -> Iterator[Started]:
        lines: list[str] = []
        _, bend, *arguments = self._fill(values)
        server = listener(lines.append, bend, *arguments)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield _InThread(lines)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _InThread(Started):
    ended = None  # type: ignore[assignment]

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    @property
    def so_far(self) -> Ran:
        return Ran(0, "\n".join(self._lines))


if __name__ == "__main__":

    def show(line: str) -> None:
        print(line, flush=True)

    if sys.argv[1] == "listener":
        listener(show, *sys.argv[2:]).serve_forever()
    sys.exit(main(show, sys.argv[1:]))
