"""What the parts of the API share: one `Server` for each running application."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.requests import HTTPConnection

from anymask.errors import AnymaskError
from anymask.projects import Projects
from anymask.segmenter import EncodedImage
from anymask.server.fetching import Rules, fetch
from anymask.server.logs import LOGGER
from anymask.server.metrics import Metrics
from anymask.server.models import Models
from anymask.server.questions import Questions
from anymask.server.settings import Settings
from anymask.server.store import PictureInfo, PictureStore
from anymask.server.videos import VideoStore
from anymask.server.work import Work


class Server:
    """All that a server holds between requests. `ready` is None, or why it cannot answer yet or any more."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models = Models(settings)
        self.store = PictureStore(settings, self.models)
        self.videos = VideoStore(settings, self.store.folder)
        self.questions = Questions()
        self.projects = Projects(settings.projects, settings.max_pixels) if settings.projects else None
        self.work = Work(settings.workers, settings.waiting)
        self.metrics = Metrics(self.work, self.store, self.videos)
        self.ready: str | None = "The default model is being loaded."
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Load the default models, so that the first request does not wait for them."""
        self.in_background(self._load())

    async def stop(self) -> None:
        """Begin nothing more, and delete what clients have sent."""
        self.ready = "The server is stopping."
        for task in self._tasks:
            task.cancel()
        self.work.close()
        self.videos.close()
        self.store.close()

    async def encoded(self, identity: str, model: str) -> EncodedImage:
        """A picture, encoded; at once where it is already. Raises as `PictureStore.encoded`, and Busy."""
        found = self.store.ready(identity, model)
        if found is not None:
            return found
        return await self.work.heavy.run(self.store.encoded, identity, model)

    async def fetched(self, url: str) -> PictureInfo:
        """A picture from a public address. Raises FetchError, RequestError, ImageError."""
        with self.store.upload() as path:
            rules = Rules(max_bytes=self.settings.max_upload)
            await self.work.network.run(lambda: path.write_bytes(fetch(url, rules)))
            return await self.work.run(self.store.add, path)

    def in_background(self, job: Coroutine[Any, Any, Any]) -> None:
        """Do something that nobody waits for; what goes wrong is noted."""
        task = asyncio.create_task(self._noted(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _noted(self, job: Coroutine[Any, Any, Any]) -> None:
        try:
            await job
        except AnymaskError as error:
            LOGGER.info("background", extra={"error": str(error)})

    async def _load(self) -> None:
        names = {self.models.default(task) for task in ("segment", "matte")} - {None}
        try:
            for name in names:
                await self.work.heavy.run(self.models.remover, str(name))
            self.ready = None
        except AnymaskError as error:
            self.ready = f"The model {name} cannot be loaded: {error}"
            LOGGER.error("model", extra={"error": self.ready})


def server_of(connection: HTTPConnection) -> Server:
    """The server that a request or a WebSocket came to."""
    server: Server = connection.app.state.server
    return server
