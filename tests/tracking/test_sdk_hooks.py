"""SDK hooks: a tracked client has the same answers, errors and type, and its calls are recorded."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from loops_nb import experiment, track
from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking import ExperimentStore, TrackingWarning, store_path
from loops_nb.tracking.sdk_hooks.hook import RecordingClock, TrainingPosition
from tests.tracking.fake_sdk import Client, Sampler, adam, data


def points(store: ExperimentStore, key: str, name: str = "abc1234") -> list[tuple[int, float, float, int]]:
    found = store.series(next(row.id for row in store.experiments() if row.name == name), key)
    columns = (found.step, found.value, found.tokens, found.attempt)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_loop_values_have_the_step_they_lead_to(store: ExperimentStore) -> None:
    client = track(Client(), params={"seed": 1}, tags=["sweep"])
    for _ in range(2):
        forward, optim = client.forward_backward(data(10, 20)), client.optim_step(adam(0.1))
        # Results in reverse order: their steps were determined when they were submitted.
        optim.result()
        forward.result()
        forward.result()
    client.close()
    assert points(store, "loss") == [(1, 2.0, 30, 1), (2, 2.0, 60, 1)]
    assert points(store, "tokens") == [(1, 30.0, 30, 1), (2, 30.0, 60, 1)]
    assert points(store, "datums") == [(1, 2.0, 30, 1), (2, 2.0, 60, 1)]
    assert points(store, "learning_rate") == [(1, 0.1, 30, 1), (2, 0.1, 60, 1)]
    assert points(store, "grad_norm") == [(1, 0.25, 30, 1), (2, 0.25, 60, 1)]
    assert points(store, "entropy") == [(1, 0.5, 30, 1), (2, 0.5, 60, 1)]
    # Metrics of the trainer with the name of a recorded value get a prefix.
    assert points(store, "forward_backward/tokens") == [(1, 1.0, 30, 1), (2, 1.0, 60, 1)]
    assert points(store, "optim_step/step") == [(1, 77.0, 30, 1), (2, 77.0, 60, 1)]
    assert [value >= 0 for _, value, _, _ in points(store, "forward_backward_seconds")] == [True, True]
    assert [value >= 0 for _, value, _, _ in points(store, "optim_step_seconds")] == [True, True]
    (row,) = store.experiments()
    assert (row.run_id, row.session_id, row.tags) == ("abc1234", "sess123", ("sweep",))
    assert row.params == {"base_model": "Qwen/Qwen3-8B", "lora_rank": 16, "seed": 1}


def test_second_argument_is_the_name_of_the_experiment(store: ExperimentStore) -> None:
    track(Client(), "my name").close()
    assert [row.name for row in store.experiments()] == ["my name"]


def test_unusable_parameters_are_a_warning_and_end_no_training() -> None:
    with pytest.warns(TrackingWarning, match="This training is not recorded: params must be a dictionary, not int"):
        assert isinstance(track(Client(), params=3), Client)  # type: ignore[arg-type]


def test_asynchronous_methods_are_recorded(store: ExperimentStore) -> None:
    client = track(Client())
    assert inspect.iscoroutinefunction(client.forward_backward_async)

    async def loop() -> None:
        forward, optim = await asyncio.gather(
            client.forward_backward_async(data(5)), client.optim_step_async(adam(0.2))
        )
        assert (await forward).loss == 1.0
        assert (await optim.result_async()).metrics["grad_norm"] == 0.25
        sampler = client.save_weights_and_get_sampling_client("a")
        await sampler.sample_async("prompt", num_samples=2)

    asyncio.run(loop())
    assert points(store, "loss") == [(1, 1.0, 5, 1)]
    assert points(store, "sample/tokens") == [(1, 6.0, 5, 1)]


def test_saves_are_marks_with_the_uri_of_the_answer(store: ExperimentStore) -> None:
    client = track(Client())
    client.optim_step(adam(0.1))
    client.save_state("a", ttl_seconds=3600).result()
    client.save_weights_for_sampler("b").result()
    client.save_weights_and_get_sampling_client("c")
    client.save_state("not-awaited")
    gc.collect()
    client.create_sampling_client("bt://loops:abc1234/weights/a-0123")
    (row,) = store.experiments()
    assert [(mark.step, mark.text, mark.uri, mark.target) for mark in store.marks(row.id)] == [
        (1, "a-0123", "bt://loops:abc1234/weights/a-0123", "trainer"),
        (1, "b", "bt://loops:abc1234/sampler_weights/b", "sampler"),
        (1, "c", "bt://loops:abc1234/sampler_weights/c", "sampler"),
        (1, "not-awaited", None, "trainer"),
    ]
    first = store.marks(row.id)[0]
    assert store.lifetimes() == {"bt://loops:abc1234/weights/a-0123": first.at + 3_600_000}


def test_loaded_state_begins_a_new_attempt_at_its_step(store: ExperimentStore) -> None:
    client = track(Client())
    for _ in range(5):
        client.forward_backward(data(1)).result()
        client.optim_step(adam(0.1)).result()
    client.load_state("bt://loops:abc1234/weights/a").result()
    client.forward_backward(data(1)).result()
    client.optim_step(adam(0.1)).result()
    client.load_state("bt://loops:abc1234/weights/step-40")
    client.forward_backward(data(1)).result()
    assert [(step, attempt) for step, _, _, attempt in points(store, "loss")] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 1),
        (5, 1),
        (3, 2),
        (41, 3),
    ]


def test_base_checkpoint_is_a_parameter_and_user_params_come_first(
    store: ExperimentStore,
) -> None:
    for number, start in enumerate(["hf:///models/tiny", "bt://loops:abc1234/weights/a"]):
        client = Client(f"run{number}")
        client.base_checkpoint = start  # type: ignore[attr-defined]
        track(client, params={"lr": 0.1, "lora_rank": 3})
    other, first = (row.params for row in store.experiments())
    assert list(first.items()) == [("lr", 0.1), ("lora_rank", 3), ("base_model", "Qwen/Qwen3-8B")]
    assert other["base_checkpoint"] == "bt://loops:abc1234/weights/a"


def test_replaced_method_is_recorded(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    tracked = track(client)
    assert tracked.optim_step is tracked.optim_step
    tracked.forward_backward(data(1)).result()
    monkeypatch.setattr(
        client, "forward_backward", lambda data, *rest: client._answer(loss=7.0, metrics={}, rest=(data, *rest))
    )
    tracked.forward_backward(data(2), "ppo", 3).result()
    assert [value for _, value, _, _ in points(store, "loss")] == [1.0, 7.0]
    assert [value for _, value, _, _ in points(store, "tokens")] == [1.0, 2.0]


def test_run_tracked_again_resumes_its_experiment(store: ExperimentStore) -> None:
    first = Client()
    track(first).forward_backward(data(7)).result()
    second = Client()
    second.policy_version = 4
    track(second).forward_backward(data(7)).result()
    assert points(store, "loss") == [(1, 1.0, 7, 1), (5, 1.0, 14, 2)]
    assert len(store.experiments()) == 1


def test_proxy_behaves_like_the_client() -> None:
    client = Client()
    tracked = track(client)
    assert isinstance(tracked, Client)
    assert track(tracked) is tracked
    assert (tracked.get_info(), tracked.run_id, repr(tracked)) == ("info", "abc1234", repr(client))
    tracked.note = "set through"
    assert client.note == "set through"  # type: ignore[attr-defined]
    del tracked.note
    assert not hasattr(client, "note")
    assert set(dir(client)) <= set(dir(tracked))
    assert tracked == client
    assert hash(tracked) == hash(client)
    assert inspect.signature(tracked.forward_backward) == inspect.signature(client.forward_backward)
    future = tracked.forward_backward(data=data(1))
    assert (future.operation_id, future.done()) == ("op", True)
    sampler = tracked.save_weights_and_get_sampling_client()
    assert isinstance(sampler, Sampler)
    assert type(pickle.loads(pickle.dumps(sampler))) is Sampler  # noqa: S301 - our own
    tracked.close()
    assert client.closed


def test_errors_of_the_training_are_unchanged(store: ExperimentStore) -> None:
    client = Client()
    tracked = track(client)
    tracked.optim_step(adam(0.1))
    client.fails = RuntimeError("the trainer is gone")
    with pytest.raises(RuntimeError, match="the trainer is gone"):
        tracked.optim_step(adam(0.1))
    with pytest.raises(TypeError):
        tracked.forward_backward()
    client.fails = None
    client.result_fails = ValueError("bad data")
    with pytest.raises(ValueError, match="bad data"):
        tracked.forward_backward(data(1)).result()
    client.result_fails = None
    tracked.optim_step(adam(0.3))
    # A refused step does not count.
    assert points(store, "learning_rate")[-1][:2] == (2, 0.3)


class Hostile(Client):
    """A client whose answers raise on access."""

    def forward_backward(self, data: list[Any], loss_fn: str = "cross_entropy") -> Any:
        class Bad:
            @property
            def loss(self) -> float:
                raise KeyError("no")

        return self._answer_bad(Bad())

    def _answer_bad(self, bad: Any) -> Any:
        future = self._answer()
        future._result = bad
        return future


@pytest.mark.parametrize("action", ["error", "always"])
def test_error_of_the_recording_is_one_warning(action: Any) -> None:
    tracked = track(Hostile())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        for _ in range(3):
            tracked.forward_backward(data(1)).result()
            tracked.optim_step(object()).result()
    assert [str(warning.message) for warning in caught] == (
        []
        if action == "error"
        else ["Recording of 'abc1234' had an error and continues without the call (KeyError: 'no')."]
    )


def test_client_is_returned_if_nothing_can_be_recorded() -> None:
    store_path().parent.mkdir(parents=True)
    store_path().write_text("a letter to a friend, long enough to be no file of experiments" * 20)
    client = Client()
    with pytest.warns(TrackingWarning, match=r"This training is not recorded: .* is not a file of experiments"):
        assert track(client) is client
    assert store_path().read_text().startswith("a letter")


def test_track_refuses_other_objects() -> None:
    with pytest.raises(InvalidArgumentError, match="Sampler is no training client"):
        track(Sampler())


def test_track_uses_a_given_experiment(store: ExperimentStore) -> None:
    mine = experiment("mine")
    client = track(Client(run_id=None), experiment=mine)
    client.forward_backward(data(1)).result()
    assert client.loops_experiment is mine
    assert points(store, "loss", "mine") == [(1, 1.0, 1, 1)]
    track(Client(run_id=None), experiment="named").forward_backward(data(1)).result()
    assert points(store, "loss", "named") == [(1, 1.0, 1, 1)]


def test_seconds_are_rounded_to_microseconds() -> None:
    class FixedClock(RecordingClock):
        at = 1_763_742_342.136

        def seconds(self) -> float:
            return self.at

    clock = FixedClock()
    place = TrainingPosition(0, 0, 0.0, clock)
    clock.at += 0.018
    assert place.seconds == 0.018


class _Bytes:
    """A tokenizer of bytes."""

    def decode(self, tokens: list[int]) -> str:
        return bytes(tokens).decode()


def test_samples_are_kept_only_on_request_and_only_some_of_a_step(store: ExperimentStore) -> None:
    plain = track(Client(), "plain")
    plain.save_weights_and_get_sampling_client("a").sample("a prompt", num_samples=3)
    client = track(Client(), "kept", keep_samples=2)
    for _ in range(2):
        client.optim_step(adam(0.1))
        sampler = client.save_weights_and_get_sampling_client("a")
        sampler.sample(SimpleNamespace(to_ints=lambda: [104, 105]), num_samples=1)
        sampler.sample([104, 111], num_samples=3)
    by_name = {row.name: row.id for row in store.experiments()}
    assert store.samples(by_name["plain"]) == []
    kept = store.samples(by_name["kept"])
    assert [(one.step, one.prompt, one.completion) for one in kept] == [
        (step, f"token ids: {prompt}", "token ids: 1 2 3") for step in (1, 2) for prompt in ("104 105", "104 111")
    ]
    assert kept[0].fields == {"tokens": 3}
    assert kept[0].reward is None


@pytest.mark.parametrize("is_given", [True, False])
def test_kept_samples_are_decoded_where_a_tokenizer_is_at_hand(store: ExperimentStore, is_given: bool) -> None:
    own = Client()
    own.get_tokenizer = _Bytes  # type: ignore[attr-defined]
    client = track(own, keep_samples=4, tokenizer=_Bytes() if is_given else None)
    if not is_given:
        assert isinstance(client.get_tokenizer(), _Bytes)
    sampler = client.save_weights_and_get_sampling_client("a")
    sampler.sample([104, 105])
    sampler.sample([0xFF])
    (row,) = store.experiments()
    assert [(one.prompt, one.completion) for one in store.samples(row.id)] == [
        ("hi", "\x01\x02\x03"),
        ("token ids: 255", "\x01\x02\x03"),
    ]


def test_unusable_ways_of_keeping_samples_are_refused() -> None:
    for wrong in (-1, 1.5, True, "4"):
        with pytest.raises(InvalidArgumentError, match="keep_samples must be"):
            track(Client(), keep_samples=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="must have decode"):
        track(Client(), keep_samples=1, tokenizer=3)
