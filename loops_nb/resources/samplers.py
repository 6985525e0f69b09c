"""``loops.samplers``: sampling servers, paired with a run or standalone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loops_nb.api.models import Checkpoint, Deactivated, Run, Sampler
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.uses import remember_sampler
from loops_nb.client.filters import alive_only
from loops_nb.client.operations import samplers
from loops_nb.resources.base import Resource
from loops_nb.resources.frames import alive_rows, frame_of
from loops_nb.sampling.completions import Completions
from loops_nb.sampling.executor import execute
from loops_nb.sampling.request import MAX_TOKENS, TIMEOUT_SECONDS, SampleRequest

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.frames import ListingRows
    from loops_nb.panels import SamplersPanel


class Samplers(Resource):
    """Sampling servers: list, create, sample from, wait for, watch and end them."""

    def list(self, *, scope: str | None = None, team_id: str | None = None, alive: bool = False) -> list[Sampler]:
        """List samplers, newest first (``GET /v1/loops/samplers``).

        Parameters
        ----------
        scope : {"org"}, optional
            Samplers of the whole organisation; default is the caller's own.
        team_id : str, optional
            Only this team's, given by id or name.
        alive : bool, default False
            Leave out what has ended: INACTIVE, FAILED and what failed to start.

        Returns
        -------
        list of Sampler
            Newest first.

        Examples
        --------
        >>> [sampler.id for sampler in loops.samplers.list(scope="org")]
        """
        listed = self._transport.send(samplers.list_(scope=scope, team_id=self._team_id(team_id)))
        return alive_only(listed, "samplers", alive=alive)

    def frame(self, *, scope: str | None = None, team_id: str | None = None, alive: bool = False) -> pd.DataFrame:
        """List samplers as a DataFrame (``GET /v1/loops/samplers``).

        Parameters
        ----------
        scope, team_id, alive
            As in `list`.

        Returns
        -------
        pandas.DataFrame
            One row a sampler; columns of the kind ``samplers`` in `loops_nb.frames`.

        Examples
        --------
        >>> df = loops.samplers.frame()
        """
        return frame_of(self.listing(scope=scope, team_id=team_id, alive=alive))

    def listing(self, *, scope: str | None = None, team_id: str | None = None, alive: bool = False) -> ListingRows:
        """List the rows of `frame` (``GET /v1/loops/samplers``), without pandas.

        Parameters
        ----------
        scope, team_id, alive
            As in `frame`.

        Returns
        -------
        ListingRows
            See `loops_nb.frames.ListingRows`; its method ``frame`` makes the DataFrame.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> loops.samplers.listing().values("id")
        """
        found = self._listing(samplers.list_(scope=scope, team_id=self._team_id(team_id)), "samplers")
        return alive_rows(found) if alive else found

    def get(self, sampler_id: str) -> Sampler:
        """Fetch a sampler (``GET /v1/loops/samplers/{sampler_id}``).

        Parameters
        ----------
        sampler_id : str
            Id of the sampler.

        Returns
        -------
        Sampler
            The sampler, with its ``base_url``.

        Raises
        ------
        NotFoundError
            If there is no such sampler.

        Examples
        --------
        >>> loops.samplers.get("samp_1").base_model
        'Qwen/Qwen3-8B'
        """
        return self._transport.send(samplers.get(sampler_id))

    def create(
        self,
        *,
        session_id: str,
        base_model: str | None = None,
        run_id: str | None = None,
        scope: str | None = None,
        availability_model: str | None = None,
        max_seq_length: int | None = None,
        model_path: str | None = None,
        reuse_from_session_id: str | None = None,
        num_replicas: int | None = None,
        team_id: str | None = None,
    ) -> Sampler:
        """Create a sampler (``POST /v1/loops/samplers``).

        Parameters
        ----------
        session_id : str
            Session of the sampler.
        base_model : str, optional
            Hugging Face id, for a standalone sampler.
        run_id : str, optional
            Pair it with this run (idempotent per run); the base model is the run's.
        scope : {"serverless", "deployment", "default"}, optional
            Shared capacity billed by tokens, which has no deployment, or a deployment of its own billed by GPU time;
            default is ``BASETEN_LOOPS_SCOPE``, or else the service's choice.  With ``serverless`` the creation fails
            where the model, the rank or the length is not offered there.
            A paired sampler is where its run is.
        availability_model : {"dedicated", "spot"}, optional
            Kind of capacity of a deployment; default is ``LOOPS_AVAILABILITY_MODEL``, or else dedicated; a paired
            sampler has its run's.
        max_seq_length : int, optional
            Length of the longest prompt in tokens; default is the model's.
        model_path : str, optional
            ``bt://loops:<run_id>/sampler_weights/<name>``: serve this sampler checkpoint.
        reuse_from_session_id : str, optional
            Reuse the deployment of that session, if possible; default is ``LOOPS_REUSE_FROM_SESSION_ID``.
        num_replicas : int, optional
            Number of copies, at least 1.
        team_id : str, optional
            Create it in this team, given by id or name; default is ``LOOPS_TEAM``, or else your default team.

        Returns
        -------
        Sampler
            The sampler, with its ``id``.

        Raises
        ------
        InvalidArgumentError
            If an argument is out of bounds, or a trainer checkpoint is given; nothing was sent.
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> uri = "bt://loops:k4q95w5/sampler_weights/step-100"
        >>> sampler = loops.samplers.create(session_id="sess_1", model_path=uri)
        """
        sampler = self._transport.send(
            samplers.create(
                session_id=session_id,
                base_model=base_model,
                run_id=run_id,
                scope=scope,
                availability_model=availability_model,
                max_seq_length=max_seq_length,
                model_path=model_path,
                reuse_from_session_id=reuse_from_session_id,
                num_replicas=num_replicas,
                team_id=self._team_id(team_id, creates=True),
            )
        )
        if run_id is None:
            remember_sampler(self._transport.config.address.url, sampler, model_path=model_path)
        return sampler

    def deactivate(self, sampler_id: str) -> Deactivated:
        """End a standalone sampler (``POST /v1/loops/samplers/{sampler_id}/deactivate``).

        Parameters
        ----------
        sampler_id : str
            Id of the sampler.

        Returns
        -------
        Deactivated
            Receipt with the ``id``.

        Raises
        ------
        ConflictError
            If it is paired: it ends with its run.
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> loops.samplers.deactivate("samp_1")
        """
        return self._transport.send(samplers.deactivate(sampler_id))

    def sample(
        self,
        sampler: str | Sampler | Run,
        prompt: str | Sequence[int] | Sequence[Mapping[str, str]],
        *,
        n: int = 1,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | Sequence[int] | None = None,
        prompt_logprobs: int | None = None,
        checkpoint: str | Checkpoint | CheckpointRef | None = None,
        min_policy_version: int | None = None,
        tokenizer: Any = None,
        timeout: float = TIMEOUT_SECONDS,
        quiet: bool = False,
    ) -> Completions:
        """Complete a prompt (``POST {base_url}/sample`` of the sampler).

        A sampler that is scaled to zero is woken, and one that is starting is waited for.  The base model's chat
        template is applied to messages, and to nothing else.

        Parameters
        ----------
        sampler : str, Sampler or Run
            A sampler or a run, or the id of one; of a run, its paired sampler.
        prompt : str, sequence of int or sequence of mapping
            A text, token ids, or the messages of a chat: ``{"role": "user", "content": "Hello"}``, with the roles
            ``system``, ``user``, ``assistant`` and ``tool``.  A text or a chat needs the tokenizer of the base model:
            that of the ``loops-local`` models is built in, others come from the package ``tokenizers`` and the cache or
            the hub of Hugging Face.
        n : int, default 1
            Number of completions.
        max_tokens : int, default 128
            Largest number of tokens of a completion.
        temperature : float, default 1.0
            0 always takes the likeliest token.
        top_p : float, default 1.0
            Only the likeliest tokens that together have this probability, above 0 and at most 1.
        top_k : int, optional
            Only this many of the likeliest tokens.
        seed : int, optional
            The same seed gives the same completions.
        stop : str, sequence of str or sequence of int, optional
            Texts or token ids that end a completion.
        prompt_logprobs : int, optional
            Also score the prompt, with this many of the likeliest tokens at each position (0 to 20).
        checkpoint : str, Checkpoint or CheckpointRef, optional
            Use these weights: a ``bt://`` URI of a sampler checkpoint, an object of a listing, or a name that the
            sampler's run saved.  Default for a run's sampler: the weights published last, or its newest sampler
            checkpoint where none are live; for a standalone one: the weights it was created with.
        min_policy_version : int, optional
            Live weights of at least this version; waits for them.  Together with ``checkpoint``: that one until then.
            0 asks a run's sampler for the base model.
        tokenizer : object, optional
            Your own tokenizer: any object with ``encode(text)`` and ``decode(ids)``.
        timeout : float, default 600.0
            Seconds for all of it, waiting included.
        quiet : bool, default False
            Write nothing while waiting for the sampler.

        Returns
        -------
        Completions
            A sequence of completions with ``tokens``, ``text``, ``logprobs`` and ``stop_reason``; its ``frame`` is a
            DataFrame.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.
        NotFoundError
            If there is no such sampler.
        NeverReachedError
            If the sampler has ended or failed.
        WaitTimeoutError
            If it took longer than ``timeout``.
        CredentialsError
            If the sampler is at an address that the key must not be sent to.
        BadRequestError
            If the sampler refuses the request.
        LoopsError
            If there is no tokenizer for a text.

        Examples
        --------
        >>> completions = loops.samplers.sample("k4q95w5", "Dear customer,", n=4, max_tokens=64)
        >>> completions[0].text
        """
        request = SampleRequest(
            sampler,
            prompt,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            seed=seed,
            stop=stop,
            prompt_logprobs=prompt_logprobs,
            checkpoint=checkpoint,
            min_policy_version=min_policy_version,
            tokenizer=tokenizer,
            timeout=timeout,
        )
        actions = request.actions(self._transport.config)
        return request.completions(execute(actions, self._transport, tokenizer=request.tokenizer, quiet=quiet))

    def wait(
        self, sampler_id: str, until: str = "ACTIVE", *, timeout: float | None = None, quiet: bool = False
    ) -> Sampler:
        """Wait until a sampler is in a state, and return it (``GET /v1/loops/samplers``).

        Parameters
        ----------
        sampler_id : str
            Id of the sampler, paired or standalone.
        until : str, default "ACTIVE"
            A state of samplers.  Of ``BUILDING``, ``DEPLOYING``, ``LOADING_MODEL`` and ``ACTIVE`` a later one counts
            too.
        timeout : float, optional
            Seconds to wait at most; default is no limit.
        quiet : bool, default False
            Write nothing.

        Returns
        -------
        Sampler
            The sampler in that state.

        Raises
        ------
        NeverReachedError
            As soon as it is clear that the sampler will not reach the state by itself.
        WaitTimeoutError
            If it took longer than ``timeout``.
        NotFoundError
            If there is no such sampler.
        InvalidArgumentError
            If an argument cannot be used.

        Examples
        --------
        >>> sampler = loops.samplers.wait("samp_1", timeout=600)
        """
        from loops_nb.live import wait as waiting  # the poller is needed only here

        return waiting.wait(
            self._transport.config, waiting.SamplerCondition(sampler_id, until), timeout=timeout, quiet=quiet
        )

    def watch(
        self,
        *,
        scope: str | None = None,
        team_id: str | None = None,
        notify: bool = False,
        interval: float | None = None,
        time_zone: str = "local",
    ) -> SamplersPanel:
        """Show all samplers, paired and standalone, in a panel that updates live.

        Parameters
        ----------
        scope, team_id : str, optional
            As in `list`.
        notify : bool, default False
            Raise a browser notification when something ends, where the browser allows it.
        interval : float, optional
            Seconds between two polls while something changes; default is unchanged.
        time_zone : str, default "local"
            Zone of the times in the static report.

        Returns
        -------
        SamplersPanel
            A widget; its ``frame`` is the newest listing.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.

        Examples
        --------
        >>> loops.samplers.watch(scope="org")
        """
        from loops_nb import panels  # widgets take 40 ms to import

        return panels.SamplersPanel(
            self._transport, scope=scope, team_id=team_id, notify=notify, interval=interval, time_zone=time_zone
        )
