"""Teams by name, ``%loops teams`` and ``%loops config``, with a local service of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loops_nb import AsyncLoops
from loops_nb.errors import NotFoundError
from loops_nb.panels import FleetPanel
from tests.magics.conftest import Notebook
from tests.service import AnyService, running_service

MODEL = "Qwen/Qwen3-8B"


@pytest.fixture
def own(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyService]:
    assert notebook is not None
    with running_service(in_process=True, sample=True, any_key=True) as running:
        monkeypatch.setenv("LOOPS_BASE_URL", running.url)
        monkeypatch.setenv("BASETEN_API_KEY", "sentinel-key-0123456789")
        yield running


def test_a_team_is_named_by_its_name_or_its_id(
    notebook: Notebook, own: AnyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams = notebook.run("%loops teams").value
    assert teams.set_index("name")["default"].to_dict() == {"Default team": True, "Research": False}
    key = teams.set_index("name").loc["Research", "id"]
    by_name = notebook.run("%loops runs --team Research").value
    assert len(by_name) > 0
    assert by_name["id"].tolist() == notebook.run(f"%loops runs --team {key}").value["id"].tolist()
    assert "%loops runs --team Research" in notebook.completions("%loops runs --team Res")
    refused = notebook.run("%loops samplers --team Reserch", fails=True).out
    assert "no team with the id or name 'Reserch'" in refused
    assert "Research" in refused
    session = notebook.run("%loops create session --team Research").value
    assert (
        "belongs to team"
        in notebook.run(f"%loops create run --session {session.id} -m {MODEL} --team default", fails=True).out
    )
    # The variable of the official SDK counts for creation, and an argument beats it.
    monkeypatch.setenv("LOOPS_TEAM", "Research")
    run = notebook.run(f"%loops create run --session {session.id} -m {MODEL}").value
    assert run.id in notebook.run("%loops runs --team Research").value["id"].tolist()
    other = notebook.run("%loops create session --team 'Default team'").value
    assert "belongs to team" in notebook.run(f"%loops create run --session {other.id} -m {MODEL}", fails=True).out
    monkeypatch.setenv("LOOPS_TEAM", "Reserch")
    unknown = notebook.run(f"%loops create run --session {session.id} -m {MODEL}", fails=True).out
    assert "'Reserch' (LOOPS_TEAM in the environment)" in unknown
    monkeypatch.delenv("LOOPS_TEAM")
    loops = notebook.context.loops
    assert loops.teams.get("Research").id == key
    assert [team.id for team in loops.teams.list(name="Research")] == [key]
    with pytest.raises(NotFoundError, match="no team"):
        FleetPanel(AsyncLoops("key", own.url), team_id="No such team")
    panel = FleetPanel(AsyncLoops("key", own.url), team_id="Research")
    panel.close()


@pytest.mark.usefixtures("own")
def test_preferred_gpus_are_shown_set_and_obeyed(notebook: Notebook) -> None:
    loops = notebook.context.loops
    assert "GPUs of new trainers: as your organisation has it" in notebook.run("%loops config").out
    said = notebook.run("%loops config --trainer L4,h200,H100 --sampler A100")
    assert "GPUs of new trainers: L4, else h200, else H100\nGPUs of new samplers: A100" in said.out
    assert said.value.sampler_accelerator_priority == ["A100"]
    session = loops.sessions.create().id

    def gpus_of(model: str) -> tuple[str | None, int | None, str | None]:
        run = loops.runs.create(session_id=session, base_model=model)
        deployment = loops.deployments.get(run.deployment_id or "")
        assert deployment.instance_type is not None
        assert run.sampler is not None
        assert run.sampler.instance_type is not None
        trainer = deployment.instance_type
        return trainer.gpu_type, trainer.gpu_count, run.sampler.instance_type.gpu_type

    assert gpus_of(MODEL) == ("H200", 1, "A100"), "the first that there is and that fits"
    assert gpus_of("Qwen/Qwen3-235B-A22B-Instruct-2507") == ("H200", 8, "A100")
    assert gpus_of("loops-local/tiny") == (None, 0, None)
    assert "--trainer" in " ".join(notebook.completions("%loops config --"))
    assert "%loops config --trainer H100,H200" in notebook.completions("%loops config --trainer H100,H")
    # Also what nothing of the user's runs on.
    assert "%loops config --trainer B200" in notebook.completions("%loops config --trainer B")
    assert "inherit" in " ".join(notebook.completions("%loops config --sampler in"))
    assert "No instance type here has B9000; there are " in notebook.run("%loops config --trainer H100,B9000").out
    assert "No instance type" not in notebook.run("%loops config --trainer inherit").out
    assert loops.user_config.get().trainer_accelerator_priority is None
    assert loops.user_config.get().sampler_accelerator_priority == ["A100"]
    assert gpus_of(MODEL) == ("H100", 1, "A100")
    for wrong in ("H100,,H200", "H100,H100"):
        assert "%loops config --trainer H200,H100" in notebook.run(f"%loops config --trainer {wrong}", fails=True).out
