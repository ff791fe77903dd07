"""Two whole platforms, connected by the commands of the guide: one asks the other as a source; and what then goes
wrong.

Each has its own home, PostgreSQL, keys and web server. The commands are read from
`docs/howto/connect-another-region.md` and run as they stand there, so the guide cannot say what does not work.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from tests.conftest import room

from koinon.app.demo import free_ports
from koinon.app.wiring import prepare_database
from koinon.base.clock import civil_date
from koinon.base.crypto import SigningKey
from koinon.base.database import Database, embedded
from koinon.base.settings import Settings, load_settings
from koinon.client import Client
from koinon.client.errors import Refused
from koinon.client.model import Answer
from koinon.demo.population import Population, open_population
from koinon.demo.region import Region, Seeder, enterprise_number, load_key
from koinon.demo.region.flows import DISABILITY, MOBILITY, PARKING_PURPOSE
from koinon.demo.region.parties import PARTIES
from koinon.demo.region.seeding import RULES
from koinon.demo.sources import make_source
from koinon.demo.sources.registers.app import _luck, _recognition
from koinon.demo.sources.server import make_server
from koinon.integrator.drivers import check_digits
from koinon.trust.ledger import Log, Sealer
from koinon.trust.ledger.service import find_entries, read_private

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "howto" / "connect-another-region.md"
FLOW, FIELDS = "disability-rights", ["parking_card", "parking_card_until"]
SOURCE = "other_region"
_BLOCK = re.compile(r"^```sh (here|there)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(name: str = "") -> list[tuple[str, str]]:
    """(side, commands) of the guide's blocks of that name, in its order."""
    return [(side, text) for side, called, text in _BLOCK.findall(GUIDE.read_text()) if called == name]


