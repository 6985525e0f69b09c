"""One evaluation: which checkpoints and prompts are left, the requests in parallel, and what is recorded of them."""

from __future__ import annotations

import math
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.api.models import Run
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.executors import TaskRunner
from loops_nb.checkpoints.resolver import CheckpointResolver
from loops_nb.checkpoints.service import check_runner
from loops_nb.client import checks
from loops_nb.client.operations import runs as run_operations
from loops_nb.client.run_names import run_named
from loops_nb.errors import InvalidArgumentError, LoopsError, NotFoundError, with_hint
from loops_nb.render.formatting import many
from loops_nb.sampling.evaluation.frames import CheckpointScore, scores_frame
from loops_nb.sampling.evaluation.prompts import EvaluationPrompt, prompt_set
from loops_nb.sampling.evaluation.score import ScoreFunction
from loops_nb.sampling.evaluation.score_task import ScoreTask, pickled_score
from loops_nb.sampling.executor import execute
from loops_nb.sampling.request import MAX_TOKENS, TIMEOUT_SECONDS, SampleRequest
from loops_nb.tracking import Experiment, ExperimentStore
from loops_nb.tracking.entries import now
from loops_nb.tracking.experiment import experiment as begin_experiment
from loops_nb.tracking.params import free_name, kept_params, read_params
from loops_nb.tracking.samples import MAX_SAMPLES, PROMPT_NUMBER, token_ids_text

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.client.transport import Transport

ALL_CHECKPOINTS = "all"
#: Stands for the base model of the run, at step 0.
BASE = "base"
_BASE_MODEL = "base model"
#: Requests at a time.
PARALLEL = 4
_MOST_PARALLEL = 64
#: After an interrupt, answers that are on their way are waited for this long.
GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.2
#: Requests that are asked ahead of the score, as a multiple of those at a time.
_AHEAD = 2
#: Prompts that an executor scores at a time.
_MOST_SCORED = 64
_TWO = 2
#: Tag of the experiments that hold evaluations.
EVALUATION_TAG = "evaluation"
_SCORE, _STDERR, _COUNT = "score", "score/stderr", "score/completions"
_KEYS = (_SCORE, _STDERR, _COUNT)
_KEPT = "What was scored is kept: the same call goes on from there."


class _Asked(NamedTuple):
    """One request: a prompt with its number in the set."""

    number: int
    prompt: EvaluationPrompt


class _Answered(NamedTuple):
    """The prompt and its completions, as text, and their scores if an executor has scored them."""

    prompt: str
    completions: list[str]
    scores: list[float | None] | None


