"""Mutations: published by a source, given a number for each subscriber, read, recorded, acknowledged.

Everything is there and every part is a process of its own: the keeper's system publishes over signed HTTP, a thousand a
request; the platform's web process passes them on and delivers; two consumers read with the Python client, apply what
they read in a transaction of their own (SQLite) that also keeps their place, and acknowledge. Each mutation is told to
both. The clock runs from the first publication to the last acknowledgement; starting processes is not measured.

Then the same with kill -9, again and again, of whichever process is drawn: the publisher, the web process, the process
that pushes, the consumer that reads. One subscription is read, the other pushed. At the end every number of each
subscription must have taken effect, once, and be about the person that was published at its place.

`lost`: numbers that never took effect. `doubled`: effects beyond the first of a number, and numbers beyond those that
were published. There is no result unless both subscribers' sequences hold exactly what was published, in order.
"""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.frame import CpuMeter, result, row, show
from benchmarks.region import (
    ROOT,
    Bench,
    free_port,
    instant_sources,
    open_bench,
    serve,
    settings_of,
    subjects,
)

from koinon.base.database import Database
from koinon.base.errors import KoinonError, Unavailable
from koinon.client import Client, Pins
from koinon.client.mutations import Delivery, Mutation, Mutations, Receiver
from koinon.demo.region import FLOW, NORTH, PURPOSE, load_key
from koinon.integrator.directory import DirectoryKeys, insert_dossiers, new_line
from koinon.trust.parties import load_register

PERSONS, MUTATIONS, KILLS, RUNS = 20_000, 50_000, 20, 5
QUICK, QUICK_KILLS = 10_000, 3
SOURCE = "rijksregister"
RENT = ("social-dwelling-rent", "social_dwelling_rent")
_DAY = date(2026, 11, 20)


def run(
    *, quick: bool = False, mutations: int | None = None, runs: int | None = None, kills: int | None = None
) -> dict[str, Any]:
    """The rows of the benchmark `mutations`; `quick` measures fewer and says so."""
    count = mutations or (QUICK if quick else MUTATIONS)
    times = runs or (1 if quick else RUNS)
    deaths = kills if kills is not None else (QUICK_KILLS if quick else KILLS)
    with open_bench(PERSONS) as bench:
        asyncio.run(_prepare(bench))
        people = subjects(PERSONS)
        found = []
        next_ = 1
        for number in range(times):
            found.append(_measure(bench, people, next_, count, f"run-{number}"))
            next_ += count
        after = _kill(bench, people, next_, deaths)

    def ours(name: str) -> list[float]:
        return [each[name] for each in found]

    return result(
        "mutations",
        [
            row("per_s", f"of {count} mutations, published, told to 2 subscribers each, read, recorded and "
                "acknowledged", "1/s", ours("rate"), ">= 5000"),
            row("numbers_per_s", "numbers that were delivered and acknowledged", "1/s",
                [2 * each for each in ours("rate")]),
            row("cpu_us", "CPU of platform and PostgreSQL for a mutation told to two", "us", ours("cpu_us")),
            row("postgresql_us", "of which PostgreSQL", "us", ours("postgresql_us")),
            row("consumers_us", "CPU of both consumers for a mutation", "us", ours("consumers_us")),
            row("published_per_s", "of which publishing alone, until the last was taken", "1/s", ours("published")),
            row("kills", f"kill -9 of {after['victims']}", "", [after["kills"]]),
            row("published_meanwhile", "mutations that were published while processes were killed", "",
                [after["published"]]),
            row("lost", "numbers that never took effect", "", [after["lost"]], "<= 0"),
            row("doubled", "effects beyond the first, numbers beyond those published", "", [after["doubled"]], "<= 0"),
            row("again", "numbers that came more than once and were recognised", "", [after["again"]]),
        ],
    )  # fmt: skip


