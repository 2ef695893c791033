"""Answer the page's requests: on the loopback address, to the page itself, and to nobody else."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ovsskit._lazy import numpy
from ovsskit.errors import BadValue, OvsskitError, Place
from ovsskit.run.output.overlay import measure_areas
from ovsskit.run.output.page import render_page
from ovsskit.serve.pictures import Pictures
from ovsskit.serve.variant import variant_text
from ovsskit.serve.workbench import Answer, Workbench

MOST_BYTES = 40_000_000
"""The largest image that may be dropped."""
MOST_JSON = 200_000
LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Web:
    """Hold what requests are answered with."""

    benches: Sequence[Workbench]
    pictures: Pictures
    classes: str

    def app(self, port: int) -> Starlette:
        """Return the application, which answers at a port of this machine alone."""
        routes = [
            Route("/", self.page),
            Route("/image/{name}", self.image),
            Route("/thumb/{name}", self.thumb),
            Route("/images", self.images),
            Route("/drop", self.drop, methods=["POST"]),
            Route("/segment", self.segment, methods=["POST"]),
            Route("/variant", self.variant, methods=["POST"]),
        ]
        return Starlette(
            routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=_own_only(port))]
        )

    async def page(self, request: Request) -> Response:
        """Return the page."""
        data = {
            "recipes": [_described(bench) for bench in self.benches],
            "classes": self.classes,
            "images": self._listed(),
        }
        text = render_page("ovsskit.serve", "page.html", data=data)
        return Response(text, media_type="text/html", headers={"Cache-Control": "no-store"})

    async def images(self, request: Request) -> Response:
        """Return the names of all images."""
        return JSONResponse(self._listed())

    async def image(self, request: Request) -> Response:
        """Return an image."""
        return await self._jpeg(request, thumb=False)

    async def thumb(self, request: Request) -> Response:
        """Return a small image."""
        return await self._jpeg(request, thumb=True)

    async def drop(self, request: Request) -> Response:
        """Take an image that was dropped on the page."""
        title = Path(request.query_params.get("name", "image")).name[:200] or "image"

        async def take() -> Any:
            content = await _body(request, MOST_BYTES)
            return {"name": await run_in_threadpool(self.pictures.add, content, title)}

        return await _told(take)

    async def segment(self, request: Request) -> Response:
        """Segment an image by words and values of parameters."""

        async def answer() -> Any:
            asked = await _asked(request)
            bench = self._bench(asked)
            image = await run_in_threadpool(self.pictures.read, str(asked.get("image", "")))
            found = await run_in_threadpool(
                bench.segment,
                image,
                str(asked.get("classes", "")),
                dict(asked.get("values", {})),
                maps=bool(asked.get("maps")),
            )
            return await run_in_threadpool(_plain, found)

        return await _told(answer)

    async def variant(self, request: Request) -> Response:
        """Return the present values as a recipe; the browser saves it where the person says."""

        async def text() -> Any:
            asked = await _asked(request)
            bench = self._bench(asked)
            classes, values = str(asked.get("classes", "")), dict(asked.get("values", {}))
            written = await run_in_threadpool(variant_text, bench, classes, values)
            return {"name": f"{bench.title}-variant.toml", "text": written}

        return await _told(text)

    async def _jpeg(self, request: Request, *, thumb: bool) -> Response:
        name = request.path_params["name"]
        try:
            content = await run_in_threadpool(self.pictures.jpeg, name, thumb=thumb)
        except OvsskitError as error:
            return PlainTextResponse(error.reason, status_code=404)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    def _bench(self, asked: dict[str, Any]) -> Workbench:
        number = asked.get("recipe", 0)
        if not isinstance(number, int) or not 0 <= number < len(self.benches):
            raise BadValue("There is no such recipe on the page.", where=Place("recipe"))
        return self.benches[number]

    def _listed(self) -> list[dict[str, str]]:
        return [{"name": one, "title": self.pictures.title(one)} for one in self.pictures.names]


def _own_only(port: int) -> Callable[..., Awaitable[Response]]:
    """Refuse requests to another host's name, and those that another site's page sends."""
    hosts = {f"{name}:{port}" for name in LOOPBACK}
    origins = {f"http://{host}" for host in hosts}

    async def dispatch(request: Request, go_on: Callable[..., Awaitable[Response]]) -> Response:
        origin = request.headers.get("origin")
        if request.headers.get("host", "") not in hosts or origin not in {None, *origins}:
            return PlainTextResponse("This page answers only to itself.", status_code=403)
        if request.method == "POST" and origin is None:
            return PlainTextResponse("Only the page itself may ask this.", status_code=403)
        return await go_on(request)

    return dispatch


async def _told(answer: Callable[[], Awaitable[Any]]) -> Response:
    """Return an answer as JSON, or in words what is wrong."""
    try:
        return JSONResponse(await answer())
    except OvsskitError as error:
        return JSONResponse({"error": error.reason}, status_code=400)


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > most:
            what = f"That is more than {most / 1e6:g} MB."
            raise BadValue(what, fix="Resize it.", where=Place("upload"))
    return b"".join(parts)


async def _asked(request: Request) -> dict[str, Any]:
    try:
        asked = json.loads(await _body(request, MOST_JSON))
    except ValueError:
        asked = None
    if not isinstance(asked, dict) or not isinstance(asked.get("values", {}), dict):
        raise BadValue("The page does not send such requests.", where=Place("request"))
    return asked


def _described(bench: Workbench) -> dict[str, Any]:
    return {
        "title": bench.title,
        "parameters": [
            {
                "address": one.address,
                "kind": one.kind,
                "low": one.low,
                "high": one.high,
                "step": one.step,
                "log": one.log,
                "choices": [str(choice) for choice in one.choices],
                "value": _shown(bench.start[one.address]),
            }
            for one in bench.space
        ],
    }


def _shown(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _plain(found: Answer) -> dict[str, Any]:
    """Return an answer as JSON: every pixel's rank among the classes by area, packed."""
    areas = measure_areas(found.ids, found.vocabulary)
    height, width = found.ids.shape
    ranks = numpy.zeros((height, width), "uint8")
    for rank, area in enumerate(areas[:256]):
        ranks[found.ids == area.number] = rank
    background = found.vocabulary.ids[0]
    return {
        "width": width,
        "height": height,
        "ranks": base64.b64encode(zlib.compress(ranks.tobytes())).decode(),
        "classes": [
            {
                "name": area.name,
                "colour": "#{:02x}{:02x}{:02x}".format(*area.colour),
                "area": area.fraction,
                "background": area.number == background,
            }
            for area in areas[:256]
        ],
        "seconds": found.seconds,
        "maps": [
            {"stage": one.stage, "kind": one.kind, "round": one.round, "text": one.text}
            | ({"png": _png(one.image)} if one.image is not None else {})
            for one in found.sheets
        ],
    }


def _png(image: Any) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
