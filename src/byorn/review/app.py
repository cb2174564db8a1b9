"""The review page: files of the page, rows, images and decisions."""

import io
import json
from collections.abc import Callable
from importlib.resources import files

from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from byorn.data.problem import RowProblem
from byorn.errors import ByornError
from byorn.flagging.table import REVIEWS
from byorn.review.desk import STATES, Desk

PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
LARGEST = 1600
"""Pixels of the longer side of an image that is shown."""


def build_app(desk: Desk) -> Starlette:
    """The application, for rows on a desk; `Guard` stands in front of it."""

    def queue(request: Request) -> Response:
        asked = request.query_params
        state = asked.get("state", STATES[0])
        if state not in STATES:
            raise HTTPException(400, f"state is one of {', '.join(STATES)}")
        found = desk.queue(state, _chosen(request, desk), asked.get("text", ""))
        return JSONResponse({"rows": found, "counts": desk.counts(), "filters": desk.offered()})

    def row(request: Request) -> Response:
        return JSONResponse(desk.row(_number(request, desk)))

    def image(request: Request) -> Response:
        images = desk.rows[_number(request, desk)].images
        place = request.path_params["image"]
        if place >= len(images):
            raise HTTPException(404, "no such image")
        try:
            return Response(_encoded(images[place].load()), media_type="image/png")
        except (RowProblem, OSError) as problem:
            raise HTTPException(422, f"the image cannot be shown: {problem}") from problem

    async def decide(request: Request) -> Response:
        number = _number(request, desk)
        said = _object(await request.body())
        word = said.get("review")
        why = said.get("why", "")
        if word not in REVIEWS or not isinstance(why, str):
            raise HTTPException(400, f"review is one of {', '.join(REVIEWS)}, why a text")
        await run_in_threadpool(desk.decide, number, word, why)
        return JSONResponse({"row": desk.row(number), "counts": desk.counts()})

    async def undo(request: Request) -> Response:
        number = await run_in_threadpool(desk.undo)
        return JSONResponse({"row": None if number is None else desk.row(number), "counts": desk.counts()})

    routes = [
        *(Route(path, _file(name, kind)) for path, (name, kind) in PAGE.items()),
        Route("/queue", queue),
        Route("/rows/{number:int}", row),
        Route("/rows/{number:int}", decide, methods=["POST"]),
        Route("/rows/{number:int}/images/{image:int}", image),
        Route("/undo", undo, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={ByornError: _told, HTTPException: _told, OSError: _told})


def _told(request: Request, error: Exception) -> Response:
    """An error in one line."""
    if isinstance(error, HTTPException):
        return PlainTextResponse(f"{error.detail}\n", error.status_code)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)  # a full disk, say
    return PlainTextResponse(f"{reason}\n", 500)


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    content = files("byorn.review").joinpath("page", name).read_bytes()

    def answer(request: Request) -> Response:
        return Response(content, headers={"content-type": kind})

    return answer


def _chosen(request: Request, desk: Desk) -> dict[int, int]:
    """The values that are asked for: `filter0=3` is the fourth value of the first filter."""
    asked = {number: request.query_params.get(f"filter{number}") for number in range(len(desk.filters))}
    chosen = {number: int(text) for number, text in asked.items() if text is not None and text.isdecimal()}
    if any(at >= len(desk.filters[number].values) for number, at in chosen.items()):
        raise HTTPException(400, "no such value of a filter")
    return chosen


def _number(request: Request, desk: Desk) -> int:
    number: int = request.path_params["number"]
    if number >= len(desk.rows):
        raise HTTPException(404, "no such row")
    return number


def _object(body: bytes) -> dict[str, object]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise HTTPException(400, "not a JSON object")
    return said


def _encoded(image: Image.Image) -> bytes:
    """Encoded again, so that nothing of the file but its pixels reaches the browser."""
    image.thumbnail((LARGEST, LARGEST))
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