async def _prepare(bench: Bench) -> None:
    """The consumer has its files for a second purpose too; the keeper's system is the demo region's."""
    now = datetime.now(UTC)
    async with await Database.open(bench.url, kind="owner", max_size=2) as database:
        async with database.transaction() as connection:
            register = await load_register(connection)
            kid = load_key(bench.home, f"{SOURCE}-system").key_id
            [keeper] = [register.parties[each.party] for each in register.keys.values() if each.kid == kid]
        lines = [
            new_line(RENT[1], each, f"R{n}", "bench", now - timedelta(days=1), now + timedelta(days=9))
            for n, each in enumerate(subjects(PERSONS))
        ]
        [north] = {each.party for each in register.keys.values() if each.kid == _key(bench.home).key_id}
        async with database.transaction() as connection:
            await insert_dossiers(connection, DirectoryKeys.load(bench.home), north, lines, now)
            await connection.execute("ANALYZE")
    (bench.home / "sources.toml").write_text(
        f'[{SOURCE}]\naddress = "http://127.0.0.1:9/x"\nkeeper = "{keeper.enterprise_number}"\n'
    )


def _key(home: Path) -> Any:
    return load_key(home, f"{NORTH}-system")


def _mutation(people: Sequence[str], sequence: int) -> Mutation:
    """The source's mutation of that number: any process knows it from its number alone."""
    subject = people[(sequence * 7919) % len(people)]
    return Mutation(sequence=sequence, kind="changed", service="person", subject=subject, effective_on=_DAY)


def _client(home: Path, origin: str, name: str) -> Client:
    from koinon.app.wiring import platform_key

    return Client(origin, load_key(home, name), Pins([platform_key(home).verify_key]))


