"""Stand-ins for objects of the official SDK: everything goes through to the object itself, but for a few methods that are watched.

Known by the names of their methods alone: nothing of the SDK is imported.  To its user a stand-in is the object, also for
``isinstance``.  A pickled one comes back as the object without its stand-in.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator
from types import MethodType
from typing import Any, Protocol, Self


class Watch(Protocol):
    """What is told of one call: that it was made, how it ended."""

    def accepted(self, answer: Any) -> Any:
        """Take the answer of the call, and return what its caller shall get."""
        ...

    def failed(self) -> None:
        """Take note that the call raised."""
        ...


#: Makes the watch of a call from its arguments, before it is made.
Begins = Callable[[dict[str, Any]], Watch]


class StandIn:
    """An object of the SDK with some of its methods watched.

    Parameters
    ----------
    wrapped
        The object.
    watched
        For each watched method what to make of a call of it.
    extra
        Attributes that only the stand-in has.
    """

    def __init__(self, wrapped: Any, watched: dict[str, Begins], extra: dict[str, Any] | None = None) -> None:
        object.__setattr__(self, "_loops_nb_wrapped", wrapped)
        object.__setattr__(self, "_loops_nb_watched", watched)
        object.__setattr__(self, "_loops_nb_extra", extra or {})
        object.__setattr__(self, "_loops_nb_made", {})

    @property
    def __class__(self) -> type:
        return type(_wrapped(self))

    @__class__.setter
    def __class__(self, value: type) -> None:
        _wrapped(self).__class__ = value

    def __getattr__(self, name: str) -> Any:
        extra: dict[str, Any] = object.__getattribute__(self, "_loops_nb_extra")
        if name in extra:
            return extra[name]
        found = getattr(_wrapped(self), name)
        begins: dict[str, Begins] = object.__getattribute__(self, "_loops_nb_watched")
        if name not in begins or not callable(found):
            return found
        # Made once for each method, for a loop asks for it at every step; made anew where somebody put another one in its place.
        made: dict[str, tuple[Any, Any]] = object.__getattribute__(self, "_loops_nb_made")
        former = made.get(name)
        if former is None or not _is_same(former[0], found):
            former = made[name] = found, _watched(found, begins[name])
        return former[1]

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_wrapped(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_wrapped(self), name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(_wrapped(self)), *object.__getattribute__(self, "_loops_nb_extra")})

    def __repr__(self) -> str:
        return repr(_wrapped(self))

    def __eq__(self, other: object) -> bool:
        return bool(_wrapped(self) == (_wrapped(other) if type(other) is StandIn else other))

    def __hash__(self) -> int:
        return hash(_wrapped(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _wrapped(self).__reduce_ex__(protocol)

    def __enter__(self) -> Self:
        _wrapped(self).__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return _wrapped(self).__exit__(*error)

    async def __aenter__(self) -> Self:
        await _wrapped(self).__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:
        return await _wrapped(self).__aexit__(*error)


class FutureStandIn(StandIn):
    """A future of the SDK whose first result is told.

    Parameters
    ----------
    wrapped
        The future.
    told
        Takes the result when it is known; called once, also if the result is asked for again.
    dropped
        Called when nobody ever asked for the result.
    """

    def __init__(self, wrapped: Any, told: Callable[[Any], None], dropped: Callable[[], None]) -> None:
        super().__init__(wrapped, {})
        object.__setattr__(self, "_loops_nb_told", told)
        object.__setattr__(self, "_loops_nb_dropped", dropped)

    def result(self, *arguments: Any, **named: Any) -> Any:
        """Return what the future's own ``result`` returns."""
        found = _wrapped(self).result(*arguments, **named)
        _tell(self, found)
        return found

    async def result_async(self, *arguments: Any, **named: Any) -> Any:
        """Return what the future's own ``result_async`` returns."""
        found = await _wrapped(self).result_async(*arguments, **named)
        _tell(self, found)
        return found

    def __await__(self) -> Generator[Any, None, Any]:
        found = yield from _wrapped(self).__await__()
        _tell(self, found)
        return found

    def __del__(self) -> None:
        dropped = object.__getattribute__(self, "__dict__").get("_loops_nb_dropped")
        if dropped is not None:
            dropped()


def is_stand_in(thing: Any) -> bool:
    """Tell whether something is tracked already."""
    return type(thing) is StandIn


def _wrapped(stand_in: Any) -> Any:
    return object.__getattribute__(stand_in, "_loops_nb_wrapped")


def _tell(future: FutureStandIn, result: Any) -> None:
    state = object.__getattribute__(future, "__dict__")
    told = state.pop("_loops_nb_told", None)
    state.pop("_loops_nb_dropped", None)
    if told is not None:
        told(result)


def _is_same(method: Any, other: Any) -> bool:
    # A method is made anew each time it is asked for.
    if isinstance(method, MethodType) and isinstance(other, MethodType):
        return method.__func__ is other.__func__ and method.__self__ is other.__self__
    return method is other


def _watched(method: Any, begins: Begins) -> Any:
    named_by = _namer(method)
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def call_async(*arguments: Any, **named: Any) -> Any:
            watch = begins(named_by(arguments, named))
            try:
                answer = await method(*arguments, **named)
            except BaseException:
                watch.failed()
                raise
            return watch.accepted(answer)

        return call_async

    @functools.wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        watch = begins(named_by(arguments, named))
        try:
            answer = method(*arguments, **named)
        except BaseException:
            watch.failed()
            raise
        if not hasattr(answer, "result") and inspect.isawaitable(answer):
            # An asynchronous method that is not declared as one.
            return _later(answer, watch)
        return watch.accepted(answer)

    return call


async def _later(answer: Awaitable[Any], watch: Watch) -> Any:
    try:
        found = await answer
    except BaseException:
        watch.failed()
        raise
    return watch.accepted(found)


def _namer(method: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """Return what gives the arguments of a call their names; what does not fit is the method's own to refuse."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        names = [name for name, parameter in inspect.signature(method).parameters.items() if parameter.kind in positional]
    except (TypeError, ValueError):
        names = []
    return lambda arguments, named: {**dict(zip(names, arguments, strict=False)), **named} if arguments else named
