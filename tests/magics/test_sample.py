"""``%%loops sample`` with a scripted sampler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loops_nb.errors import InvalidArgumentError, NotFoundError
from loops_nb.sampling import SideBySide
from tests.client.scripted_server import Answer
from tests.magics.conftest import Notebook
from tests.sampling.sampler_server import NEWEST, PIN, RUN, SAMPLER, SamplerServer, choice, completions


@pytest.fixture
def server() -> Iterator[SamplerServer]:
    with SamplerServer() as made:
        yield made


@pytest.fixture
def asking(notebook: Notebook, server: SamplerServer, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Give this test a shell that is connected to the server."""
    monkeypatch.setenv("LOOPS_BASE_URL", server.url)
    return notebook


def test_sample_uses_the_cell_as_prompt(asking: Notebook, server: SamplerServer) -> None:
    prompt = "Say $this and {that};\n  # no comment\n%loops runs"
    ran = asking.run(f"%%loops sample {SAMPLER}\n{prompt}\n")
    assert bytes(server.asked[-1].json["prompt"]).decode() == prompt
    assert type(ran.value) is SideBySide
    assert [item.source for item in ran.value] == [SAMPLER]
    assert "  | ab" in ran.out
    assert '<span class="p1' in asking.html(ran.value)
    assert asking.plain(ran.value) == ran.value.text(120) or "  | ab" in asking.plain(ran.value)


def test_semicolon_on_the_line_hides_the_result_of_sample(asking: Notebook, server: SamplerServer) -> None:
    assert asking.run(f"%%loops sample {SAMPLER};\nprompt").out == ""
    assert "  | ab" in asking.run(f"%%loops sample {SAMPLER}\nx = 1;").out
    assert bytes(server.asked[-1].json["prompt"]) == b"x = 1;"


def test_sample_passes_every_option(asking: Notebook, server: SamplerServer) -> None:
    server.answers = [completions(choice("ab"), choice("c"))]
    line = (
        f"sample {RUN} --n 2 --max-tokens 7 --temperature 0 --top-p 0.5 --top-k 3 --seed -4 --stop '\\n' --stop "
        f"END -o df"
    )
    ran = asking.run(f"%%loops {line}\nprompt")
    sent = {
        name: value
        for name, value in server.asked[-1].json.items()
        if name not in {"prompt", "logprobs", "return_tokens_as_token_ids"}
    }
    assert sent == {
        "n": 2,
        "max_tokens": 7,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": -4,
        "stop": ["\n", "END"],
    }
    frame = asking.shell.user_ns["df"]
    assert list(frame["text"]) == ["ab", "c"]
    assert set(frame["source"]) == {RUN}
    assert frame.equals(ran.value.frame)
    assert "mean_logprob" in asking.run("df").out


@pytest.mark.parametrize("word", [PIN, "step-10", f"{RUN}/step-10", f"{RUN}/sampler_weights/step-10"])
def test_sample_compares_checkpoints(asking: Notebook, server: SamplerServer, word: str) -> None:
    ran = asking.run(f"%%loops sample {RUN} --compare {word}\nprompt")
    pins = [(one.headers.get("x-checkpoint-path"), one.headers.get("x-min-policy-version")) for one in server.asked]
    assert pins == [(NEWEST, "1"), (PIN, None)]
    assert [item.source for item in ran.value] == [
        RUN,
        PIN.removeprefix("bt://loops:") if word.startswith("bt:") else word,
    ]
    assert ran.value.frame["checkpoint"].tolist()[1:] == [PIN]


def test_sample_compares_samplers_by_id_and_name(asking: Notebook, server: SamplerServer) -> None:
    server.name = "Math-1"
    asked = asking.run(f"%%loops sample math-1 --compare {SAMPLER} --compare {RUN}\nprompt").value
    assert [item.source for item in asked] == ["math-1", SAMPLER, RUN]
    assert {item.sampler_id for item in asked} == {SAMPLER}
    server.paired = False
    alone = asking.run(f"%%loops sample {SAMPLER} --compare {SAMPLER}\nprompt").value
    assert [item.run_id for item in alone] == [None, None]


def test_sample_rejects_an_ambiguous_name(asking: Notebook, server: SamplerServer) -> None:
    server.name, server.twins = "twice", 2
    ran = asking.run("%%loops sample twice\nprompt", fails=True)
    assert isinstance(ran.error, InvalidArgumentError)
    assert "2 runs are named 'twice'" in ran.out
    assert RUN in ran.out
    assert server.asked == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sample", "SAMPLER is missing"),
        ("sample X --n one", "--n must be a whole number"),
        ("sample X --temperature hot", "--temperature must be a number"),
        ("sample X --nonsense", "has no option"),
        ("sample X -o 1x", "-o takes a variable name"),
        ("sample X -o class", "-o takes a variable name"),
        ("sample X Y", "one too many"),
        ("runs", "%loops runs is a line magic, not a cell magic"),
        ("", "needs a verb for the cell"),
    ],
)
def test_sample_rejects_wrong_lines(asking: Notebook, server: SamplerServer, line: str, words: str) -> None:
    ran = asking.run(f"%%loops {line}\nprompt", fails=True)
    assert isinstance(ran.error, InvalidArgumentError)
    assert words in ran.out
    assert server.asked == []