class Child:
    """A process of the benchmark that is started again after each death."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self.start()

    def start(self) -> None:
        """It runs, and has said so."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.mutations", *self._words], cwd=ROOT, stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL, env={**os.environ, "KOINON_LOG_LEVEL": "error"},
        )  # fmt: skip
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise RuntimeError(f"{self._words} ended before it was up")

    def end(self, number: int = signal.SIGTERM) -> None:
        """It runs no more."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextlib.contextmanager
def _children() -> Iterator[list[Child]]:
    running: list[Child] = []
    try:
        yield running
    finally:
        for child in reversed(running):
            child.end()


def _subscribe(bench: Bench, origin: str, push: str | None) -> list[tuple[UUID, int]]:
    """The two subscriptions and where each stands; the second is pushed, if it is."""
    with _client(bench.home, origin, f"{NORTH}-system") as client:
        mutations = Mutations(client)
        found = [
            mutations.subscribe(flow=FLOW, purpose=PURPOSE, case="BENCH"),
            mutations.subscribe(flow=RENT[0], purpose=RENT[1], case="BENCH", push_address=push),
        ]
    return [(each.id, each.last) for each in found]


def _measure(bench: Bench, people: Sequence[str], first: int, count: int, name: str) -> dict[str, float]:
    port = free_port()
    origin, home = f"http://127.0.0.1:{port}", str(bench.home)
    with _children() as children:
        children.append(Child("web", home, bench.url, str(port)))
        stands = _subscribe(bench, origin, None)
        books = [bench.home / f"{name}-{n}.db" for n in range(2)]
        for (subscription, last), book in zip(stands, books, strict=True):
            children.append(Child("consume", home, origin, str(subscription), str(book), str(last)))
        publisher = Child("publish", home, origin, str(first), str(count), "0")
        children.append(publisher)
        # It is up, and begins at this moment.
        began = time.perf_counter()
        meters = [CpuMeter(bench.server), CpuMeter(children[0].process.pid)]
        clients = CpuMeter(*(child.process.pid for child in children[1:3]))
        publisher.process.wait()
        published = time.perf_counter() - began
        with _client(bench.home, origin, f"{NORTH}-system") as client:
            mutations = Mutations(client)
            while any(mutations.look(each).acknowledged < last + count for each, last in stands):
                if time.perf_counter() - began > 600:
                    raise RuntimeError("the consumers do not come through")
                time.sleep(0.1)
        seconds = time.perf_counter() - began
        cpu = [meter.seconds() for meter in meters]
        consumers = clients.seconds()
    for (_, last), book in zip(stands, books, strict=True):
        lost, doubled, _ = _audit(people, first, count, last, _effects(book))
        if lost or doubled:
            raise RuntimeError(f"lost {lost}, doubled {doubled}")
    return {
        "rate": count / seconds,
        "published": count / published,
        "cpu_us": sum(cpu) / count * 1e6,
        "postgresql_us": cpu[0] / count * 1e6,
        "consumers_us": consumers / count * 1e6,
    }


def _kill(bench: Bench, people: Sequence[str], first: int, kills: int) -> dict[str, Any]:
    """Mutations are published for as long as processes are killed; what came of it at both subscribers."""
    port = free_port()
    origin, home = f"http://127.0.0.1:{port}", str(bench.home)
    books = [bench.home / "kill-read.db", bench.home / "kill-pushed.db"]
    draw = random.Random(20261129)
    names = ("publisher", "web", "pusher", "consumer")
    pause = 0.1  # between publications of fifty: a stream that lasts, so that each death finds something under way
    enough = bench.home / "enough"
    with _children() as children:
        web = Child("web", home, bench.url, str(port))
        children.append(web)
        told = free_port()  # after the other is taken: it could be the same one
        stands = _subscribe(bench, origin, f"http://127.0.0.1:{told}/told")
        receiver = Child("receive", home, str(told), str(books[1]))
        pusher = Child("push", home, bench.url)
        consumer = Child("consume", home, origin, str(stands[0][0]), str(books[0]), str(stands[0][1]))
        publisher = Child("publish", home, origin, str(first), str(10**9), str(pause), str(enough))
        children += [receiver, pusher, consumer, publisher]
        victims = dict(zip(names, (publisher, web, pusher, consumer), strict=True))
        order = [names[n % len(names)] for n in range(kills)]
        draw.shuffle(order)
        done = 0
        for name in order:
            time.sleep(draw.uniform(0.05, 1.0))
            victim = victims[name]
            victim.end(signal.SIGKILL)
            victim.start()
            done += 1
        time.sleep(1.0)
        enough.touch()
        publisher.process.wait(120)
        with _client(bench.home, origin, f"{SOURCE}-system") as client:
            stream = Mutations(client).stream(SOURCE)
        if stream.held or stream.missing:
            raise RuntimeError(f"the source has a gap: {stream}")
        count = stream.passed_until - first + 1
        deadline = time.monotonic() + 600
        with _client(bench.home, origin, f"{NORTH}-system") as client:
            mutations = Mutations(client)
            while True:
                with contextlib.suppress(Unavailable):
                    if all(mutations.look(each).acknowledged >= last + count for each, last in stands):
                        break
                if time.monotonic() > deadline:
                    views = [mutations.look(each) for each, _ in stands]
                    raise RuntimeError(f"not through: {views}")
                time.sleep(0.1)
            ends = [mutations.look(each).last for each, _ in stands]
    lost = doubled = again = 0
    for (_, last), book, end in zip(stands, books, ends, strict=True):
        effects = _effects(book)
        missed, twice, wrong = _audit(people, first, count, last, effects)
        if wrong:
            raise RuntimeError(f"{wrong} numbers are about somebody else")
        lost += missed
        doubled += twice + (end - last - count)
        again += _again(book)
    return {
        "lost": lost,
        "doubled": doubled,
        "kills": done,
        "again": again,
        "published": count,
        "victims": ", ".join(names),
    }


def _audit(
    people: Sequence[str], first: int, count: int, last: int, effects: list[tuple[int, str]]
) -> tuple[int, int, int]:
    """Numbers that are missing, effects beyond one a number, numbers about another than was published there."""
    seen: dict[int, str] = {}
    doubled = wrong = 0
    for number, subject in effects:
        if number in seen:
            doubled += 1
        seen[number] = subject
        wrong += subject != _mutation(people, first + number - last - 1).subject
    return count - len(seen.keys() & set(range(last + 1, last + count + 1))), doubled, wrong


# The processes


class Book:
    """A consumer's own database: what took effect, and up to where, in one transaction."""

    def __init__(self, path: Path, start: int) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS effect (number INTEGER, subject TEXT)")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY, until INTEGER, again INTEGER)"
        )
        self._db.execute("INSERT OR IGNORE INTO place VALUES (1, ?, 0)", (start,))

    @property
    def until(self) -> int:
        """The number up to which everything took effect."""
        return int(self._db.execute("SELECT until FROM place").fetchone()[0])

    def apply(self, delivery: Delivery) -> int:
        """Numbers that had not taken effect, have; returns up to which."""
        self._db.execute("BEGIN IMMEDIATE")
        until = self.until
        if delivery.after > until:  # never: a platform that skips numbers is found out here
            raise RuntimeError(f"a hole after {until}")
        new = [(item.number, item.subject) for item in delivery.items if item.number > until]
        self._db.executemany("INSERT INTO effect VALUES (?, ?)", new)
        self._db.execute(
            "UPDATE place SET until = max(until, ?), again = again + ?",
            (delivery.until, len(delivery.items) - len(new)),
        )
        self._db.execute("COMMIT")
        return max(until, delivery.until)


