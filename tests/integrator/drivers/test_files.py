"""A source that delivers files: taken over once, checked whole, settled; in a folder, a real S3, a real SFTP server."""

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.base.s3 import KEYS
from tests.base.test_objects import s3_endpoint  # noqa: F401 (a fixture)
from tests.integrator.drivers.conformance import Case, Conformance
from tests.integrator.drivers.conftest import AT, context
from tests.integrator.drivers.test_driver import A, B, C, D

from koinon.base.objects import LocalObjects, S3Objects
from koinon.base.text import Text
from koinon.integrator.drivers import Reachable, Service, WireFault, read_address
from koinon.integrator.drivers.driver import fields_of
from koinon.integrator.drivers.files import (
    Delivered,
    Delivery,
    FileRefused,
    FolderPlace,
    ObjectsPlace,
    Place,
    SftpPlace,
    take_over,
)
from koinon.integrator.drivers.files.taking import resume
from koinon.integrator.formats import FieldSpec, Header, Record, RecordType, declare, gather, open_writer
from koinon.integrator.model import FieldAnswer

NOW = timedelta(days=1)
LABEL = Text("uitkering", "allocation", "benefit")
TYPE = RecordType(
    "library_benefit",
    1,
    LABEL,
    "national_number",
    (FieldSpec("amount", "money", LABEL), FieldSpec("running", "flag", LABEL)),
)
TYPES = declare((TYPE,))
SERVICES = {
    "benefit": Service(
        "benefit",
        "person",
        fields_of(
            "library",
            ("amount", "cents", "bedrag", "montant", "amount"),
            ("running", "flag", "loopt", "court", "runs"),
        ),
        100,
    )
}


def message(
    amounts: dict[str, int],
    *,
    reference: str = "1",
    day: int = 1,
    syntax: Any = "fixed",
    replaced: str | None = None,
) -> bytes:
    out = io.BytesIO()
    created = datetime(2026, 11, day, tzinfo=UTC)
    header = Header(
        record_type=TYPE.name, version=1, sender="library", flow="benefit", purpose="delivery", reference=reference,
        created=created,
    )  # fmt: skip
    writer = open_writer(out, syntax, header, types=TYPES)
    records = [
        Record(
            place,
            subject,
            {
                "amount": FieldAnswer(status="value", value=amount),
                "running": FieldAnswer(status="value", value=amount > 0),
            },
            replaced if subject == B else None,
        )
        for place, (subject, amount) in enumerate(amounts.items(), 1)
    ]
    for batch in gather(TYPE, records):
        assert not batch.rejects
        writer.write(batch.columns)
    writer.close()
    return out.getvalue()


class Site:
    """A place, and what the source may do there."""

    def __init__(self, place: Place, put: Callable[[str, bytes], Any], names: Callable[[str], Any]) -> None:
        self.place, self._put, self._names = place, put, names

    async def put(self, name: str, data: bytes) -> None:
        """The source delivers."""
        await self._put(f"in/{name}", data)

    async def names(self, folder: str) -> list[str]:
        """What lies in a folder, without the marks of the takings."""
        found = [
            name.split("=")[0] + (".why" if name.endswith(".why") else "")
            for name in await self._names(folder)
        ]
        return sorted(found)


def _on_disk(root: Path) -> tuple[Callable[[str, bytes], Any], Callable[[str], Any]]:
    async def put(path: str, data: bytes) -> None:
        (root / path).write_bytes(data)

    async def names(folder: str) -> list[str]:
        return [path.name for path in (root / folder).iterdir()]

    return put, names


def _in_store(objects: Any) -> tuple[Callable[[str, bytes], Any], Callable[[str], Any]]:
    async def put(path: str, data: bytes) -> None:
        await objects.put(f"library/{path}", data)

    async def names(folder: str) -> list[str]:
        return [one.key.rpartition("/")[2] async for one in objects.list(f"library/{folder}")]

    return put, names