def test_sample_needs_a_prompt_and_a_cell(asking: Notebook) -> None:
    assert (
        "The prompt is empty: there is nothing to complete"
        in asking.run(f"%%loops sample {SAMPLER}\n \n", fails=True).out
    )
    assert "write %% with two percent signs" in asking.run(f"%loops sample {SAMPLER}", fails=True).out


def test_sample_reports_unknown_samplers_and_checkpoints(asking: Notebook, server: SamplerServer) -> None:
    gone = asking.run("%%loops sample samp_def780\nprompt", fails=True)
    assert isinstance(gone.error, NotFoundError)
    assert f"Did you mean {SAMPLER}?" in gone.out
    other = asking.run(f"%%loops sample {RUN} --compare step-11\nprompt", fails=True)
    assert "'step-11' is not a sampler or a run" in other.out
    assert server.asked == [], "all are looked for before one is asked"


def test_sample_error_of_the_service_is_one_line(asking: Notebook, server: SamplerServer) -> None:
    server.answers = [Answer({"message": "prompt too long"}, status=422)]
    ran = asking.run(f"%%loops sample {SAMPLER}\nprompt", fails=True)
    assert "BadRequestError: Could not sample from sampler" in ran.out
    assert "prompt too long" in ran.out
    assert "Traceback" not in ran.out


def test_sample_help(asking: Notebook) -> None:
    for cell in ("%%loops sample --help\nprompt", "%loops sample --help", "%loops help sample"):
        assert "%%loops sample SAMPLER [--compare SAMPLER|CKPT] ..." in asking.run(cell).out
    assert "%%loops sample" in asking.run("%loops --help").out


def test_completion_of_sample(asking: Notebook) -> None:
    asking.run(f"%%loops sample {RUN}\nprompt")
    asking.context.cache.add("run", [RUN])
    asking.context.cache.add("uri", [PIN])
    assert asking.completions("%%loops s") == ["%%loops sample"]
    assert asking.completions("%%loops sample k4") == [f"%%loops sample {RUN}"]
    assert asking.completions("%%loops sample samp") == [f"%%loops sample {SAMPLER}"]
    assert asking.completions(f"%%loops sample {RUN} --compare bt:") == [f"%%loops sample {RUN} --compare {PIN}"]
    assert f"%%loops sample {RUN} --max-tokens" in asking.completions(f"%%loops sample {RUN} --m")
    assert "%loops sample" not in asking.completions("%loops s"), "a line takes no cell"


def test_unloading_removes_both_magics(notebook: Notebook) -> None:
    magics = notebook.shell.magics_manager.magics
    assert all("loops" in magics[kind] for kind in ("line", "cell"))
    notebook.shell.extension_manager.unload_extension("loops_nb")
    assert not any("loops" in magics[kind] for kind in ("line", "cell"))
    notebook.run("%load_ext loops_nb")


def test_chat_goes_on_over_cells(asking: Notebook, server: SamplerServer) -> None:
    server.answers = [completions(choice("Hi.\n")), completions(choice("Fine"))]
    line = f"%%loops sample {RUN} --chat --messages talk"
    asking.run(f"{line} --system 'Be terse.' --record chats\nHello\n")
    assert bytes(server.asked[-1].json["prompt"]).decode() == "[system] Be terse.\n[user] Hello\n[assistant] "
    kept = [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
    ]
    assert asking.shell.user_ns["talk"] == kept
    ran = asking.run(f"{line}\nHow are you?")
    prompt = "[system] Be terse.\n[user] Hello\n[assistant] Hi.\n[user] How are you?\n[assistant] "
    assert bytes(server.asked[-1].json["prompt"]).decode() == prompt
    assert ran.value[0].prompt == prompt
    assert asking.shell.user_ns["talk"][3:] == [
        {"role": "user", "content": "How are you?"},
        {"role": "assistant", "content": "Fine"},
    ]
    samples = asking.run("%loops samples chats").value
    assert samples["prompt"].tolist() == ["[system] Be terse.\n[user] Hello\n[assistant] "]

    asking.run(f"%%loops sample {RUN} --chat\nuser: a\nb: c\nassistant: d\nuser: e")
    assert bytes(server.asked[-1].json["prompt"]).decode() == "[user] a\nb: c\n[assistant] d\n[user] e\n[assistant] "
    asked = len(server.asked)
    asking.shell.user_ns["number"] = 5
    for wrong, says in {
        f"%%loops sample {RUN} --system x\na": "--system is for --chat",
        f"{line} --system x\na": "talk has a system prompt already",
        f"{line} --n 2\na": "--messages keeps one answer",
        f"%%loops sample {RUN} --chat --messages number\na": "number is of type int",
        f"%%loops sample {RUN} --chat --messages 1x\na": "--messages takes a variable name",
        f"%%loops sample {RUN} --chat\nuser: a\nassistant: b": "A chat ends with what the model answers",
        f"%%loops sample {RUN} --chat\nUser: a\nAssistant: b\nUser:": "The last turn of the chat is empty",
    }.items():
        assert says in asking.run(wrong, fails=True).out, wrong
    assert len(server.asked) == asked
