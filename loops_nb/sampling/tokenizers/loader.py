"""Finds the tokenizer of a base model: built in, in the cache of this machine, or on the hub.

Loading from an unreachable hub can hang for minutes, so a connection is tried first, for seconds.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from loops_nb.errors import LoopsError, one_line
from loops_nb.sampling.tokenizers.byte_level import LOCAL_MODELS, ByteLevel
from loops_nb.sampling.tokenizers.chat_template import ChatTemplate, template_of
from loops_nb.sampling.tokenizers.wrapper import Tokenizer, wrap_tokenizer

logger: logging.Logger = logging.getLogger(__name__)
T = TypeVar("T")
_FILE = "tokenizer.json"
_TEMPLATE_FILE, _CONFIG_FILE = "chat_template.jinja", "tokenizer_config.json"
_CONNECT_SECONDS = 3.0
_FETCH_SECONDS = 30.0
_HUB = "https://huggingface.co"
_YES = frozenset({"1", "true", "yes", "on"})
_CHECKPOINT_SCHEME = "hf://"


def find_tokenizer(base_model: str | None, base_checkpoint: str | None = None) -> Tokenizer | None:
    """Return the tokenizer of a model if it is on this machine, else None; nothing is downloaded.

    Parameters
    ----------
    base_model : str or None
        Name of the model.
    base_checkpoint : str, optional
        ``hf://<org>/<repo>[@<revision>]`` if the model was started from another checkpoint, which has its own
        tokenizer.
    """
    name, revision = _source(base_model, base_checkpoint)
    if not name:
        return None
    if _is_local(name):
        return ByteLevel()
    try:
        return _cached(name, revision)
    except _Missing:
        return None


def need_tokenizer(base_model: str | None, base_checkpoint: str | None = None) -> Tokenizer:
    """Return the tokenizer of a model, from this machine or from the hub.

    Parameters
    ----------
    base_model, base_checkpoint
        As in `find_tokenizer`.

    Raises
    ------
    LoopsError
        If it cannot be loaded; the text says what to install, or to give token ids.
    """
    name, revision = _source(base_model, base_checkpoint)
    if not name:
        raise _none("The service did not send the base model of this sampler, so its tokenizer is not known.", "")
    if _is_local(name):
        return ByteLevel()
    try:
        return _cached(name, revision)
    except _Missing as missing:
        if missing.package:
            raise _none(
                f"Tokens of {name} need the package tokenizers, which is not installed.",
                "install it (pip install tokenizers), or ",
            ) from None
    return _downloaded(name, revision)


class _Missing(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, *, package: bool = False) -> None:
        super().__init__()
        self.package = package


def _source(base_model: str | None, base_checkpoint: str | None) -> tuple[str, str | None]:
    if base_checkpoint and base_checkpoint.startswith(_CHECKPOINT_SCHEME) and not _is_local(base_model or ""):
        name, _, revision = base_checkpoint.removeprefix(_CHECKPOINT_SCHEME).partition("@")
        return name, revision or None
    return base_model or "", None


def _is_local(name: str) -> bool:
    return name.startswith(LOCAL_MODELS)


@lru_cache(maxsize=16)
def _cached(name: str, revision: str | None) -> Tokenizer:
    """Return a tokenizer from the cache of the hub on this machine."""
    tokenizers, hub = _package("tokenizers"), _package("huggingface_hub")
    if tokenizers is None or hub is None:
        raise _Missing(package=True)
    try:
        place = hub.hf_hub_download(name, _FILE, revision=revision, local_files_only=True)
        return wrap_tokenizer(tokenizers.Tokenizer.from_file(place), partial(find_chat_template, name, revision))
    except Exception:
        logger.debug("No tokenizer of %s in the cache.", name, exc_info=True)
        raise _Missing from None


def _downloaded(name: str, revision: str | None) -> Tokenizer:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in _YES:
        raise _none(f"The tokenizer of {name} is not in the cache of this machine, and HF_HUB_OFFLINE is set.", "")
    host, port = _hub_place()
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        raise _none(
            f"The tokenizer of {name} is not on this machine, and its hub ({host}) cannot be reached.", ""
        ) from None

    def fetch() -> Tokenizer:
        hub = importlib.import_module("huggingface_hub")
        place = hub.hf_hub_download(name, _FILE, revision=revision, etag_timeout=_CONNECT_SECONDS)
        own = importlib.import_module("tokenizers").Tokenizer.from_file(place)
        return wrap_tokenizer(own, partial(find_chat_template, name, revision))

    found, why = _within_time(fetch)
    if found is None:
        raise _none(f"The tokenizer of {name} could not be fetched from {host} ({one_line(why)}).", "")
    _cached.cache_clear()
    return found


@lru_cache(maxsize=16)
def find_chat_template(name: str, revision: str | None) -> ChatTemplate | None:
    """Return the chat template of a model from the cache of this machine, else from the hub; None if there is none."""
    hub = _package("huggingface_hub")
    if hub is None:
        return None

    def read(file: str, **how: Any) -> str | None:
        try:
            place = hub.hf_hub_download(name, file, revision=revision, **how)
            return Path(place).read_text("utf-8")
        except Exception:
            logger.debug("No %s of %s.", file, name, exc_info=True)
            return None

    def both(**how: Any) -> tuple[str | None, str | None]:
        return read(_TEMPLATE_FILE, **how), read(_CONFIG_FILE, **how)

    found = template_of(name, *_decoded(*both(local_files_only=True)))
    if found is not None or os.environ.get("HF_HUB_OFFLINE", "").lower() in _YES:
        return found
    fetched, _ = _within_time(lambda: both(etag_timeout=_CONNECT_SECONDS))
    return None if fetched is None else template_of(name, *_decoded(*fetched))


def _decoded(template: str | None, config: str | None) -> tuple[str | None, Any]:
    try:
        return template, json.loads(config or "null")
    except ValueError:
        return template, None


def _within_time(fetch: Callable[[], T]) -> tuple[T | None, str]:
    """Return what a function returns, or None and why it is not there: the packages of the hub have no time limit."""
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(fetch())
        except Exception as error:
            logger.debug("Nothing could be fetched from the hub.", exc_info=True)
            failed.append(error)

    thread = threading.Thread(target=work, name="loops-nb-tokenizer", daemon=True)
    thread.start()
    thread.join(_FETCH_SECONDS)
    if done:
        return done[0], ""
    return None, type(failed[0]).__name__ if failed else f"it took longer than {_FETCH_SECONDS:g} s"


def _hub_place() -> tuple[str, int]:
    """Return host and port of the first connection on the way to the hub: its own, or the proxy's."""
    address = urlsplit(os.environ.get("HF_ENDPOINT", "").strip() or _HUB)
    proxy = (
        urlsplit(os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or "")
        if address.scheme == "https"
        else urlsplit("")
    )
    place = proxy if proxy.hostname else address
    try:
        port = place.port
    except ValueError:
        port = None
    return place.hostname or "huggingface.co", port or (443 if place.scheme == "https" else 80)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _none(what: str, first: str) -> LoopsError:
    hint = (
        f"{first}give token ids instead of a text, or your own tokenizer: tokenizer=... (anything with encode and "
        f"decode)."
    )
    return LoopsError(what, hint=f"{hint[0].upper()}{hint[1:]}")
