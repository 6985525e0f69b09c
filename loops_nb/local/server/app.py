"""ASGI application: middleware around the routes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from loops_nb.local.errors import StoreError
from loops_nb.local.http_errors import HTTPError, on_http_error, on_http_exception, on_unexpected_error
from loops_nb.local.routes import (
    billing,
    capabilities,
    chat,
    checkpoints,
    data_plane,
    deployments,
    downloads,
    graphql,
    health,
    instance_types,
    legacy,
    models,
    runs,
    samplers,
    sessions,
    teams,
    user_config,
)
from loops_nb.local.server.disk_errors import on_disk_error
from loops_nb.local.server.middleware.absolute_target import AbsoluteTarget
from loops_nb.local.server.middleware.auth import Auth
from loops_nb.local.server.middleware.body_limit import BodyLimit
from loops_nb.local.server.middleware.header_limit import HeadLimit
from loops_nb.local.server.middleware.host_check import HostCheck
from loops_nb.local.server.middleware.rate_limit import RateLimit
from loops_nb.local.service import Service
from loops_nb.local.service_registry import service_token
from loops_nb.local.settings import Settings
from loops_nb.local.store.database import RecordStore

ROUTES: list[Route] = [
    *health.ROUTES,
    *sessions.ROUTES,
    *runs.ROUTES,
    *samplers.ROUTES,
    *checkpoints.ROUTES,
    *deployments.ROUTES,
    *capabilities.ROUTES,
    *user_config.ROUTES,
    *teams.ROUTES,
    *models.ROUTES,
    *chat.ROUTES,
    *billing.ROUTES,
    *instance_types.ROUTES,
    *legacy.ROUTES,
    *data_plane.ROUTES,
    *downloads.ROUTES,
    *graphql.ROUTES,
]


def make_app(settings: Settings) -> Starlette:
    """Return the service as an ASGI application; it owns its data folder until its lifespan ends.

    Raises
    ------
    StoreError
        If the data folder cannot be used.
    """
    store = RecordStore(settings.data_dir)
    try:
        # Only now that the folder is locked: a second service that starts there must not replace the token.
        token = "" if settings.any_key else service_token(settings.data_dir)
        service = Service(settings, store)
        notice = service.checkpoints.clean_up()
        if settings.sample:
            # Imports NumPy, which a service without the sample does not need.
            from loops_nb.local.sample_workspace import fill

            fill(store, service.statuses, seed=settings.seed)
    except (OSError, sqlite3.Error) as error:
        store.close()
        raise StoreError(f"the data folder {settings.data_dir} cannot be used ({error})") from None
    except BaseException:
        store.close()
        raise

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.workers.start()
        yield
        await service.workers.close()
        app.state.service = None
        store.close()

    words = {part for route in ROUTES for part in route.path.split("/") if not part.startswith("{")}
    app = Starlette(
        routes=ROUTES,
        # The order is that of a request's way in.
        middleware=[
            Middleware(HeadLimit),
            Middleware(AbsoluteTarget),
            Middleware(HostCheck, listens_on=settings.host),
            Middleware(Auth, token=token),
            Middleware(RateLimit, per_second=settings.rate_limit, words=words),
            Middleware(
                BodyLimit,
                limit=settings.body_limit,
                data_limit=settings.data_body_limit,
                total=settings.bodies_limit,
                seconds=settings.body_seconds,
                waiting=service.workers.waiting_bytes,
            ),
        ],
        exception_handlers={
            HTTPError: on_http_error,
            HTTPException: on_http_exception,
            StoreError: on_disk_error,
            OSError: on_disk_error,
            sqlite3.OperationalError: on_disk_error,
            Exception: on_unexpected_error,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    app.state.notice = notice
    return app
