"""`python -m koinon.demo.cameras FOLDER`: virtual cameras until interrupted; says its port on the first line, and with
`--tls` the fingerprint of its certificate on the second.
"""

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from koinon.demo.cameras.certificate import make_certificate
from koinon.demo.cameras.clip import ClipUnavailable, make_clip, read_clip
from koinon.demo.cameras.replay import ReplayServer, holding
from koinon.demo.cameras.server import CameraServer


def main(
    folder: Annotated[Path, typer.Argument(help="Where clips are kept.")],
    port: int = 0,
    clip: Annotated[Path | None, typer.Option(help="A video file to send instead.")] = None,
    seconds: int = 10,
    width: int = 1280,
    height: int = 720,
    rate: int = 25,
    kbits: int = 2000,
    gop: int = 50,
    replays: Annotated[
        float, typer.Option(help="Hold and replay so many days, as a partner's system does.")
    ] = 0,
    tls: Annotated[bool, typer.Option("--tls", help="Serve rtsps, with a certificate made now.")] = False,
) -> None:
    """Cameras at rtsp://127.0.0.1:PORT/<any name>."""
    try:
        path = clip or make_clip(
            folder, seconds=seconds, width=width, height=height, rate=rate, kbits=kbits, gop=gop
        )
        read = read_clip(path)
    except ClipUnavailable as error:
        print(error, file=sys.stderr)
        raise typer.Exit(69) from None

    async def serve() -> None:
        kind = partial(ReplayServer, held=holding(replays)) if replays else CameraServer
        certificate = make_certificate() if tls else None
        async with kind([read], port=port, certificate=certificate) as server:
            print(server.port, flush=True)
            if certificate is not None:
                print(certificate.fingerprint, flush=True)
            await asyncio.Event().wait()

    uvloop.run(serve())


if __name__ == "__main__":
    typer.run(main)
