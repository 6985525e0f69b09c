"""Proxies for objects of the official SDK: everything is forwarded, and calls of some methods are hooked.

Methods are matched by name; nothing of the SDK is imported.  A proxy behaves like its object, for ``isinstance`` too,
and pickles as the object without the proxy.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator
from types import MethodType
from typing import Any, Protocol, Self


class CallHook(Protocol):
    """Callbacks of one call of a hooked method."""

    def accepted(self, answer: Any) -> Any:
        """Take the answer of the call and return what its caller gets."""
        ...

    def failed(self) -> None:
        """Take note that the call raised."""
        ...


#: Makes the hook of a call from the arguments, before the call is made.
HookFactory = Callable[[dict[str, Any]], CallHook]


class SdkProxy:
    """An object of the SDK with hooked methods.

    Parameters
    ----------
    wrapped : object
        The object.
    hooks : dict of str to HookFactory
        Factory of the hook of each hooked method.
    extra : dict of str to object, optional
        Attributes that only the proxy has.
    """

    def __init__(self, wrapped: Any, hooks: dict[str, HookFactory], extra: dict[str, Any] | None = None) -> None:
        object.__setattr__(self, "_loops_nb_wrapped", wrapped)
        object.__setattr__(self, "_loops_nb_hooks", hooks)
        object.__setattr__(self, "_loops_nb_extra", extra or {})
        object.__setattr__(self, "_loops_nb_methods", {})

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
        hooks: dict[str, HookFactory] = object.__getattribute__(self, "_loops_nb_hooks")
        if name not in hooks or not callable(found):
            return found
        # Cached, because a loop asks for a method at every step; replaced when the object gets another method.
        methods: dict[str, tuple[Any, Any]] = object.__getattribute__(self, "_loops_nb_methods")
        cached = methods.get(name)
        if cached is None or not _is_same_method(cached[0], found):
            cached = methods[name] = found, _hooked(found, hooks[name])
        return cached[1]

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_wrapped(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_wrapped(self), name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(_wrapped(self)), *object.__getattribute__(self, "_loops_nb_extra")})

    def __repr__(self) -> str:
        return repr(_wrapped(self))

    def __eq__(self, other: object) -> bool:
        return bool(_wrapped(self) == (_wrapped(other) if type(other) is SdkProxy else other))

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


class FutureProxy(SdkProxy):
    """A future of the SDK that reports its first result.

    Parameters
    ----------
    wrapped : object
        The future.
    on_result : callable
        Called with the result, once, however often it is asked for.
    on_drop : callable
        Called if the future is deleted and its result was never asked for.
    """

    def __init__(self, wrapped: Any, on_result: Callable[[Any], None], on_drop: Callable[[], None]) -> None:
        super().__init__(wrapped, {})
        object.__setattr__(self, "_loops_nb_on_result", on_result)
        object.__setattr__(self, "_loops_nb_on_drop", on_drop)

    def result(self, *arguments: Any, **named: Any) -> Any:
        """Return the result of the future."""
        found = _wrapped(self).result(*arguments, **named)
        _report_result(self, found)
        return found

    async def result_async(self, *arguments: Any, **named: Any) -> Any:
        """Return the result of the future."""
        found = await _wrapped(self).result_async(*arguments, **named)
        _report_result(self, found)
        return found

    def __await__(self) -> Generator[Any, None, Any]:
        found = yield from _wrapped(self).__await__()
        _report_result(self, found)
        return found

    def __del__(self) -> None:
        on_drop = object.__getattribute__(self, "__dict__").get("_loops_nb_on_drop")
        if on_drop is not None:
            on_drop()


def is_proxy(value: Any) -> bool:
    """Whether an object is a `SdkProxy` (which ``isinstance`` does not tell)."""
    return type(value) is SdkProxy


def _wrapped(proxy: Any) -> Any:
    return object.__getattribute__(proxy, "_loops_nb_wrapped")


def _report_result(future: FutureProxy, result: Any) -> None:
    state = object.__getattribute__(future, "__dict__")
    on_result = state.pop("_loops_nb_on_result", None)
    state.pop("_loops_nb_on_drop", None)
    if on_result is not None:
        on_result(result)


def _is_same_method(method: Any, other: Any) -> bool:
    # Python makes a new method object for each attribute access.
    if isinstance(method, MethodType) and isinstance(other, MethodType):
        return method.__func__ is other.__func__ and method.__self__ is other.__self__
    return method is other


def _hooked(method: Any, hook_factory: HookFactory) -> Any:
    bind = _binder(method)
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def call_async(*arguments: Any, **named: Any) -> Any:
            hook = hook_factory(bind(arguments, named))
            try:
                answer = await method(*arguments, **named)
            except BaseException:
                hook.failed()
                raise
            return hook.accepted(answer)

        return call_async

    @functools.wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        hook = hook_factory(bind(arguments, named))
        try:
            answer = method(*arguments, **named)
        except BaseException:
            hook.failed()
            raise
        if not hasattr(answer, "result") and inspect.isawaitable(answer):
            # An asynchronous method that is not declared as one.
            return _awaited(answer, hook)
        return hook.accepted(answer)

    return call


async def _awaited(answer: Awaitable[Any], hook: CallHook) -> Any:
    try:
        found = await answer
    except BaseException:
        hook.failed()
        raise
    return hook.accepted(found)


def _binder(method: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """Return a function that names the arguments of a call; those that do not fit are left to the method to refuse."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        names = [
            name for name, parameter in inspect.signature(method).parameters.items() if parameter.kind in positional
        ]
    except (TypeError, ValueError):
        names = []

    def bind(arguments: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        return {**dict(zip(names, arguments, strict=False)), **named} if arguments else named

    return bind
