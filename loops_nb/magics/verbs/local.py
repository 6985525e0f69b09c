"""``%loops local [start|stop|status]``."""

from __future__ import annotations

from loops_nb.config.paths import user_path
from loops_nb.magics.arguments import int_option, to_float
from loops_nb.magics.connection import LOCAL, Target, redacted_url
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option, switch
from loops_nb.render.formatting import many

_ANY_KEY = "It accepts any key, so every user of this machine can read, change and delete its data."


def _start(context: MagicContext, values: Values) -> None:
    from loops_nb.local import launcher

    before = launcher.status()
    folder = None if values.data_dir is None else user_path(values.data_dir, argument="data_dir", kind="folder")
    service = launcher.start(
        sample=not values.empty,
        data_dir=folder,
        speed=values.speed or launcher.DEFAULT_SPEED,
        port=values.port,
        any_key=values.any_key,
    )
    context.connection.select(Target(service.url, LOCAL))
    context.cache.clear()
    if before is not None and before.instance == service.instance:
        context.say(f"Local service on {service.url}, already running (data in {service.data_dir}).")
        if values.empty or folder or values.port or values.speed or values.any_key != service.any_key:
            context.say("The options were ignored: use %loops local stop first to start it with others.")
    else:
        context.say(f"Local service on {service.url}, started (data in {service.data_dir}).")
        if service.notice:
            context.say(service.notice)
    if service.any_key:
        context.say(_ANY_KEY)
    loops = context.loops
    runs, samplers = loops.runs.listing(), loops.samplers.listing()
    context.cache.add_listing(runs)
    context.cache.add_listing(samplers)
    sessions = len(set(runs.values("session_id")) - {None})
    has = f"{many(len(runs), 'run')} in {many(sessions, 'session')} and {many(len(samplers), 'sampler')}"
    connected = _connection_of_shell(context, service.url) or "You are connected to it, no key needed."
    context.say(f"It has {has}. {connected}")
    following = "%loops runs, or %loops watch, which updates live"
    if not len(runs):
        following = "s = %loops create session"
    context.say(f"Next: {following}")


def _connection_of_shell(context: MagicContext, url: str) -> str:
    """Return where further commands of a shell connect, in a sentence; empty in a notebook, which stays connected."""
    if not context.is_shell:
        return ""
    context.connection.select(None)
    target = context.connection.target()
    if target is not None and target.url == url:
        return "Commands connect to it, no key needed."
    elsewhere = "" if target is None else f"Commands connect to {redacted_url(target.url)} ({target.because}). "
    return f"{elsewhere}To connect to this one: export LOOPS_BASE_URL={url}"


def _stop(context: MagicContext, _values: Values) -> None:
    from loops_nb.local import launcher

    stopped = launcher.stop()
    if stopped is None:
        context.say("No local service was running. Nothing was changed.")
        return
    if context.connection.is_selected(stopped.url):
        context.connection.select(None)
    context.say(
        f"Stopped the local service on {stopped.url}. Its data is kept in {stopped.data_dir}; %loops local start "
        f"starts it again."
    )


def _status(context: MagicContext, _values: Values) -> None:
    from loops_nb.local import launcher

    service = launcher.status()
    if service is None:
        context.answer("No local service is running. %loops local start starts one.")
        return
    connected = "%loops connect local connects to it."
    if context.connection.is_selected(service.url):
        connected = "You are connected to it."
    connected = _connection_of_shell(context, service.url) or connected
    since = service.started_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    what = f"version {service.version}, process {service.pid}, data in {service.data_dir}"
    context.answer(f"Local service on {service.url} since {since}, {what}. {connected}")
    if service.any_key:
        context.say(_ANY_KEY)


VERB = Verb(
    name="local",
    summary="local Loops service on this machine: no key, no network",
    default="status",
    verbs=(
        Verb(
            name="local start",
            summary="start the local service, or find the running one, and connect to it",
            run=_start,
            returns_frame=True,
            when_interrupted="It may have started: see %loops local status.",
            options=(
                switch("--empty", "start without sample data"),
                option(
                    "--data-dir", "DIR", "folder for its data; default in your user data folder", completes="folder"
                ),
                option(
                    "--speed",
                    "N",
                    "speed of state changes relative to the hosted service (default 10)",
                    free_text=True,
                    convert=to_float,
                ),
                int_option("--port", "port on 127.0.0.1; default a free one", default=0),
                switch("--any-key", "accept any API key instead of its token: every user of this machine can use it"),
            ),
            notes="It keeps running after the notebook ends, and all your notebooks find it and its token. "
            "Other programs use the token as API key: loops-nb token prints it. %loops local stop stops it and keeps "
            "its data.",
            examples=("%loops local start", "%loops local start --empty --speed 1"),
        ),
        Verb(
            name="local stop",
            summary="stop the local service; its data is kept",
            run=_stop,
            when_interrupted="It may be stopping: see %loops local status.",
            examples=("%loops local stop",),
        ),
        Verb(name="local status", summary="show whether it runs, and where", run=_status, examples=("%loops local",)),
    ),
    examples=("%loops local start", "%loops local", "%loops local stop"),
)
