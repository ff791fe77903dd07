"""The story of the demo region, step by step, over HTTP like anybody else: ask, trace, suspend, cut, refuse, verify."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import msgspec

from koinon.base.crypto import SigningKey
from koinon.base.errors import KoinonError
from koinon.base.text import Text
from koinon.client import Answer, Client, Refused, StreamCut, discover
from koinon.demo.region import AUTHORISATION, FLOW, NORTH, PASSWORD, PURPOSE, SOUTH, load_key
from koinon.trust.standing.acts import Act, Deed, Target, TargetKind, new_salt, sign_act

CASE = "DEMO-2026-001"


class Step(msgspec.Struct):
    """What was done, whether it held, and how long it took."""

    name: str
    ok: bool = False
    seconds: float = 0.0
    why: str = ""


class Failed(Exception):
    """A step did not hold."""


def hold(condition: bool, why: str) -> None:
    """Raises `Failed` unless the condition holds."""
    if not condition:
        raise Failed(why)


class Story:
    """Runs the steps against a platform at `url`, with the demo keys under `home`.

    Attributes:
        batch: national numbers for a batch, all in the company's files.
        steps: what was done so far.
        told: what the steps found, for `--json`.
    """

    def __init__(
        self,
        url: str,
        home: Path,
        subject: str,
        *,
        witnesses: int,
        batch: Sequence[str] = (),
        tell: Callable[[Step], None] = lambda step: None,
    ) -> None:
        self.url = url
        self.home = home
        self.subject = subject
        self.steps: list[Step] = []
        self.told: dict[str, Any] = {}
        self.batch = list(batch)
        self._witnesses = witnesses
        self._tell = tell
        self._pins = discover(url)
        self._north = Client(url, load_key(home, f"{NORTH}-system"), self._pins)
        self._south = Client(url, load_key(home, f"{SOUTH}-system"), self._pins)

    @property
    def ok(self) -> bool:
        """Whether every step held."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    def run(self, export: Callable[[], Path], verify: Callable[[], None]) -> None:
        """All steps have been done; a step that fails ends the story, and the flow is given back in any case.

        `export` writes the exchange log as static files and gives the folder; `verify` is the platform's own
        check, which raises when something does not hold.
        """
        from koinon.demo.story_changes import tell_changes  # these use what stands here
        from koinon.demo.story_flows import tell_flows
        from koinon.demo.story_integrator import tell_integrator
        from koinon.demo.story_video import tell_video

        suspended = False
        self._give_back()
        try:
            with self._step("an official asks in the browser"):
                self._ask_by_page()
            with self._step("a system asks by API, signed both ways"):
                answer = self._ask()
            with self._step("the receipt's promise is kept: proof in the tree, cosigned by the witnesses"):
                verified = self._north.verify_receipt(answer, witnesses=self._witnesses)
                self.told["receipt"]["index"] = verified.index
            with self._step("somebody who is not in the party's files: no source is asked"):
                self._refused_stranger()
            with self._step("the trace, for the party and for the keeper of the source"):
                self._show_trace()
            tell_changes(self._step, self.told, self.url, self.home, self._north, self._pins, self._browser)
            tell_flows(self._step, self.told, self.url, self.home, self._pins, self.subject)
            tell_integrator(self._step, self.told, self.url, self.home, self._north, self.batch)
            tell_video(self._step, self.told, self.url, self.home, self._browser, self._act)
            with self._step("the Commission suspends; a running download is cut within a second"):
                suspended = True
                self._cut()
            with self._step("the next request is refused, with the reason"):
                self._refused_after_suspension()
            with self._step("an independent reader verifies the exported ledger"):
                self._read_independently(export())
            with self._step("the platform's own verification agrees"):
                verify()
        except Failed:
            pass
        finally:
            if suspended:
                with self._step("the Commission ends the suspension"):
                    self._act(
                        Deed.RESUME,
                        Text(
                            "Einde van de demonstratie", "Fin de la démonstration", "End of the demonstration"
                        ),
                    )
                    self._wait_until_answered()
            self._north.close()
            self._south.close()

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        step = Step(name)
        self.steps.append(step)
        started = time.monotonic()
        try:
            yield
            step.ok = True
        except Failed as error:
            step.why = str(error)
            raise
        except (KoinonError, httpx.HTTPError, OSError) as error:
            step.why = f"{type(error).__name__}: {error}"
            raise Failed(step.why) from error
        finally:
            step.seconds = round(time.monotonic() - started, 3)
            self._tell(step)

    def _give_back(self) -> None:
        """A story that was interrupted may have left the authorisation suspended."""
        try:
            self._north.ask(flow=FLOW, purpose=PURPOSE, case=CASE, subject={"national_number": self.subject})
        except Refused as refusal:
            if refusal.code == "authorisation_suspended":
                self._act(
                    Deed.RESUME, Text("Nieuw begin (demo)", "Nouveau départ (démo)", "New start (demo)")
                )
                self._wait_until_answered()
        except KoinonError:
            pass  # the first step will say what is the matter

    def _ask(self) -> Answer:
        answer = self._north.ask(
            flow=FLOW, purpose=PURPOSE, case=CASE, subject={"national_number": self.subject}
        )
        document = msgspec.json.decode(answer.evidence.answer_body)
        self.told["exchange"] = {name: value for name, value in document.items() if name != "receipt"}
        self.told["receipt"] = document["receipt"]
        admissible = document["answer"]["admissible"]
        hold(admissible == {"status": "value", "value": True}, f"admissible is {admissible}")
        hold(len({each["source"] for each in document["sources"]}) >= 3, "three sources answered")
        return answer

    def _ask_by_page(self) -> None:
        with self._browser("an") as browser:
            page = browser.get("/consult")
            hold(page.status_code == 200, f"/consult answers {page.status_code}")
            answer = browser.post(
                "/consult",
                data={
                    "_csrf": _token(page.text),
                    "flow": FLOW,
                    "purpose": PURPOSE,
                    "subject": self.subject,
                    "case": CASE,
                },
            )
            hold(answer.status_code == 200, f"the page answers {answer.status_code}")
            hold(self.subject not in answer.text, "the number is not repeated")
            hold("2026/001" in answer.text, "the page names its authorisation")

    def _refused_stranger(self) -> None:
        for client in (self._south, self._north):
            stranger = "00610000173" if client is self._north else self.subject
            try:
                client.ask(flow=FLOW, purpose=PURPOSE, case=CASE, subject={"national_number": stranger})
            except Refused as refusal:
                wanted = {"subject_not_registered", "authorisation_missing", "subject_malformed"}
                hold(refusal.code in wanted, f"refused with {refusal.code}")
                hold(refusal.signed, "the refusal is signed")
            else:
                raise Failed("an answer was given")

    def _show_trace(self) -> None:
        with self._browser("marc") as browser:
            page = browser.get("/uses").text
            hold(CASE in page, "the party sees the case")
        with self._browser("ria") as browser:
            page = browser.get("/uses/source").text
            hold("2026/001" in page and self.subject not in page, "the keeper sees the use, not the person")

    def _cut(self) -> None:
        """A download runs, and its reader is slow; the act is signed with a key the operator does not hold."""
        last = [0.0]
        rows = [0]
        ended: list[BaseException | None] = []
        running = threading.Event()

        def download() -> None:
            try:
                for _ in self._north.communicate(flow=FLOW, purpose=PURPOSE, case="DEMO-DOWNLOAD"):
                    rows[0] += 1
                    last[0] = time.monotonic()
                    if rows[0] >= 5:
                        running.set()
                    time.sleep(0.002)  # slower than the platform sends
                ended.append(None)
            except (KoinonError, httpx.HTTPError) as error:
                ended.append(error)
            finally:
                running.set()

        reader = threading.Thread(target=download, daemon=True)
        reader.start()
        hold(running.wait(15) and not ended, f"the download runs: {ended}")
        began = time.monotonic()
        self._act(
            Deed.SUSPEND,
            Text("Proef van de rem (demo)", "Essai du frein (démo)", "Trial of the brake (demo)"),
        )
        reader.join(5)
        hold(bool(ended), "the download ended")
        hold(isinstance(ended[0], StreamCut), f"it ended by {ended[0]!r}")
        seconds = max(0.0, last[0] - began)
        self.told["cut_seconds"] = round(seconds, 3)
        hold(seconds <= 1.0, f"the last row came after {seconds:.2f} s")

    def _refused_after_suspension(self) -> None:
        try:
            self._north.ask(flow=FLOW, purpose=PURPOSE, case=CASE, subject={"national_number": self.subject})
        except Refused as refusal:
            self.told["refusal"] = {"code": refusal.code, "rule": refusal.rule, "reason": refusal.reason}
            hold(refusal.code == "authorisation_suspended", f"refused with {refusal.code}")
            hold(bool(refusal.reason), "the reason is given")
        else:
            raise Failed("an answer was given while the flow was suspended")

    def _read_independently(self, folder: Path) -> None:
        """Another program, in another interpreter, that knows nothing of ours."""
        reader = Path(__file__).with_name("independent_reader.py")
        done = subprocess.run(
            [sys.executable, "-I", str(reader), str(folder)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        hold(done.returncode == 0, done.stdout + done.stderr)
        _origin, size, root = (folder / "checkpoint").read_text().splitlines()[:3]
        self.told["ledger"] = {"size": int(size), "root": root}

    def _act(self, deed: Deed, reason: Text, authorisation: str = AUTHORISATION) -> None:
        key: SigningKey = load_key(self.home, "chair")
        with httpx.Client(base_url=self.url, timeout=10) as http:
            head = http.get("/api/acts/head").raise_for_status().json()
            now = max(datetime.now(UTC), datetime.fromisoformat(head["not_before"]))
            act = Act(
                act=deed,
                target=Target(TargetKind.AUTHORISATION, authorisation),
                reason=reason,
                at=now,
                signer=key.key_id,
                sequence=head["sequence"],
                previous=head["previous"],
                salt=new_salt(),
            )
            answer = http.post("/api/acts", content=msgspec.json.encode(sign_act(act, key)))
            hold(answer.status_code in (200, 201), f"the act was not recorded: {answer.text}")

    def _wait_until_answered(self) -> None:
        for _ in range(50):
            try:
                self._north.ask(
                    flow=FLOW, purpose=PURPOSE, case=CASE, subject={"national_number": self.subject}
                )
                return
            except Refused:
                time.sleep(0.1)
        raise Failed("the flow was not given back")

    @contextmanager
    def _browser(self, login: str) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self.url, timeout=15, follow_redirects=True) as browser:
            browser.headers["sec-fetch-site"] = "same-origin"
            browser.get("/sign-in")
            answer = browser.post("/sign-in/local", data={"login": login, "password": PASSWORD})
            hold(answer.status_code == 200, f"signing in as {login} answers {answer.status_code}")
            yield browser
            browser.post("/sign-out", data={"_csrf": _token(answer.text)})


def _token(page: str) -> str:
    found = re.search(r'name="csrf-token" content="([^"]*)"', page)
    return unescape(found.group(1)) if found else ""
