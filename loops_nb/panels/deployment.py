"""Deployment of a checkpoint from a panel: the plan first, then the model, then its states until it can be called."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints import deploying
from loops_nb.checkpoints.uses import remember_deployed
from loops_nb.client import checks
from loops_nb.client.operations import billing, checkpoints, server
from loops_nb.errors import (
    InvalidArgumentError,
    LoopsError,
    NeverReachedError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    WaitTimeoutError,
    one_line,
    with_hint,
)
from loops_nb.live.wait.model_deployment import ModelDeploymentWait
from loops_nb.panels.messages import DeploymentPlan, HardwareChoice
from loops_nb.panels.outcome import CommandOutcome, PendingPlans
from loops_nb.render.formatting import many

if TYPE_CHECKING:
    from loops_nb.api.costs import PriceList
    from loops_nb.api.models import Checkpoint, DeployedModel, InstanceType, ModelDeployment
    from loops_nb.client.config import ClientConfig
    from loops_nb.client.request import Request

#: Seconds for which the states of a new model are followed: loading large weights takes many minutes.
FOLLOW_SECONDS = 3600.0
_MOST_TAKEN = 500
#: What can stand in a line of code unquoted.
_PLAIN = re.compile(r"[A-Za-z0-9][\w-]{0,59}")
_AGAIN = "Choose Deploy… again."


class _Planned(NamedTuple):
    ref: CheckpointRef
    secret: str
    hardware: frozenset[str]


class FollowedDeployment:
    """A model that was just made, and what is said of its states.

    Parameters
    ----------
    made : DeployedModel
        Its ids.
    text : str
        What was made.
    code : str
        The lines that call it.
    """

    def __init__(self, made: DeployedModel, text: str, code: str) -> None:
        self._made = made
        self._text = text
        self._code = code
        word = made.model_id if _PLAIN.fullmatch(made.model_id) else "MODEL"
        self._see = f"%loops deploy status {word} shows its state; %loops deploy deactivate {word} ends it."
        self._waiting = ModelDeploymentWait(made.model_id, made.deployment_id, timeout=FOLLOW_SECONDS, quiet=True)
        self.outcome: CommandOutcome = CommandOutcome("running", text)

    def request(self) -> Request[ModelDeployment]:
        """Return the request for its state."""
        return server.model_deployment(self._made.model_id, self._made.deployment_id)

    def look(self, answer: ModelDeployment | LoopsError) -> float | None:
        """Take in an answer, and return the seconds until the next request; None when ``outcome`` is the last one."""
        try:
            if isinstance(answer, NotFoundError | PermissionDeniedError):
                raise answer
            # Any other error may pass, and the model goes on meanwhile.
            if not isinstance(answer, LoopsError):
                is_over = self._waiting.is_over(answer)
                text = f"{self._text} It is {one_line(str(answer.status), limit=60)}."
                if is_over:
                    self.outcome = CommandOutcome("done", text, self._see, code=self._code)
                    return None
                self.outcome = CommandOutcome("running", text)
            return self._waiting.pause()
        except NeverReachedError as error:
            self.outcome = CommandOutcome("failed", f"{self._text} {error.message}", error.hint)
        except WaitTimeoutError as error:
            self.outcome = CommandOutcome("failed", f"{self._text} {error.message}", self._see)
        except LoopsError as error:
            self.outcome = CommandOutcome("failed", f"{self._text} Its state cannot be read: {error}", self._see)
        return None


class PlannedDeployments:
    """The deployments of one panel: nothing is deployed but what a plan of it names.

    Both methods make requests, and belong on a thread of their own.

    Parameters
    ----------
    config : ClientConfig
        The connection.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._plans: PendingPlans[_Planned] = PendingPlans()

    def plan(self, key: str, checkpoint: Checkpoint) -> CommandOutcome:
        """Return what can be chosen, when everything else of the deployment was checked.

        Parameters
        ----------
        key : str
            By which `execute` finds the plan.
        checkpoint : Checkpoint
            What is deployed.

        Raises
        ------
        LoopsError
            If it cannot be deployed.
        """
        from loops_nb.client.transport import Transport  # a panel that deploys nothing needs none of it

        ref = CheckpointRef.of(checkpoint)
        deploying.check_deployable([ref])
        if deploying.being_saved([ref]):
            raise InvalidArgumentError(
                f"{one_line(ref.label, limit=100)} is still being saved. Nothing was deployed.",
                argument="target",
                hint=f"{_AGAIN[:-1]} when it is complete.",
            )
        with closing(Transport(self._config)) as transport:
            shapes = [shape for shape in transport.send(server.instance_types()) if shape.id]
            if not shapes:
                raise InvalidArgumentError("The service lists no instance type for this key.", argument="hardware")
            deploying.check_secret(
                deploying.SECRET,
                lambda: transport.send(server.secrets(team_id=None)),
                lambda known: (
                    "%loops deploy takes the name of another with --secret NAME. "
                    + deploying.those_there_are(known, "There is none: add one in the dashboard.")
                ),
            )
            deploying.check_loadable([ref], lambda uri: transport.send(checkpoints.validate(uri)))
            prices, problem = deploying.read_prices(lambda: transport.send(billing.prices()))
            models = deploying.list_models(lambda: transport.send(server.models(name=None)))
        self._plans.keep(key, _Planned(ref, deploying.SECRET, frozenset(str(shape.id) for shape in shapes)))
        notes = [problem, _sentence(deploying.price_remark(prices))]
        if not self._is_local:
            notes.append(deploying.BILLED)
        return CommandOutcome(
            "done",
            f"Deploy {one_line(ref.label, limit=100)} as a new model?",
            " ".join(filter(None, notes)),
            plan=DeploymentPlan(
                name=ref.name or ref.id,
                taken=list(dict.fromkeys(model.name for model in models if model.name))[:_MOST_TAKEN],
                hardware=[_hardware(shape, prices) for shape in shapes],
            ),
        )

    def execute(self, key: str, *, hardware: str, name: str) -> FollowedDeployment:
        """Deploy what a plan names; a plan is carried out once.

        Parameters
        ----------
        key : str
            Key of the plan.
        hardware : str
            Id of one of its instance types.
        name : str
            Name of the new model.

        Raises
        ------
        InvalidArgumentError
            If there is no such plan, no such instance type in it, or no name; nothing was deployed.
        LoopsError
            What the service answered.
        """
        from loops_nb.client.transport import Transport

        plan = self._plans.take(key)
        if plan is None:
            raise InvalidArgumentError(
                "There is no plan of this deployment. Nothing was deployed.", argument="deploy", hint=_AGAIN
            )
        if hardware not in plan.hardware:
            raise InvalidArgumentError(
                f"There is no instance type {hardware!r:.100}. Nothing was deployed.", argument="hardware", hint=_AGAIN
            )
        try:
            name = checks.text("name", name.strip())
        except InvalidArgumentError as error:
            raise with_hint(error, f"Nothing was deployed. {_AGAIN}") from None
        with closing(Transport(self._config)) as transport:
            try:
                made = transport.send(
                    checkpoints.deploy(
                        checkpoint_ids=[plan.ref.id],
                        model_name=name,
                        instance_type_id=hardware,
                        hf_secret_name=plan.secret,
                    )
                )
            except OutcomeUnknownError:
                raise
            except LoopsError as error:
                raise with_hint(error, f"Nothing was deployed. {error.hint}") from None
        url = self._config.address.url
        remember_deployed(url, made, model_name=name, checkpoint_ids=[plan.ref.id])
        return FollowedDeployment(
            made,
            deploying.deployed_note(made, name, is_local=self._is_local),
            deploying.lines_to_call(made, plan.ref, url, is_local=self._is_local),
        )

    @property
    def _is_local(self) -> bool:
        return self._config.address.is_loopback


def _hardware(shape: InstanceType, prices: PriceList) -> HardwareChoice:
    gpus = f", {many(shape.gpu_count, 'GPU')}" if shape.gpu_count else ""
    return HardwareChoice(
        id=str(shape.id),
        name=f"{one_line(deploying.hardware_name(shape), limit=100)}{gpus}",
        price=deploying.price_an_hour(prices, shape),
    )


def _sentence(text: str) -> str:
    return text and f"{text}."
