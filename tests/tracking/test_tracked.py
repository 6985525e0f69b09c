"""A tracked client is the client: same answers, same errors, same type; and what it did is recorded."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import warnings
from typing import Any

import pytest

from loops_nb import experiment, track
from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking import Store, TrackingWarning, store_path
from loops_nb.tracking.watches import Clock, Place
from tests.tracking.stand_ins import Client, Sampler, adam, data


def points(store: Store, key: str, name: str = "abc1234") -> list[tuple[int, float, float, int]]:
    found = store.series(next(row.id for row in store.experiments() if row.name == name), key)
    columns = (found.step, found.value, found.tokens, found.attempt)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_loop_is_recorded_at_the_step_it_leads_to(store: Store) -> None:
    client = track(Client(), params={"seed": 1}, tags=["sweep"])
    for _ in range(2):
        forward, optim = client.forward_backward(data(10, 20)), client.optim_step(adam(0.1))
        # The results in the other order: which step they belong to was settled when they were submitted.
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
    # What the trainer calls like something of ours stands apart.
    assert points(store, "forward_backward/tokens") == [(1, 1.0, 30, 1), (2, 1.0, 60, 1)]
    assert points(store, "optim_step/step") == [(1, 77.0, 30, 1), (2, 77.0, 60, 1)]
    assert [value >= 0 for _, value, _, _ in points(store, "forward_backward_seconds")] == [True, True]
    assert [value >= 0 for _, value, _, _ in points(store, "optim_step_seconds")] == [True, True]
    (row,) = store.experiments()
    assert (row.run_id, row.session_id, row.tags) == ("abc1234", "sess123", ("sweep",))
    assert row.params == {"base_model": "Qwen/Qwen3-8B", "lora_rank": 16, "seed": 1}


def test_the_second_word_is_the_name_of_the_experiment(store: Store) -> None:
    track(Client(), "my name").close()
    assert [row.name for row in store.experiments()] == ["my name"]


def test_parameters_that_are_none_are_told_in_words_and_end_no_training() -> None:
    with pytest.warns(TrackingWarning, match="This training is not recorded: params must be a dictionary, not int"):
        assert isinstance(track(Client(), params=3), Client)  # type: ignore[arg-type]


def test_the_asynchronous_methods_are_recorded_alike(store: Store) -> None:
    client = track(Client())
    assert inspect.iscoroutinefunction(client.forward_backward_async)

    async def loop() -> None:
        forward, optim = await asyncio.gather(client.forward_backward_async(data(5)), client.optim_step_async(adam(0.2)))
        assert (await forward).loss == 1.0
        assert (await optim.result_async()).metrics["grad_norm"] == 0.25
        sampler = client.save_weights_and_get_sampling_client("a")
        await sampler.sample_async("prompt", num_samples=2)

    asyncio.run(loop())
    assert points(store, "loss") == [(1, 1.0, 5, 1)]
    assert points(store, "sample/tokens") == [(1, 6.0, 5, 1)]


def test_saves_are_marks_with_the_uri_that_the_answer_tells(store: Store) -> None:
    client = track(Client())
    client.optim_step(adam(0.1))
    client.save_state("a").result()
    client.save_weights_for_sampler("b").result()
    client.save_weights_and_get_sampling_client("c")
    client.save_state("nobody waits for it")
    gc.collect()
    client.create_sampling_client("bt://loops:abc1234/weights/a-0123")
    (row,) = store.experiments()
    assert [(mark.step, mark.text, mark.uri, mark.target) for mark in store.marks(row.id)] == [
        (1, "a-0123", "bt://loops:abc1234/weights/a-0123", "trainer"),
        (1, "b", "bt://loops:abc1234/sampler_weights/b", "sampler"),
        (1, "c", "bt://loops:abc1234/sampler_weights/c", "sampler"),
        (1, "nobody waits for it", None, "trainer"),
    ]


def test_a_loaded_state_begins_a_new_attempt_at_its_step(store: Store) -> None:
    client = track(Client())
    for _ in range(5):
        client.forward_backward(data(1)).result()
        client.optim_step(adam(0.1)).result()
    client.load_state("bt://loops:abc1234/weights/a").result()
    client.forward_backward(data(1)).result()
    client.optim_step(adam(0.1)).result()
    client.load_state("bt://loops:abc1234/weights/step-40")
    client.forward_backward(data(1)).result()
    assert [(step, attempt) for step, _, _, attempt in points(store, "loss")] == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (3, 2), (41, 3)]


def test_where_training_began_is_a_parameter_if_it_is_a_checkpoint_and_what_a_person_says_stands_first(store: Store) -> None:
    for number, start in enumerate(["hf:///models/tiny", "bt://loops:abc1234/weights/a"]):
        client = Client(f"run{number}")
        client.base_checkpoint = start  # type: ignore[attr-defined]
        track(client, params={"lr": 0.1, "lora_rank": 3})
    other, first = (row.params for row in store.experiments())
    assert list(first.items()) == [("lr", 0.1), ("lora_rank", 3), ("base_model", "Qwen/Qwen3-8B")]
    assert other["base_checkpoint"] == "bt://loops:abc1234/weights/a"


def test_a_method_that_is_put_in_the_place_of_another_is_followed_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    tracked = track(client)
    assert tracked.optim_step is tracked.optim_step
    tracked.forward_backward(data(1)).result()
    monkeypatch.setattr(client, "forward_backward", lambda data, *rest: client._answer(loss=7.0, metrics={}, rest=(data, *rest)))
    tracked.forward_backward(data(2), "ppo", 3).result()
    assert [value for _, value, _, _ in points(store, "loss")] == [1.0, 7.0]
    assert [value for _, value, _, _ in points(store, "tokens")] == [1.0, 2.0]


def test_a_run_that_is_tracked_again_goes_on(store: Store) -> None:
    first = Client()
    track(first).forward_backward(data(7)).result()
    second = Client()
    second.policy_version = 4
    track(second).forward_backward(data(7)).result()
    assert points(store, "loss") == [(1, 1.0, 7, 1), (5, 1.0, 14, 2)]
    assert len(store.experiments()) == 1


def test_it_is_the_client_for_all_purposes() -> None:
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


def test_errors_of_the_training_pass_unchanged(store: Store) -> None:
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
    # The step that was refused does not count.
    assert points(store, "learning_rate")[-1][:2] == (2, 0.3)


class Hostile(Client):
    """Whose answers cannot be read."""

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
def test_a_fault_of_the_recording_is_one_warning_and_never_an_error(action: Any) -> None:
    tracked = track(Hostile())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter(action)
        for _ in range(3):
            tracked.forward_backward(data(1)).result()
            tracked.optim_step(object()).result()
    assert [str(warning.message) for warning in told] == (
        [] if action == "error" else ["Recording of 'abc1234' had a fault and goes on without what it was about (KeyError: 'no')."]
    )


def test_where_nothing_can_be_recorded_the_client_comes_back_as_it_is() -> None:
    store_path().parent.mkdir(parents=True)
    store_path().write_text("a letter to a friend, long enough to be no file of experiments" * 20)
    client = Client()
    with pytest.warns(TrackingWarning, match=r"This training is not recorded: .* is not a file of experiments"):
        assert track(client) is client
    assert store_path().read_text().startswith("a letter")


def test_what_is_no_training_client_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="Sampler is no training client"):
        track(Sampler())


def test_an_experiment_that_is_begun_already_is_used(store: Store) -> None:
    mine = experiment("mine")
    client = track(Client(run_id=None), experiment=mine)
    client.forward_backward(data(1)).result()
    assert client.loops_experiment is mine
    assert points(store, "loss", "mine") == [(1, 1.0, 1, 1)]
    track(Client(run_id=None), experiment="named").forward_backward(data(1)).result()
    assert points(store, "loss", "named") == [(1, 1.0, 1, 1)]


def test_seconds_have_no_digits_that_only_subtracting_made() -> None:
    class Told(Clock):
        at = 1_763_742_342.136

        def seconds(self) -> float:
            return self.at

    clock = Told()
    place = Place(0, 0, 0.0, clock)
    clock.at += 0.018
    assert place.seconds == 0.018