class Side:
    """One region's platform and its operator."""

    def __init__(self, folder: Path, name: str, port: int) -> None:
        self.home = folder / f"home-{name}"
        self.home.mkdir(mode=0o755)
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"
        self.ledger_origin = f"koinon.invalid/{name}"
        values = {
            "port": port,
            "ledger_origin": self.ledger_origin,
            "log_level": "error",
            "decision_sample": 0,
        }
        (self.home / "koinon.toml").write_text(
            "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        )
        self.settings: Settings = load_settings({}, home=self.home)
        self.url = embedded.ensure_running(self.home, scratch=True)
        self._running: subprocess.Popen[bytes] | None = None

    def seed(self, files: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """A region as the demo has it: parties, Commission, rules."""

        async def main() -> None:
            await prepare_database(self.url)
            async with await Database.open(self.url, kind="owner", max_size=2) as database:
                seeder = Seeder(self.settings, database, Sealer.of(self.home), datetime.now(UTC))
                await seeder.seed({}, files=files, accounts=False)

        asyncio.run(main())
        self.region = Region.load(self.home)

    @property
    def environment(self) -> dict[str, str]:
        """Of a command of this side's operator."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KOINON_")}
        return {**kept, "KOINON_HOME": str(self.home), "COLUMNS": "200", "LC_ALL": "C.UTF-8"}

    def key_file(self, name: str) -> str:
        load_key(self.home, name)
        return str(self.home / "demo" / "keys" / f"{name}.pem")

    def known(self) -> dict[str, str]:
        """What the guide's operator of this side knows by name."""
        return {
            "AUTHOR": str(self.region.persons["ruben"]),
            "CHAIR": self.key_file("chair"),
            "FIRST": self.key_file("committee-1"),
            "SECOND": self.key_file("committee-2"),
        }

    def start(self) -> None:
        """`koinon run platform` serves."""
        self._running = subprocess.Popen(
            [sys.executable, "-m", "koinon.app.cli", "run", "platform"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._running.poll() is None, "the platform ended by itself"
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.origin}/health/ready", timeout=2).status_code == 200:
                    return
            time.sleep(0.05)
        pytest.fail(f"{self.home.name} did not come up")

    def stop(self) -> None:
        """Nothing of the platform runs but its database."""
        if self._running is not None:
            self._running.terminate()
            self._running.wait(timeout=40)
            self._running = None

    def act(self, *arguments: str) -> None:
        """An act of this side's Commission."""
        reason = [f"--reason-{language}=Proof of the brake" for language in ("nl", "fr", "en")]
        command = [sys.executable, "-m", "koinon.app.cli", "oversight", *arguments, *reason, "--yes"]
        subprocess.run(
            [*command, "--key", self.key_file("chair")], env=self.environment, check=True, capture_output=True
        )

    def entry(self, exchange: object) -> dict[str, Any]:
        """What the ledger holds of that exchange: the public and the private part of its one entry."""

        async def main() -> list[dict[str, Any]]:
            sealer = Sealer.of(self.home)
            async with (
                await Database.open(self.url, kind="web", max_size=1) as database,
                database.acquire() as connection,
            ):
                # All of them: ids tell no more than the minute, so what is newest need not stand on the first page.
                entries = await find_entries(connection, log=Log.EXCHANGE)
                while page := await find_entries(connection, log=Log.EXCHANGE, before=entries[-1].id):
                    entries += page
                opened = await read_private(connection, sealer, entries)
            return [
                {"kind": entry.kind, **entry.public, **getattr(private, "fields", {})}
                for entry, private in zip(entries, opened, strict=True)
            ]

        entries = asyncio.run(main())
        found = [each for each in entries if each.get("exchange") == str(exchange)]
        seen = [(each["kind"], each.get("exchange"), each.get("code")) for each in entries]
        assert len(found) == 1, (exchange, seen)
        return found[0]


class Sources:
    """The simulated sources of the region that is asked, in threads of the test."""

    def __init__(self, settings: Settings, population: Population) -> None:
        self.servers: list[tuple[uvicorn.Server, threading.Thread]] = []
        self.ports: dict[str, int] = {}
        for name in ("rijksregister", "registers"):
            listener = socket.create_server(("127.0.0.1", 0))
            self.ports[name] = listener.getsockname()[1]
            server = make_server(make_source(name, settings, population=population), 0)
            thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),), daemon=True)
            thread.start()
            self.servers.append((server, thread))

    def stop(self) -> None:
        for server, thread in self.servers:
            server.should_exit = True
            thread.join(5)


class Guide:
    """Runs the guide's commands, each block on its side, in one folder: what one side hands the other lies there."""

    def __init__(self, folder: Path, here: Side, there: Side) -> None:
        self.folder, self.sides = folder, {"here": here, "there": there}
        self.told: dict[str, str] = {}
        program = folder / "bin" / "koinon"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m koinon.app.cli "$@"\n')
        program.chmod(0o755)

    def run(self, side: str, commands: str) -> str:
        """What the block prints."""
        who = self.sides[side]
        environment = who.environment | who.known() | self.told
        environment["PATH"] = f"{self.folder / 'bin'}:{environment['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="koinon-two-", dir=room()) as made:
        Path(made).chmod(0o755)
        yield Path(made)


def people(population: Population) -> tuple[str, str]:
    """Two who have a parking card, according to the sources of the region that is asked."""
    found = []
    for number in population.heads(2000):
        person = population.find_person(number)
        said = _recognition(_luck(number))
        if (
            person is not None
            and person.disabled
            and said["points_ge_12"]
            and said["valid_until"] is not None
        ):
            found.append(number)
    return found[0], found[1]


def nobody(population: Population) -> str:
    """A valid number that the National Register does not know."""
    for serial in range(900, 998):
        base = f"806901{serial:03d}"
        number = base + check_digits(base, born_from_2000=False)
        if population.find_person(number) is None and population.replacement(number) is None:
            return number
    raise AssertionError("everybody exists")


