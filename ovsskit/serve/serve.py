"""One `ovsskit serve`: read the recipes, look at the images, and answer until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ovsskit.embedded import NOUNS
from ovsskit.engine.devices import choose_batch, choose_device
from ovsskit.engine.images import allow_pixels
from ovsskit.engine.notices import TakesNotice, hearing
from ovsskit.errors import BadClasses, BadValue, MissingExtra, Place
from ovsskit.files.decoding import adopt_warnings
from ovsskit.files.inputs import find_images
from ovsskit.recipe.class_lists import parse_classes
from ovsskit.recipe.vocabulary import refuse_file
from ovsskit.run.options import ImageOptions
from ovsskit.run.samples import sample_images

PORT, SIDE = 7860, 1024


@dataclass(frozen=True)
class ServeOptions(ImageOptions):
    """Hold what a person asked of `ovsskit serve`; large images are shrunk to `side` pixels."""

    against: str = ""
    port: int = PORT
    side: int = SIDE


def serve(options: ServeOptions, notes: TakesNotice, ready: Callable[[str], None]) -> None:
    """Answer the page's requests until the process is stopped; `ready` is told the address.

    Raises:
        OvsskitError: something is wrong with a recipe, the images, the device or the weights, or
            the port is taken.
    """
    adopt_warnings()
    with hearing(notes):
        web = _web(options)
        try:
            import uvicorn
        except ImportError as error:
            raise _missing() from error
        listening = _listen(options.port)
        port = listening.getsockname()[1]
        config = uvicorn.Config(web.app(port), log_level="warning", access_log=False)
        ready(f"http://127.0.0.1:{port}/")
        uvicorn.Server(config).run(sockets=[listening])


def _web(options: ServeOptions) -> Any:
    try:
        from ovsskit.serve.web import Web
    except ImportError as error:
        raise _missing() from error
    from ovsskit.serve.pictures import Pictures
    from ovsskit.serve.workbench import Workbench

    allow_pixels(options.reading.max_pixels)
    device = choose_device(options.device)
    batch = choose_batch(options.batch, device)
    names = [options.recipe, *([options.against] if options.against else [])]
    sets = [options.overrides, ()]
    benches = [Workbench(*pair, device, batch) for pair in zip(names, sets, strict=False)]
    images = find_images(options.images) if options.images else sample_images()
    pictures = Pictures(images[: options.limit], options.side, options.reading)
    return Web(benches, pictures, _classes(options, benches[0].own.names))


def _classes(options: ServeOptions, own: tuple[str, ...]) -> str:
    """Return the classes with which the page opens."""
    if options.classes is not None:
        names = parse_classes(options.classes)
        refuse_file(names)
        return options.classes
    if own:
        return ", ".join(own)
    if not options.images:
        return ", ".join(NOUNS)
    raise BadClasses("Nothing says which classes to look for.", fix='--classes "dog, cat, grass"')


def _listen(port: int) -> socket.socket:
    """Return a socket on the loopback address; port 0 is any that is free."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen()  # whoever asks before the server runs waits, and is not refused
    except (OSError, OverflowError) as error:
        listening.close()
        what = f"The port {port} cannot be used: {error}."
        raise BadValue(what, fix="Name another: --port 0 is any.", where=Place("--port")) from error
    return listening


def _missing() -> MissingExtra:
    what = "The page needs starlette and uvicorn, which are not installed."
    return MissingExtra(what, fix='pip install "ovsskit[serve]"')
