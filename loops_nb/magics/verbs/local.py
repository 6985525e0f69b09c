"""``%loops local [start|stop|status]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.drawing.wording import many
from loops_nb.home import user_path
from loops_nb.magics.connection import LOCAL, Target
from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.values import number
from loops_nb.magics.verbs.options import count

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk

_CHOSEN = "the local service running on this machine"
_ANY_KEY = "Any key opens it, so every user of this machine can read, change and delete what is in it."


def _start(desk: Desk, values: SimpleNamespace) -> None:
    from loops_nb.local import launcher  # noqa: PLC0415

    before = launcher.status()
    folder = None if values.data_dir is None else user_path(values.data_dir, argument="data_dir", kind="folder")
    service = launcher.start(
        sample=not values.empty,
        data_dir=folder,
        speed=values.speed or launcher.DEFAULT_SPEED,
        port=values.port,
        any_key=values.any_key,
    )
    desk.connection.choose(Target(service.url, LOCAL))
    desk.knowledge.forget()
    found = before is not None and before.instance == service.instance
    ignored = found and (values.empty or folder is not None or values.port or values.speed or values.any_key != service.any_key)
    desk.say(f"Local service on {service.url}, {'already running' if found else 'started'} (data in {service.data_dir}).")
    if service.notice and not found:
        desk.say(service.notice)
    if ignored:
        desk.say("It runs with the options of its own start; %loops local stop first, to start it with others.")
    if service.any_key:
        desk.say(_ANY_KEY)
    loops = desk.loops
    runs, samplers = loops.runs.frame(), loops.samplers.frame()
    desk.knowledge.learn("runs", runs)
    desk.knowledge.learn("samplers", samplers)
    sessions = runs["session_id"].nunique()
    has = f"{many(len(runs), 'run')} in {many(sessions, 'session')} and {many(len(samplers), 'sampler')}"
    desk.say(f"It has {has}. You are connected to it, no key needed.")
    desk.say("Next: %loops runs, or %loops watch for a live panel" if len(runs) else "Next: s = %loops create session")


def _stop(desk: Desk, _values: SimpleNamespace) -> None:
    from loops_nb.local import launcher  # noqa: PLC0415

    stopped = launcher.stop()
    if stopped is None:
        desk.say("No local service was running. Nothing was changed.")
        return
    if desk.connection.is_chosen(stopped.url):
        desk.connection.choose(None)
    desk.say(f"Stopped the local service on {stopped.url}. Its data is kept in {stopped.data_dir}; %loops local start brings it back.")


def _status(desk: Desk, _values: SimpleNamespace) -> None:
    from loops_nb.local import launcher  # noqa: PLC0415

    service = launcher.status()
    if service is None:
        desk.say("No local service is running. %loops local start starts one.")
        return
    connected = "You are connected to it." if desk.connection.is_chosen(service.url) else "%loops connect local connects to it."
    since = service.started_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    what = f"version {service.version}, process {service.pid}, data in {service.data_dir}"
    desk.say(f"Local service on {service.url} since {since}, {what}. {connected}{f' {_ANY_KEY}' if service.any_key else ''}")


VERB = Verb(
    name="local",
    summary="a Loops service of your own on this machine: no key, no network",
    default="status",
    verbs=(
        Verb(
            name="local start",
            summary="start it and connect to it; finds the one that runs already",
            run=_start,
            gives_frames=True,
            when_interrupted="It may have started all the same: %loops local status tells.",
            options=(
                Option(name="empty", flags=("--empty",), default=False, help="without the sample workspace"),
                Option(
                    name="data_dir",
                    flags=("--data-dir",),
                    metavar="DIR",
                    knows="folder",
                    help="folder for its data; one of the user's own when left out",
                ),
                Option(
                    name="speed",
                    flags=("--speed",),
                    metavar="N",
                    free=True,
                    convert=number,
                    help="how many times faster than on the hosted service states change: 10, or 1 for its own pace",
                ),
                count("port", "--port", "port on 127.0.0.1; a free one when left out", default=0),
                Option(
                    name="any_key",
                    flags=("--any-key",),
                    default=False,
                    help="any key opens it in place of its token: every user of this machine can use it",
                ),
            ),
            notes="It goes on running when the notebook ends, and every notebook of yours finds it and its token. "
            "Other programs take the token as their API key: loops-nb token prints it. %loops local stop ends it and keeps its data.",
            examples=("%loops local start", "%loops local start --empty --speed 1"),
        ),
        Verb(
            name="local stop",
            summary="end it; its data is kept",
            run=_stop,
            when_interrupted="It may be ending all the same: %loops local status tells.",
            examples=("%loops local stop",),
        ),
        Verb(name="local status", summary="tell whether it runs, and where", run=_status, examples=("%loops local",)),
    ),
    examples=("%loops local start", "%loops local", "%loops local stop"),
)