def copy_examples(folder: Path) -> None:
    """The guide's example rules with dates of today, and the vocabulary of the region that asks."""
    today = civil_date(datetime.now(UTC))
    for side in ("here", "there"):
        (folder / side).mkdir()
        for example in (GUIDE.parent / "another-region" / side).glob("*.toml"):
            text = example.read_text().replace("2026-01-01", today.isoformat())
            (folder / side / example.name).write_text(
                text.replace("2027-01-01", (today + timedelta(days=300)).isoformat())
            )
    shutil.copy(RULES / "vocabulary.toml", folder)


def said_of(answer: Answer) -> tuple[Any, Any]:
    """What an official learns, without what differs each time."""
    return dict(answer.answer), [
        (each.source, each.service, each.status, each.fault) for each in answer.sources
    ]


def test_two_regions_connect_by_the_guide_and_neither_is_believed_beyond_its_signature(folder: Path) -> None:
    asking_port, asked_port = free_ports(2)
    with contextlib.ExitStack() as stack:
        here, there = Side(folder, "here", asking_port), Side(folder, "there", asked_port)
        stack.callback(embedded.stop, here.home)
        stack.callback(embedded.stop, there.home)
        population = open_population(there.home, size=5_000)
        stack.callback(population.close)
        known, stranger = people(population)
        unknown = nobody(population)
        here.seed({PARKING_PURPOSE: {MOBILITY: [known, stranger, unknown]}})
        there.seed({})
        sources = Sources(there.settings, population)
        stack.callback(sources.stop)
        connect_sources(there, sources)
        there.start()
        stack.callback(there.stop)
        guide = Guide(folder, here, there)
        told = follow(guide, population, known)
        here.start()
        stack.callback(here.stop)

        client = stack.enter_context(
            Client(here.origin, load_key(here.home, f"{MOBILITY}-system"), folder / "here.json")
        )

        def ask(subject: str) -> Answer:
            about = {"national_number": subject}
            return client.ask(flow=FLOW, purpose=PARKING_PURPOSE, case="VISIT-1", subject=about)

        def hear(subject: str) -> Answer:
            """Their answer or refusal: on a busy machine one of the two may not confirm its standing in time."""
            for _ in range(20):
                answer = ask(subject)
                if answer.sources[0].status != "no_answer":
                    break
                time.sleep(0.5)
            return answer

        # The answer: signed on both ways, minimal at both gates, in both ledgers, each naming the other.
        answer = hear(known)
        assert answer.value_of("parking_card") is True
        assert answer.value_of("parking_card_until") == "2030-01-01"
        assert set(answer.answer) == set(FIELDS)
        assert "companion_card" in {each.field for each in answer.filtered}
        [source] = answer.sources
        assert (source.source, source.service, source.status) == (SOURCE, FLOW, "data")
        client.verify_receipt(answer)
        ours = here.entry(answer.exchange)
        theirs = there.entry(ours["theirs"]["exchange"])
        assert ours["sources"] == {f"{SOURCE}/{FLOW}": "data"}
        assert (theirs["case"], theirs["party"]) == (str(answer.exchange), told["PARTY"])
        assert theirs["kind"] == "exchange.released" and theirs["fields"] == FIELDS
        assert ours["authorisation"] == theirs["authorisation"] == "2026/020"  # each side's own
        assert {ours["rule"], theirs["rule"]} == {"parking-elsewhere.answer", "other-region-parking.answer"}

        # Somebody who is in no file there is not told apart from nobody.
        about_stranger, about_nobody = hear(stranger), hear(unknown)
        assert said_of(about_stranger) == said_of(about_nobody)
        assert {each.status for each in about_stranger.answer.values()} == {"not_allowed"}
        for each in (about_stranger, about_nobody):
            assert here.entry(each.exchange)["theirs"]["code"] == "subject_not_registered"
        directly = stack.enter_context(
            Client(there.origin, key_of(here, "other_region"), here.home / "pins" / "other_region.json")
        )
        refusals = []
        for subject in (stranger, unknown):
            with pytest.raises(Refused) as refused:
                directly.ask(
                    flow=FLOW, purpose=PARKING_PURPOSE, case="TRY", subject={"national_number": subject}
                )
            facts = {name: value for name, value in refused.value.facts.items() if name != "exchange"}
            refusals.append((refused.value.code, refused.value.http_status, facts))
        assert refusals[0] == refusals[1] and refusals[0][0] == "subject_not_registered"

        # Their Commission suspends us: no value, and the trace says why.
        there.act("suspend", told["PARTY"], "--kind", "party")
        suspended = hear(known)
        assert {each.status for each in suspended.answer.values()} == {"not_allowed"}
        assert [each.fault for each in suspended.sources] == ["purpose_refused"]
        ours = here.entry(suspended.exchange)
        assert ours["theirs"]["code"] == "party_suspended"
        theirs = there.entry(ours["theirs"]["exchange"])
        assert (theirs["kind"], theirs["code"]) == ("exchange.refused", "party_suspended")
        assert theirs["case"] == str(suspended.exchange)
        there.act("resume", told["PARTY"], "--kind", "party")
        assert hear(known).value_of("parking_card") is True

        # They stop: no answer, and after eight of these they are left alone.
        there.stop()
        faults = []
        for _ in range(10):
            silent = ask(known)
            assert {each.status for each in silent.answer.values()} == {"no_answer"}
            faults += [each.fault for each in silent.sources]
        assert faults[0] == "unreachable" and "paused" in faults

        # They come back with another key: not believed, until we are told of it.
        (there.home / "keys" / "platform.key").unlink()
        there.start()
        for _ in range(100):
            turned = ask(known)
            assert {each.status for each in turned.answer.values()} == {"no_answer"}
            if turned.sources[0].fault == "untrusted":
                break
            time.sleep(0.1)
        assert turned.sources[0].fault == "untrusted"
        [(side, renew)] = blocks("renew")
        guide.run(side, renew)
        here.stop()
        here.start()
        assert hear(known).value_of("parking_card") is True


