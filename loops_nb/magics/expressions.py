"""The notebook's own names and expressions on a line."""

from __future__ import annotations

from typing import Any

from loops_nb.errors import InvalidArgumentError, LoopsError


def evaluated(expression: str, namespace: dict[str, Any]) -> str:
    """Return the text of an expression in the notebook's namespace.

    Raises
    ------
    InvalidArgumentError
        If it cannot be evaluated, or its value is None or a whole table.
    """
    try:
        value = eval(expression, namespace)  # noqa: S307 - the person's own expression, in the person's own notebook
    except LoopsError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the person's expression raises
        if isinstance(error, NameError) and error.name:
            raise InvalidArgumentError(
                f"{error.name} is not defined in this notebook, so {expression!r} on the line has no value.",
                hint="Run the cell that defines it, or write the value itself (a literal $ is $$, a literal { is {{).",
            ) from None
        raise InvalidArgumentError(
            f"{expression!r} on the line could not be evaluated: {type(error).__name__}: {error}.",
            hint="Mend it, or write the value itself (a literal $ is $$, a literal { is {{).",
        ) from None
    if value is None:
        raise InvalidArgumentError(f"{expression!r} on the line is None, so there is no value to use.")
    if hasattr(value, "iloc") or isinstance(value, (list, tuple, dict, set)):
        one = {"DataFrame": f"{expression}.id.iloc[0]", "Series": f"{expression}.iloc[0]"}.get(type(value).__name__, f"{expression}[0]")
        raise InvalidArgumentError(
            f"{expression!r} on the line is a whole {type(value).__name__}, where one value is needed.",
            hint=f"Take one of it, for example {{{one}}}",
        )
    # An object of the API stands for its id: `%loops run $run`.
    own_id = getattr(value, "id", None)
    return own_id if type(value).__module__ == "loops_nb.models" and isinstance(own_id, str) else str(value)
