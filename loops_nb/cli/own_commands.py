"""The commands that no verb of ``%loops`` is: servers in the foreground, the local service's token, and folders."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
from pathlib import Path
from urllib.parse import urlsplit

from loops_nb import console
from loops_nb.cli.streams import silence
from loops_nb.config.paths import home_dir
from loops_nb.errors import ConfigError, LocalServiceError
from loops_nb.local.settings import DEFAULT_SPEED

_EXAMPLES = """examples:
  loops-nb serve --sample                 a workspace to look at, on http://127.0.0.1:8787
  loops-nb serve --sample --speed 1       the same, at the pace of the hosted service
  loops-nb serve --port 0 --data-dir ws   your own, on a free port, kept in the folder ws
"""

_FASTEST = 1_000_000
_SLOWEST = 1 / _FASTEST


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and keeps the lines of the examples."""


def run_own(words: list[str]) -> int:
    """Run one of the commands ``serve``, ``mcp``, ``token`` and ``where``; return the exit status."""
    found, unknown = _parser().parse_known_args(words)
    if unknown:
        from loops_nb.magics.suggest import safe_repr

        line = f"loops-nb {found.command}"
        console.say(f"{line} has no option or argument {safe_repr(unknown[0])}. See {line} --help", out=sys.stderr)
        return 2
    try:
        if found.command == "where":
            return _print(str(home_dir()))
        if found.command == "serve":
            return _serve(found)
        if found.command == "mcp":
            from loops_nb.agents.server import serve

            return serve(allow_sampling=found.allow_sampling, allow_changes=found.allow_changes)
        return _token(found.port)
    except (ConfigError, LocalServiceError) as error:
        console.say(f"loops-nb: {error}", out=sys.stderr)
        return 2


def usage(command: str) -> str:
    """Return the usage of one of the commands, which names its options."""
    parser = _parser()
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        parser.parse_args([command, "--help"])
    return printed.getvalue().partition("\n\n")[0]


def _token(port: int | None) -> int:
    from loops_nb.config.local_services import own_services

    running = [service for service in own_services() if port is None or urlsplit(service.url).port == port]
    tokens = {service.url: token for service in running if (token := service.token())}
    if len(tokens) == 1:
        return _print(*tokens.values())
    on_port = "" if port is None else f" on port {port}"
    if tokens:
        said = f"several local services run; name one with --port: {', '.join(tokens)}"
    elif running:
        said = f"the local service on {running[0].url} has no token: any key opens it"
    else:
        said = f"no local service of yours runs{on_port}; start one with: loops-nb serve"
    console.say(f"loops-nb: {said}", out=sys.stderr)
    return 2


