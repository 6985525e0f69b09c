"""bt:// URIs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.api.uri import CheckpointURI, format_uri, is_checkpoint_name, parse_uri
from loops_nb.errors import InvalidURIError

run_ids = st.from_regex(r"[A-Za-z0-9_-]{1,30}", fullmatch=True)
names = st.from_regex(r"[A-Za-z0-9_.-]{1,30}", fullmatch=True).filter(is_checkpoint_name)
targets = st.sampled_from(["trainer", "sampler"])


@given(run_ids, targets, names, st.sampled_from(["", "/"]))
def test_what_is_formatted_is_parsed_again(run_id: str, target: str, name: str, slash: str) -> None:
    text = format_uri(run_id, target, name)
    parsed = parse_uri(text + slash)
    assert (parsed.run_id, parsed.target, parsed.name) == (run_id, target, name)
    assert str(parsed) == text


@given(
    st.text()
    | st.builds(
        "bt://loops:{}/{}/{}".format, st.text(), st.sampled_from(["weights", "sampler_weights", "x"]), st.text()
    )
)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parsed = parse_uri(text)
    except InvalidURIError as error:
        assert str(error).isprintable()  # noqa: PT017 - most texts are refused
    else:
        assert str(parsed) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        "bt://loops:k4q95w5/weights/",
        "bt://loops:k4q95w5/weights",
        "bt://loops:/weights/x",
        "bt://loops:k4q95w5/sequences/x",
        "bt://loops:k4q95w5/weights/a/b",
        "bt://loops:k4q95w5/weights/a%2fb",
        "bt://loops:k4q95w5/weights/..",
        "BT://loops:k4q95w5/weights/x",
        "bt://k4q95w5/weights/x",
        "bt://loops:k4q95w5/weights/x\n",
        " bt://loops:k4q95w5/weights/x",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidURIError):
        parse_uri(text)


def test_parts() -> None:
    assert parse_uri("bt://loops:k4q95w5/sampler_weights/step-100") == CheckpointURI("k4q95w5", "sampler", "step-100")