def _effects(path: Path) -> list[tuple[int, str]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [(row[0], row[1]) for row in db.execute("SELECT number, subject FROM effect")]


def _again(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT again FROM place").fetchone()[0])


def _publish(home: Path, origin: str, first: int, count: int, pause: float, enough: Path | None) -> None:
    """From wherever the platform says that the source is, to the end, or until the file `enough` is there."""
    people = subjects(PERSONS)
    size = 50 if pause else 1000
    print("publishing", flush=True)
    with _client(home, origin, f"{SOURCE}-system") as client:
        mutations = Mutations(client)
        while True:
            try:
                next_ = max(first, mutations.stream(SOURCE).passed_until + 1)
                while next_ < first + count and not (enough is not None and enough.exists()):
                    end = min(next_ + size, first + count)
                    mutations.publish(
                        SOURCE, [_mutation(people, n) for n in range(next_, end)], begins_at=first
                    )
                    next_ = end
                    time.sleep(pause)
                return
            except Unavailable:
                time.sleep(0.1)


def _consume(home: Path, origin: str, subscription: UUID, path: Path, start: int) -> None:
    """Reads, applies, acknowledges, for ever."""
    book = Book(path, start)
    print("consuming", flush=True)
    with _client(home, origin, f"{NORTH}-system") as client:
        mutations = Mutations(client)
        told = start
        while True:
            try:
                delivery = mutations.read(subscription, book.until, wait_seconds=5)
                book.apply(delivery)
                if book.until > told:
                    told = mutations.acknowledge(subscription, book.until).acknowledged
            except Unavailable:
                time.sleep(0.05)
            except KoinonError as error:
                # A platform that has just been started again may not be able to confirm its standing yet.
                if error.code != "standing_unconfirmed":
                    raise
                time.sleep(0.05)


async def _receive(home: Path, port: int, path: Path) -> None:
    """The subscriber's end of pushes."""
    import uvicorn

    from koinon.app.wiring import platform_key

    book = Book(path, 0)
    pins = Pins([platform_key(home).verify_key])
    receiver = Receiver(_key(home), pins, authority=f"127.0.0.1:{port}", path="/told")
    first = True

    def apply(delivery: Delivery) -> int:
        nonlocal first
        if first:  # its place is where its subscription was when it began
            book._db.execute("UPDATE place SET until = max(until, ?)", (delivery.after,))
            first = False
        return book.apply(delivery)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status, headers, answer = receiver.take(scope["headers"], body, apply)
        headers = [*headers, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    )
    task = asyncio.ensure_future(server.serve())
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    print("receiving", flush=True)
    await task


async def _push(home: Path, url: str) -> None:
    from koinon.app.mutations import mutations_of
    from koinon.app.wiring import open_platform
    from koinon.integrator.mutations import Pusher

    async with open_platform(settings_of(home, url, 0), sources=instant_sources(), kind="worker") as platform:
        print("pushing", flush=True)
        pusher = Pusher(
            mutations_of(platform),
            platform.key,
            poll_seconds=0.05,
            silence=timedelta(seconds=1.5),
            push_seconds=1.0,
        )
        await pusher.run()


def _main(words: list[str]) -> None:
    match words:
        case ["web", home, url, port]:
            asyncio.run(serve(settings_of(Path(home), url, int(port))))
        case ["publish", home, origin, first, count, pause, *enough]:
            ended = Path(enough[0]) if enough else None
            _publish(Path(home), origin, int(first), int(count), float(pause), ended)
        case ["consume", home, origin, subscription, path, start]:
            _consume(Path(home), origin, UUID(subscription), Path(path), int(start))
        case ["receive", home, port, path]:
            asyncio.run(_receive(Path(home), int(port), Path(path)))
        case ["push", home, url]:
            asyncio.run(_push(Path(home), url))
        case _:
            quick = "--quick" in words
            numbers = [int(word) for word in words if word.isdigit()]
            show(run(quick=quick, kills=numbers[0] if numbers else None))


if __name__ == "__main__":
    _main(sys.argv[1:])
