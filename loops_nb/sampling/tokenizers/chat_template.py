"""The chat template of a model, as its tokenizer's files have it, rendered by Jinja in a sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from loops_nb.errors import LoopsError, one_line

_LONGEST_REASON = 200
_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


class ChatTemplate:
    """A chat template.

    Parameters
    ----------
    model : str
        Name of the model, for errors.
    source : str
        Text of the template; it comes from the files of a model, and is not trusted.
    special : mapping of str to str
        Special tokens by name, such as ``bos_token``.
    """

    def __init__(self, model: str, source: str, special: Mapping[str, str]) -> None:
        self._model = model
        self._source = source
        self._special = dict(special)

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the text of a chat, up to where the model's answer begins.

        Raises
        ------
        LoopsError
            If Jinja is not installed, or the template refuses the messages.
        """
        try:
            from jinja2 import TemplateError
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ImportError:
            raise LoopsError(
                f"The chat template of {self._model} needs the package jinja2, which is not installed.",
                hint="pip install jinja2, or sample without --chat with the whole prompt.",
            ) from None
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            # Prompts are no HTML.
            autoescape=False,
            extensions=["jinja2.ext.loopcontrols"],
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        try:
            return environment.from_string(self._source).render(
                messages=[dict(message) for message in messages], add_generation_prompt=True, **self._special
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise LoopsError(
                f"The chat template of {self._model} refuses these messages:"
                f" {one_line(str(error), limit=_LONGEST_REASON) or type(error).__name__}"
            ) from None


def template_of(model: str, template: str | None, config: Any) -> ChatTemplate | None:
    """Return the template of a model's files; None if there is none.

    Parameters
    ----------
    model : str
        Its name.
    template : str or None
        Content of ``chat_template.jinja``.
    config : object
        Content of ``tokenizer_config.json``, decoded.
    """
    config = config if isinstance(config, dict) else {}
    source = template or config.get("chat_template")
    if isinstance(source, list):
        # Several with names; the default one is for a chat without tools.
        named = [one for one in source if isinstance(one, dict)]
        source = next((one.get("template") for one in named if one.get("name") == "default"), None)
    if not isinstance(source, str) or not source:
        return None
    special = {name: text for name in _SPECIAL if (text := _token_text(config.get(name))) is not None}
    return ChatTemplate(model, source, special)


def _token_text(token: Any) -> str | None:
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _to_json(value: Any, *, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