class SftpServer:
    """An SFTP server on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.port = 0
        self._server: Any = None

    async def start(self) -> None:
        self._server = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(
                self.client_key.export_public_key().decode()
            ),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(self.root).encode()),
        )
        self.port = self._server.get_port()

    def place(self, *, host_keys: list[str] | None = None, client_key: bytes | None = None) -> SftpPlace:
        reachable = Reachable.loopback()
        return SftpPlace(
            read_address(f"sftp://koinon@127.0.0.1:{self.port}/library", reachable),
            reachable,
            host_keys=[self.host_key.export_public_key().decode()] if host_keys is None else host_keys,
            client_key=self.client_key.export_private_key() if client_key is None else client_key,
        )

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
async def sftp(tmp_path: Path) -> AsyncIterator[SftpServer]:
    (tmp_path / "library").mkdir()
    server = SftpServer(tmp_path)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(params=["folder", "objects", "sftp", pytest.param("s3", marks=pytest.mark.slow)])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    place: Place
    if request.param == "folder":
        place = FolderPlace(tmp_path)
        yield Site(place, *_on_disk(tmp_path))
    elif request.param == "sftp":
        server = SftpServer(tmp_path)
        (tmp_path / "library").mkdir()
        await server.start()
        place = server.place()
        assert await place.list("in") == []
        yield Site(place, *_on_disk(tmp_path / "library"))
        await place.close()
        await server.stop()
    else:
        objects: Any = LocalObjects(tmp_path)
        if request.param == "s3":
            endpoint = request.getfixturevalue("s3_endpoint")
            objects = S3Objects("koinon-test", f"run-{os.urandom(6).hex()}", endpoint=endpoint, **KEYS)
        place = ObjectsPlace(objects, "library")
        yield Site(place, *_in_store(objects))


def driver_of(place: Place) -> Delivered:
    driver = Delivered("library", SERVICES, TYPES, place)
    driver.look_seconds, driver.quiet = 0.0, timedelta()
    return driver


async def amount(driver: Delivered, subject: str = A) -> Any:
    answer = await driver.fetch("benefit", subject, ["amount"], context())
    return answer.values.get("amount", answer.fault)


async def test_a_delivery_stands_until_the_next_and_outlives_the_process(site: Site) -> None:
    driver = driver_of(site.place)
    assert await amount(driver) == "unreachable"
    await site.put("benefit-1.txt", message({A: 100, B: 0}))
    assert await amount(driver) == 100
    assert await amount(driver, C) == "unknown_subject"
    await site.put("benefit-2.jsonl", message({A: 200}, reference="2", day=2, syntax="jsonl"))
    assert await amount(driver) == 200
    assert (await site.names("in"), await site.names("taking")) == ([], [])
    assert await site.names("done") == ["benefit-1.txt", "benefit-2.jsonl"]
    anew = driver_of(site.place)
    assert await amount(anew) == 200
    # After a start too, what is older than what stands is refused.
    await site.put("benefit-1.txt", message({A: 100}, reference="1"))
    await site.put("benefit-3.txt", message({A: 9}, reference="2", day=3))
    assert await amount(driver_of(site.place)) == 200
    assert await site.names("failed") == [
        "benefit-1.txt",
        "benefit-1.txt.why",
        "benefit-3.txt",
        "benefit-3.txt.why",
    ]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("x.txt", message({A: 5})[:-30], "delivery_broken"),
        ("x.txt", b"\xff\xfenoise", "delivery_broken"),
        ("x.txt", b"", "delivery_broken"),
        ("x.xml", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "delivery_broken"),
        ("x.exe", message({A: 5}), "delivery_syntax"),
        ("x.txt", message({A: 5}).replace(b"V1", b"V7"), "delivery_rejected"),
        ("x.txt", message({A: 5}) + b" " * 5000, "delivery_too_large"),
    ],
)
async def test_a_bad_delivery_changes_nothing_and_says_why(
    site: Site, name: str, data: bytes, why: str
) -> None:
    driver = driver_of(site.place)
    driver.limit_bytes = 5000
    await site.put("good.txt", message({A: 100}))
    assert await amount(driver) == 100
    told: list[str] = []
    settle = site.place.settle

    async def noted(taken: str, folder: str, why: str = "") -> None:
        told.append(why)
        await settle(taken, folder, why)

    site.place.settle = noted  # type: ignore[method-assign]
    await site.put(name, data)
    await site.put("later.txt", message({A: 300}, reference="9", day=9))
    assert await amount(driver) == 300, "and holds up nobody"
    assert why in told
    assert f"{name}.why" in await site.names("failed")


async def test_of_many_takers_one_has_a_delivery(site: Site) -> None:
    await site.put("one.txt", message({A: 1}))
    seen: list[str] = []

    async def accept(name: str, data: bytes) -> None:
        seen.append(name)

    at = datetime.now(UTC) + NOW
    await asyncio.gather(*(take_over(site.place, accept, at=at) for _ in range(6)))
    assert seen == ["one.txt"]
    assert await site.names("done") == ["one.txt"]


async def test_what_a_dead_taker_left_is_resumed_and_what_is_in_work_is_not(site: Site) -> None:
    await site.put("one.txt", message({A: 1}))
    assert await site.place.take("one.txt") is not None
    seen: list[bytes] = []

    async def accept(name: str, data: bytes) -> None:
        seen.append(data)

    assert await take_over(site.place, accept, at=datetime.now(UTC) + NOW) == []
    assert await resume(site.place, accept, before=datetime.now(UTC) - NOW) == []
    assert [one.name for one in await resume(site.place, accept, before=datetime.now(UTC) + NOW)] == [
        "one.txt"
    ]
    assert seen == [message({A: 1})] and await site.names("taking") == []


@pytest.mark.parametrize(
    "name", ["../evil.txt", "a/b.txt", ".hidden.txt", "x.txt.part", "a b.txt", "x=0123456789abcdef", ""]
)
async def test_a_name_is_never_a_path(site: Site, name: str) -> None:
    assert await site.place.take(name) is None


async def test_what_is_still_being_written_is_left_alone(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path)
    (tmp_path / "in" / "one.txt").write_bytes(message({A: 1})[:50])

    async def accept(name: str, data: bytes) -> None:
        raise AssertionError(name)

    assert await take_over(place, accept, at=datetime.now(UTC)) == []


async def test_links_and_devices_of_a_source_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(message({A: 1}))
    place = FolderPlace(tmp_path / "place")
    (tmp_path / "place" / "in" / "link.txt").symlink_to(secret)
    os.mkfifo(tmp_path / "place" / "in" / "pipe.txt")
    assert await place.list("in") == []
    (tmp_path / "place" / "taking" / "link.txt").symlink_to(secret)
    with pytest.raises(FileRefused, match="delivery_gone"):
        await place.read("taking", "link.txt")


async def test_an_sftp_server_with_another_key_is_not_spoken_to(sftp: SftpServer) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    place = sftp.place(host_keys=[other])
    with pytest.raises(WireFault) as fault:
        await place.list("in")
    assert (fault.value.code, fault.value.detail) == ("unreachable", "host_key")
    place = sftp.place(host_keys=[])
    with pytest.raises(WireFault, match="unreachable"):
        await place.list("in")


async def test_an_sftp_server_that_refuses_our_key_is_unreachable(sftp: SftpServer) -> None:
    place = sftp.place(client_key=asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    with pytest.raises(WireFault) as fault:
        await place.list("in")
    assert (fault.value.code, fault.value.detail) == ("unreachable", "refused")


async def test_an_sftp_server_that_was_away_is_used_again(sftp: SftpServer) -> None:
    place = sftp.place()
    assert await place.list("in") == []
    await sftp.stop()
    # The connection that was open is closed by the server's end of the listener only; ours is dropped too.
    await place.close()
    with pytest.raises(WireFault, match="unreachable"):
        await place.list("in")
    await sftp.start()
    assert await place.list("in") == []
    await place.close()


@pytest.mark.parametrize(
    "url", ["sftp://h/library", "sftp://u:p@h/library", "sftp://u@169.254.169.254/library"]
)
def test_an_sftp_address_names_its_user_holds_no_password_and_points_nowhere_forbidden(url: str) -> None:
    with pytest.raises(Exception, match="invalid_source_address"):
        read_address(url, Reachable())


async def test_a_delivery_that_is_too_old_is_not_believed_and_not_taken_for_none(site: Site) -> None:
    driver = driver_of(site.place)
    driver.longest = timedelta(days=5)
    await site.put("benefit-1.txt", message({A: 100}, day=1))
    answer = await driver.fetch("benefit", A, ["amount"], context(at=AT))
    assert (answer.status, answer.fault, answer.values) == ("no_answer", "outdated", {})


async def test_a_number_that_was_replaced_is_followed_in_the_delivery(site: Site) -> None:
    driver = driver_of(site.place)
    await site.put("benefit-1.txt", message({A: 100, B: 5}, replaced=A))
    answer = await driver.fetch("benefit", B, ["amount"], context())
    assert (answer.replaced_by, answer.values) == (A, {"amount": 100})


class Misbehaving:
    """A place that does what it is told before it does what it is asked."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.mode: str | None = None
        self.seconds = 0.0

    def behave(self, mode: str | None = None, *, seconds: float = 1.0) -> None:
        self.mode, self.seconds = mode, seconds

    async def list(self, folder: str) -> Any:
        if self.mode == "slow":
            await asyncio.sleep(self.seconds)
        if self.mode == "down":
            raise WireFault("unreachable")
        return await self._place.list(folder)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._place, name)


