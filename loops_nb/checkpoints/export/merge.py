"""Merges an adapter into the weights of its base model, by torch, transformers and PEFT where they are installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from loops_nb.checkpoints.export.layout import PREFIX
from loops_nb.errors import ExportError, InvalidArgumentError, one_line
from loops_nb.render.formatting import many

if TYPE_CHECKING:
    from pathlib import Path

    from loops_nb.checkpoints.export.layout import AdapterLayout

PACKAGES = ("torch", "transformers", "peft")
_LONGEST_REASON = 400
_NOTHING_DONE = "Nothing was exported."


def check_can_merge(base: str | None) -> None:
    """Refuse before anything is fetched where nothing can be merged.

    Parameters
    ----------
    base : str or None
        Folder or name of the base model, if it was given.

    Raises
    ------
    ExportError
        If a package is missing.
    InvalidArgumentError
        If ``base`` is no string.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ExportError(
            f"Merging needs {', '.join(PACKAGES)}; not installed here: {', '.join(missing)}. {_NOTHING_DONE}",
            hint=f"pip install {' '.join(missing)}",
        )
    if base is not None and (not isinstance(base, str) or not base.strip()):
        raise InvalidArgumentError(
            f"base must be the folder or the name of a base model, not {base!r:.40}.", argument="base"
        )


def merge(adapter: Path, layout: AdapterLayout, base: str | None, folder: Path) -> None:
    """Write the base model with the adapter merged into its weights.

    Parameters
    ----------
    adapter : Path
        Folder of the adapter.
    layout : AdapterLayout
        Its tensors and its configuration.
    base : str or None
        Folder or name of the base model; by default that of the configuration.  It has to be on this machine.
    folder : Path
        Where the model is written.

    Raises
    ------
    ExportError
        If the base weights are not on this machine, or the adapter does not fit them.
    """
    import transformers
    from peft import PeftModel, get_peft_model_state_dict

    name = base or str(layout.config.get("base_model_name_or_path") or "")
    if not name:
        raise ExportError(
            f"The base model of this adapter is not known, so it cannot be merged. {_NOTHING_DONE}",
            hint="Name it: --base FOLDER (base= in Python)",
        )
    try:
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(name, dtype="auto", local_files_only=True)
    except (OSError, ValueError) as error:
        raise ExportError(
            f"The weights of {name!r:.200} cannot be loaded from this machine: {_reason(error)} {_NOTHING_DONE}",
            hint=f"hf download {name} fetches those of the Hub; --base FOLDER names a folder (base= in Python).",
        ) from None
    there = dict(model.named_modules())
    lost = [path for path in layout.modules if path not in there]
    if lost:
        raise ExportError(
            f"{many(len(lost), 'module')} of the adapter {'is' if len(lost) == 1 else 'are'} not in {name!r:.200}, such"
            f" as {lost[0]:.100}. {_NOTHING_DONE}"
        )
    try:
        adapted = PeftModel.from_pretrained(model, str(adapter))
        # What has no place there is left out with a warning only.
        left_out = {tensor.name for tensor in layout.tensors} - set(get_peft_model_state_dict(adapted))
        if left_out:
            raise ExportError(
                f"{many(len(left_out), 'tensor')} of the adapter found no place in {name!r:.200}, such as"
                f" {min(left_out).removeprefix(PREFIX):.100}. {_NOTHING_DONE}"
            )
        adapted.merge_and_unload().save_pretrained(folder)
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"The adapter does not fit {name!r:.200}: {_reason(error)} {_NOTHING_DONE}") from None
    _save_tokenizer(name, folder)


def _save_tokenizer(name: str, folder: Path) -> None:
    import transformers

    try:
        transformers.AutoTokenizer.from_pretrained(name, local_files_only=True).save_pretrained(folder)
    except (OSError, ValueError):
        # Weights may lie in a folder without one; the model is whole all the same.
        return


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(" ".join(lines[:2]), limit=_LONGEST_REASON) or f"{type(error).__name__}."