class Evaluation:
    """The checked arguments of ``loops.evaluate``, which documents them."""

    def __init__(
        self,
        prompts: str | os.PathLike[str] | Iterable[Any],
        runs: str | Run | Sequence[str | Run],
        *,
        score: Callable[..., Any],
        checkpoints: str | Sequence[str] = ALL_CHECKPOINTS,
        name: str | None = None,
        n: int = 1,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | Sequence[int] | None = None,
        parallel: int = PARALLEL,
        tokenizer: Any = None,
        timeout: float = TIMEOUT_SECONDS,
        executor: Executor | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._set = prompt_set(prompts)
        self._score = ScoreFunction(score)
        self._score.check(one.fields for one in self._set.prompts)
        self._runs = [runs] if isinstance(runs, (str, Run)) else list(runs)
        if not self._runs:
            raise InvalidArgumentError("No run was named.", argument="runs", hint="Name a run by its id or its name.")
        self._names = [checkpoints] if isinstance(checkpoints, str) else list(checkpoints)
        self._name = None if name is None else checks.text("name", name)
        self._parallel = min(_MOST_PARALLEL, checks.whole("parallel", parallel, least=1))
        #: Also where more prompts are being scored.
        self._asking = threading.BoundedSemaphore(self._parallel)
        self._runner = None if executor is None else TaskRunner(executor)
        self._pickled = b""
        if self._runner is not None and not self._runner.shares_memory:
            self._pickled = pickled_score(self._score)
        self._params = {
            "n": n,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "seed": seed,
            "stop": stop,
        }
        self._tokenizer = tokenizer
        self._timeout = timeout
        self._report = report
        self._is_cancelled = threading.Event()
        # Before anything is sent: an argument that no sampler takes.
        self._request("run", self._set.prompts[0], None)

    def cancel(self) -> None:
        """End it soon, from another thread; what was scored is kept."""
        self._is_cancelled.set()
        if self._runner is not None:
            self._runner.cancel()

    def run(self, transport: Transport) -> pd.DataFrame:
        """Ask, score and record everything that is not recorded yet, and return the scores.

        Raises
        ------
        LoopsError
            As ``loops.evaluate`` documents.
        """
        if self._runner is not None:
            check_runner(self._runner)
        chosen = [self._checkpoints_of(run, transport) for run in self._runs]
        notes: list[str] = []
        scores = []
        for run, refs in chosen:
            steps, note = _steps(run, refs)
            notes += [note] if note else []
            checkpoints = self._with_base(list(zip(steps, refs, strict=True)))
            scores += self._evaluate_run(run, checkpoints, transport)
        line = " ".join(dict.fromkeys(f'"{one.name}"' if " " in one.name else one.name for one in scores))
        with ExperimentStore() as store:
            dropped = sum(store.samples_dropped(key) for key in {one.experiment for one in scores})
        if dropped:
            notes.append(f"{many(dropped, 'sample')} are scored but not kept: an experiment keeps {MAX_SAMPLES:,}.")
        notes += self._runner.notes if self._runner else []
        notes.append(f"%loops curves {line} --metric score shows the curve, %loops watch samples {line} the samples.")
        return scores_frame(scores, notes)

    # Which checkpoints

    def _checkpoints_of(self, word: str | Run, transport: Transport) -> tuple[Run, list[CheckpointRef]]:
        run = word if isinstance(word, Run) else _run_of(word, transport)
        resolver = CheckpointResolver(transport)
        names = [name for name in self._names if name != BASE]
        named = [] if ALL_CHECKPOINTS in names else names
        refs = resolver.resolve(named, run_id=run.id, target="sampler") if names else []
        if any(ref.uri is None for ref in refs):
            missing = next(name for name, ref in zip(named, refs, strict=False) if ref.uri is None)
            raise NotFoundError(
                f"Run {run.id} has no checkpoint {missing!r:.80}.",
                status=404,
                hint=f"%loops checkpoints {run.id} lists what it has saved.",
            )
        return run, refs

    def _with_base(self, checkpoints: list[tuple[int, CheckpointRef]]) -> list[tuple[int, CheckpointRef]]:
        base = [(0, CheckpointRef(_BASE_MODEL, name=_BASE_MODEL))] if BASE in self._names else []
        return base + sorted(checkpoints, key=lambda one: one[0])

    def _say(self, text: str) -> None:
        if self._report is not None:
            self._report(text)

    # One run

    def _evaluate_run(
        self, run: Run, checkpoints: list[tuple[int, CheckpointRef]], transport: Transport
    ) -> list[CheckpointScore]:
        exp, is_new = self._experiment(run)
        scores = []
        try:
            for place, (step, ref) in enumerate(checkpoints, start=1):
                scores.append(self._evaluate_checkpoint(exp, run, step, ref, transport))
                known = scores[-1]
                mean = "no score" if known.score is None else f"mean score {known.score:.4g}"
                before = ", scored before" if known.is_known else ""
                count = many(known.scored, "completion")
                self._say(f"{ref.label} ({place} of {len(checkpoints)}): {mean} of {count}{before}")
        except BaseException:
            # What is not written yet cannot be counted.
            is_written = exp.flush()
            exp.close()
            if is_new and is_written:
                _delete_if_empty(exp)
            raise
        finally:
            exp.close()
        return scores

    def _experiment(self, run: Run) -> tuple[Experiment, bool]:
        """Begin the experiment of a run, or resume the one that has the same settings; and say whether it is new."""
        label = run.name or run.id
        name = self._name or f"eval-{self._set.name}-{label}"
        if self._name is not None and len(self._runs) > 1:
            name = f"{self._name}-{label}"
        settings = {
            "prompts": self._set.name,
            "prompt_count": len(self._set.prompts),
            "prompts_digest": self._set.digest,
            "score": self._score.name,
            **{key: value for key, value in self._params.items() if value is not None},
        }
        with ExperimentStore() as store:
            rows = store.experiments(archived=True)
        same = next(
            (
                row
                for row in rows
                if row.run_id == run.id
                and (row.name == name or row.name.startswith(f"{name} ("))
                and row.params == {**row.params, **read_params(kept_params(settings))}
            ),
            None,
        )
        if same is not None:
            return begin_experiment(same.name, resume=same.id, run=run.id), False
        # One with other settings keeps its own curve.
        free = free_name(name, {row.name for row in rows})
        return begin_experiment(free, params=settings, tags=(EVALUATION_TAG,), run=run.id, session=run.session_id), True

    def _evaluate_checkpoint(
        self, exp: Experiment, run: Run, step: int, ref: CheckpointRef, transport: Transport
    ) -> CheckpointScore:
        uri = ref.uri or _BASE_MODEL
        known = _recorded(exp, step, uri)
        values = known.logged
        if not known.is_done:
            rewards = [reward for several in known.scores.values() for reward in several]
            pending = [
                _Asked(number, prompt)
                for number, prompt in enumerate(self._set.prompts, start=1)
                if number not in known.scores
            ]
            if pending:
                self._ask_all(exp, run, step, uri, pending, rewards, transport)
            values = _summary(rewards)
            exp.log(dict(values), step=step)
            if ref.uri is None:
                exp.note(_BASE_MODEL, step=step)
            else:
                exp.saved(str(ref.name), step=step, uri=ref.uri, target="sampler")
        return CheckpointScore(
            checkpoint=str(ref.name),
            step=step,
            score=values.get(_SCORE),
            stderr=values.get(_STDERR),
            scored=int(values[_COUNT]),
            is_known=known.is_done,
            name=exp.name,
            experiment=exp.id,
            run_id=run.id,
            uri=ref.uri,
        )

    # Requests

    def _ask_all(
        self,
        exp: Experiment,
        run: Run,
        step: int,
        uri: str,
        pending: list[_Asked],
        rewards: list[float | None],
        transport: Transport,
    ) -> None:
        # With an executor, those that wait for their scores need threads as well.
        threads, ahead = self._parallel, _AHEAD * self._parallel
        if self._runner is not None:
            threads = ahead = self._parallel + _MOST_SCORED
        pool = ThreadPoolExecutor(threads, thread_name_prefix="loops-nb-evaluate")
        waiting = iter(pending)
        futures: dict[Future[_Answered], _Asked] = {}
        try:
            while True:
                # Not all at once: what was answered and is not scored yet would be lost by an interrupt.
                for one in islice(waiting, ahead - len(futures)):
                    futures[pool.submit(self._ask, run, one.prompt, uri, transport)] = one
                if not futures:
                    break
                done, _ = wait(futures, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=lambda one: futures[one].number):
                    rewards += self._record(exp, step, uri, futures.pop(future), future.result())
                self._check_cancelled()
        except BaseException as error:
            self._record_answered(exp, step, uri, futures)
            if isinstance(error, LoopsError) and not error.hint:
                raise with_hint(error, _KEPT) from None
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _check_cancelled(self) -> None:
        if self._is_cancelled.is_set():
            raise LoopsError("The evaluation was cancelled.", hint=_KEPT)

    def _record_answered(self, exp: Experiment, step: int, uri: str, futures: dict[Future[_Answered], _Asked]) -> None:
        """Record what is answered within a moment after an interrupt or an error; nothing else is asked."""
        until = time.monotonic() + GRACE_SECONDS
        on_their_way = [future for future in futures if not future.cancel()]
        answered, _ = wait(on_their_way, timeout=GRACE_SECONDS)
        for future in answered:
            if future.exception() is None and time.monotonic() < until:
                try:
                    self._record(exp, step, uri, futures[future], future.result())
                except LoopsError:
                    # The score fails for this one too; the first error is raised.
                    continue
        exp.flush()

    def _ask(self, run: Run, prompt: EvaluationPrompt, uri: str, transport: Transport) -> _Answered:
        """Ask one prompt; with an executor, also have the answers scored."""
        request = self._request(run, prompt, uri)
        with self._asking:
            actions = request.actions(transport.config)
            completions = request.completions(execute(actions, transport, tokenizer=request.tokenizer, quiet=True))
        text = completions.prompt or token_ids_text(completions.prompt_tokens)
        texts = [token_ids_text(one.tokens) if one.text is None else one.text for one in completions]
        if self._runner is None:
            return _Answered(text, texts, None)
        tasks = [ScoreTask(self._score, self._pickled, text, one, prompt.fields) for one in texts]
        return _Answered(text, texts, self._runner.run(tasks, total=len(tasks)))

    def _request(self, run: str | Run, prompt: EvaluationPrompt, uri: str | None) -> SampleRequest:
        return SampleRequest(
            run,
            prompt.prompt,
            checkpoint=None if uri == _BASE_MODEL else uri,
            # Version 0 is the base model.
            min_policy_version=0 if uri == _BASE_MODEL else None,
            tokenizer=self._tokenizer,
            timeout=self._timeout,
            prompt_logprobs=None,
            **self._params,
        )

    def _record(self, exp: Experiment, step: int, uri: str, asked: _Asked, answered: _Answered) -> list[float | None]:
        """Score the completions of one prompt, keep them as samples, and return their scores."""
        prompt, texts, scores = answered
        if scores is None:
            # All are scored before the first is kept: a prompt is asked again as a whole.
            scores = [self._score(prompt, text, asked.prompt.fields) for text in texts]
        for number, (text, score) in enumerate(zip(texts, scores, strict=True), start=1):
            fields = {**asked.prompt.fields, "checkpoint": uri, PROMPT_NUMBER: asked.number}
            if len(texts) > 1:
                fields["completion_number"] = number
            exp.sample_in_attempt(prompt, text, step=step, reward=score, fields=fields, attempt=None, at=now())
        return scores


def _run_of(word: str, transport: Transport) -> Run:
    name = checks.text("runs", word)
    listed = transport.send(run_operations.list_())
    found = run_named(name, listed, argument="runs")
    if found is not None:
        return found
    if checks.is_identifier(name):
        # It may be a colleague's.
        return transport.send(run_operations.get(name))
    raise NotFoundError(
        f"There is no run with the id or name {name!r:.80}.", status=404, hint="%loops runs lists what there is."
    )


def _steps(run: Run, refs: Sequence[CheckpointRef]) -> tuple[list[int], str]:
    """Return the steps of the checkpoints of a run: those in their names, or that were recorded; and a note."""
    recorded: dict[str, int] = {}
    with ExperimentStore() as store:
        for row in store.experiments(archived=True):
            if row.run_id == run.id and EVALUATION_TAG not in row.tags:
                recorded |= {mark.text: mark.step for mark in store.marks(row.id) if mark.step is not None}
    steps = [recorded.get(str(ref.name)) if ref.step is None else ref.step for ref in refs]
    known = [step for step in steps if step is not None]
    if len(known) == len(steps):
        return known, ""
    # Listings have the newest first.
    numbered = list(range(len(refs), 0, -1))
    return (
        numbered,
        f"Not all checkpoints of {run.name or run.id} have a step: they are numbered as they were saved.",
    )


class _Recorded(NamedTuple):
    """What is recorded of a checkpoint: whether it is done, the scores by prompt, and the values that were logged."""

    is_done: bool
    scores: dict[int, list[float | None]]
    logged: dict[str, float]


def _delete_if_empty(exp: Experiment) -> None:
    """Delete an experiment of which nothing was scored: a run without a sampler would leave one at each attempt."""
    # What led here is raised, whatever comes of this.
    with suppress(LoopsError), ExperimentStore() as store:
        if not store.keys(exp.id) and not store.samples(exp.id):
            store.delete([row for row in store.experiments(archived=True) if row.id == exp.id])


def _recorded(exp: Experiment, step: int, uri: str) -> _Recorded:
    exp.flush()
    with ExperimentStore(exp.location) as store:
        if any(uri in {mark.uri, mark.text} for mark in store.marks(exp.id)):
            return _Recorded(is_done=True, scores={}, logged={key: _logged(store, exp, key, step) for key in _KEYS})
        scores: dict[int, list[float | None]] = {}
        for one in store.samples(exp.id, steps=[step]):
            number = one.fields.get(PROMPT_NUMBER)
            if one.fields.get("checkpoint") == uri and isinstance(number, int):
                scores.setdefault(number, []).append(one.reward)
    return _Recorded(is_done=False, scores=scores, logged={})


def _logged(store: ExperimentStore, exp: Experiment, key: str, step: int) -> float:
    series = store.series(exp.id, key)
    return next((float(value) for at, value in zip(series.step, series.value, strict=True) if at == step), math.nan)


def _summary(rewards: Sequence[float | None]) -> dict[str, float]:
    """Return what is logged of the scores of a checkpoint, by key."""
    numbers = [reward for reward in rewards if reward is not None]
    values = {_COUNT: float(len(numbers))}
    if numbers:
        values[_SCORE] = sum(numbers) / len(numbers)
    if len(numbers) >= _TWO and all(map(math.isfinite, numbers)):
        values[_STDERR] = statistics.stdev(numbers) / math.sqrt(len(numbers))
    return values