def key_of(side: Side, name: str) -> SigningKey:
    return SigningKey.from_pem((side.home / "keys" / f"{name}.pem").read_bytes())


def connect_sources(side: Side, sources: Sources) -> None:
    numbers = {each.code: enterprise_number(serial) for serial, each in enumerate(PARTIES, start=1)}
    lines = []
    for name, port, keeper in (
        ("rijksregister", sources.ports["rijksregister"], "rijksregister"),
        ("disability", sources.ports["registers"], DISABILITY),
    ):
        lines += [f"[{name}]", f'address = "http://127.0.0.1:{port}"', 'networks = ["127.0.0.0/8"]']
        lines += [f'keeper = "{numbers[keeper]}"', "simulated = true", ""]
    (side.home / "sources.toml").write_text("\n".join(lines))


def follow(guide: Guide, population: Population, known: str) -> dict[str, str]:
    """Every block of the guide has been run, in its order; what people would tell one another."""
    here, there = guide.sides["here"], guide.sides["there"]
    integrator = there.region.parties["integrator"]
    signing = there.key_file("integrator-convention")
    guide.told |= {
        "THERE": there.origin,
        "LEDGER": there.ledger_origin,
        "THEM": str(integrator),
        "THEIR_KEY": signing,
        "THEIR_KID": load_key(there.home, "integrator-convention").key_id,
        "CONSUMER": str(here.region.parties[MOBILITY]),
    }
    person = population.find_person(known)
    assert person is not None
    line = {"national_number": known, "family_name": person.last_name, "birth_date": person.birth}
    (guide.folder / "persons.jsonl").write_text(json.dumps(line) + "\n")
    copy_examples(guide.folder)
    for side, commands in blocks():
        printed = guide.run(side, commands)
        if "parties show" in commands:
            shown = json.loads(printed[printed.index("{") :])
            guide.told |= {
                "PARTY": shown["id"],
                "SYSTEM": shown["systems"][0]["id"],
                "ADVISER": shown["persons"][0]["id"],
            }
        if "koinon ask" in commands:
            tried = json.loads(printed.splitlines()[-1])
            assert tried["answer"]["answer"]["parking_card"] == {"status": "value", "value": True}
    return guide.told