class TestConformance(Conformance):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[Case]:
        place = Misbehaving(FolderPlace(tmp_path))
        (tmp_path / "in" / "benefit.txt").write_bytes(message({A: 100, B: 1, C: 2}))
        driver = driver_of(place)  # type: ignore[arg-type]
        yield Case(driver, "benefit", A, D, place.behave, (B, C))
        await driver.close()

    # What a source of questions does in one answer, a source of files can only do in a delivery.
    async def test_an_answer_about_somebody_else_is_never_used(self, case: Case) -> None:
        assert (await case.driver.fetch("benefit", D, ["amount"], context())).values == {}

    async def test_two_answers_about_one_person_are_none(self, case: Case, tmp_path: Path) -> None:
        data = message({A: 100, B: 7}, reference="2", day=2).replace(B.encode(), A.encode())
        assert (await self.ask(case)).values["amount"] == 100
        (tmp_path / "in" / "twice.txt").write_bytes(data)
        assert (await self.ask(case)).values["amount"] == 100
        [why] = (tmp_path / "failed").glob("*.why")
        assert why.read_text() == "delivery_doubled\n"

    async def test_a_fault_of_the_source_is_no_answer(self, case: Case) -> None:
        case.misbehave("down")
        began = time.monotonic()
        answer = await self.ask(case)
        assert (answer.status, answer.fault) == ("no_answer", "unreachable")
        assert time.monotonic() - began < 5


def test_deliveries_are_ordered_by_when_they_came() -> None:
    early, late = (
        Delivery(datetime(2026, 1, day, tzinfo=UTC), name, 1) for day, name in ((1, "z"), (2, "a"))
    )
    assert sorted([late, early]) == [early, late]