def _serve(found: argparse.Namespace) -> int:
    from loops_nb.local.requirements import check_server_installed

    check_server_installed()
    from loops_nb.local.environment import drop_secrets
    from loops_nb.local.errors import CannotServeError, StoreError
    from loops_nb.local.server.process import serve
    from loops_nb.local.service_registry import default_data_dir
    from loops_nb.local.settings import Settings

    data_dir = found.data_dir or default_data_dir(sample=found.sample)
    settings = Settings(
        data_dir=data_dir.expanduser().absolute(),
        sample=found.sample,
        seed=found.seed,
        speed=found.speed,
        url_ttl=found.url_ttl,
        rate_limit=found.rate_limit,
        host=found.host,
        max_trainers=found.max_trainers,
        max_samplers=found.max_samplers,
        hold_seconds=found.hold_seconds,
        any_key=found.any_key,
        prefer_serverless=found.prefer_serverless,
    )
    # Here and not only where processes are started: what the service itself runs with is seen in a list of processes as
    # well.
    drop_secrets()
    try:
        serve(settings, port=found.port, registry=found.registry, say=_say)
    except (CannotServeError, StoreError) as error:
        console.say(f"loops-nb: {error}", out=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def _print(text: str) -> int:
    try:
        console.say(text, flush=True)
    except (OSError, ValueError) as error:
        silence(sys.stdout)
        console.say(f"loops-nb: the answer could not be written ({error})", out=sys.stderr)
        return 2
    return 0


def _say(line: str) -> None:
    stream = sys.stderr if line.startswith("Warning") else sys.stdout
    try:
        console.say(line, out=stream, flush=True)
    except (OSError, ValueError):
        # Nothing reads it any more, or the disk behind it is full; the service itself can go on.
        silence(stream)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="loops-nb")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve",
        help="run the local service of the Loops API",
        description="Run the local service of the Loops API: no account, no network; a small, real model that trains\n"
        "and samples, records and files on this machine. It needs its token: your notebooks and\n"
        "the other commands find it, 'loops-nb token' prints it. Ends with Ctrl-C.",
        epilog=_EXAMPLES,
        formatter_class=_HelpFormatter,
    )
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; beyond loopback the network can reach it"
    )
    serve.add_argument("--port", type=_port, default=8787, help="TCP port; 0 takes a free one")
    serve.add_argument(
        "--data-dir",
        type=_folder,
        metavar="DIR",
        help="folder of records and files; in the folder of 'loops-nb where' if left out",
    )
    serve.add_argument(
        "--sample",
        action="store_true",
        help="fill an unused folder with a sample workspace: two weeks of example work",
    )
    serve.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the sample workspace is the same for the same seed"
    )
    serve.add_argument(
        "--speed",
        type=_speed,
        default=DEFAULT_SPEED,
        metavar="N",
        help="deployments and samplers change state N times faster than on the hosted service; 1 is its own pace",
    )
    serve.add_argument(
        "--url-ttl", type=_positive, default=900, metavar="SECONDS", help="how long a presigned file URL works"
    )
    serve.add_argument(
        "--rate-limit",
        type=_natural,
        default=100,
        metavar="N",
        help="requests a second, key and endpoint; 0 switches it off",
    )
    serve.add_argument(
        "--max-trainers",
        type=_positive,
        default=4,
        metavar="N",
        help="how many trainers may be live at one time; further runs are queued",
    )
    serve.add_argument(
        "--max-samplers",
        type=_positive,
        default=4,
        metavar="N",
        help="how many samplers may be live at one time; further ones wait for an idle one",
    )
    serve.add_argument(
        "--hold-seconds",
        type=_hold,
        default=25.0,
        metavar="SECONDS",
        help="how long a request that must wait is held before 408",
    )
    serve.add_argument(
        "--prefer-serverless",
        action="store_true",
        help="create runs and samplers without a scope on serverless capacity where that has what is asked for, as the "
        "hosted service does; otherwise each gets a deployment",
    )
    serve.add_argument(
        "--any-key",
        action="store_true",
        help=(
            "let any key open it in place of its token: every user of this machine can then read, change and delete "
            "what is in it"
        ),
    )
    serve.add_argument("--registry", type=Path, help=argparse.SUPPRESS)
    agents = commands.add_parser(
        "mcp",
        help="serve tools for coding agents over stdio (MCP)",
        description="Serve tools for coding agents over stdio, by the Model Context Protocol: an agent starts it\n"
        "itself, with this command in its configuration (docs/agents.md). It connects as every command does.\n"
        "The tools only read, unless more is allowed.",
        formatter_class=_HelpFormatter,
    )
    agents.add_argument(
        "--allow-sampling", action="store_true", help="also offer loops_sample, which is billed and wakes samplers"
    )
    agents.add_argument(
        "--allow-changes",
        action="store_true",
        help="also offer the tools that deploy (billed), end runs, delete, and add notes",
    )
    token = commands.add_parser(
        "token",
        help="print the token of the local service that runs",
        description="Print the token of the local service that you run, for programs that cannot find it: "
        "export BASETEN_API_KEY=$(loops-nb token)",
    )
    token.add_argument("--port", type=_port, help="port of the service, where several run")
    commands.add_parser("where", help="print the folder in which loops_nb keeps things")
    return parser


def _folder(text: str) -> Path:
    # An unset variable of a shell must not mean the folder that one happens to be in.
    if not text.strip():
        raise argparse.ArgumentTypeError("it must name a folder")
    return Path(text)


def _port(text: str) -> int:
    return _whole(text, 0, 65_535)


def _hold(text: str) -> float:
    # Training clients give up reading after 35 seconds, and ask again at once after a 408.
    return _number(text, 0.01, 30)


def _positive(text: str) -> int:
    return _whole(text, 1, 10**9)


def _natural(text: str) -> int:
    return _whole(text, 0, 10**9)


def _whole(text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
    return value


def _speed(text: str) -> float:
    return _number(text, _SLOWEST, _FASTEST)


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:.6f} to {high}".replace(".000000", ""))
    return value
