"""Verbs and options of other tools, and the ``%loops`` lines that do the same.

Spelling alone would suggest nonsense (``deployment`` for ``delete``), so these are matched by meaning.
"""

from __future__ import annotations

_LIST = (
    "%loops runs lists your runs; %loops samplers, deployments, experiments and %loops checkpoints RUN list the rest."
)
_END = "%loops deactivate run {word} ends a run, its trainer and its sampler; its checkpoints are kept."
_DELETE = (
    "%loops delete run {word} deletes a run with its checkpoints, %loops delete checkpoint {word} a checkpoint,"
    " %loops delete experiment {word} what is recorded on this machine; each shows what would go and asks."
)
_LOGS = "%loops logs {word} shows the log lines of a run, a deployment or a sampler; -f follows them."
_ONE = "%loops run {word} shows one run; %loops sampler ID and %loops deployment ID show those."
_WATCH = "%loops watch shows all runs live, %loops watch {word} one of them."
_MAKE = "%loops create run starts a run (see --help); %loops local start starts the local service."
_DOWNLOAD = "%loops download CHECKPOINT downloads checkpoints; %loops files CHECKPOINT lists their files."
_FIND = "%loops find --name {word} finds runs; %loops find --help lists the other conditions."
_LOGIN = "%loops login stores an API key; %loops logout removes it. A key is never part of the line."
_WHERE = "%loops alone shows the connection and what is active; %loops doctor shows what is wrong."
_SAMPLE = "%%loops sample SAMPLER completes the prompt in the cell."
_CURVES = "%loops curves {word} plots recorded metrics; %loops metrics {word} returns them."
_SETTINGS = "%config LoopsMagics shows and changes the settings; %loops config your GPU preferences in the service."
_KEEP = "%loops note {word} TEXT and %loops tag {word} TAG annotate a run; its name in the service cannot be changed."
_AGAIN = "%loops create run --path URI resumes from a checkpoint in a new run; an ended run cannot be restarted."
_COMPARE = "%loops compare CHECKPOINT CHECKPOINT compares weights, %loops curves RUN RUN recorded metrics."

_VERBS_BY_ANSWER = {
    _LIST: "ls list ps dir all jobs job list-runs show-runs",
    _END: "stop kill cancel end terminate abort halt shutdown finish deactivated scancel",
    _DELETE: "rm remove del destroy drop erase purge rmdir delete-run delete-checkpoint",
    _LOGS: "log tail journal output stdout stderr",
    _ONE: "show describe get inspect info details view cat",
    _WATCH: "top monitor follow live htop panel watching squeue",
    _MAKE: "start new launch train submit up begin add make finetune fine-tune",
    _DOWNLOAD: "pull fetch cp copy save scp wget sync load",
    _FIND: "search grep query where filter which select",
    _LOGIN: "auth authenticate signin key token apikey api-key credentials signout",
    _WHERE: "status state whoami ping health about version --version -V -v",
    _SAMPLE: "generate complete prompt ask chat infer predict",
    _CURVES: "plot chart graph curve loss losses tensorboard history scalars draw",
    _SETTINGS: "settings set setting configure option options env",
    _KEEP: "rename label annotate comment describe-run mv",
    _AGAIN: "resume restart continue retry rerun wake",
    _COMPARE: "diff cmp delta",
    "%loops capabilities lists the base models that can be trained.": (
        "models model base-models base_models list-models catalog"
    ),
    "%loops local start starts the local service, %loops connect URL connects to another.": (
        "serve server service use switch open url"
    ),
    "%loops export FILE exports recorded data; a listing is a DataFrame: df.to_csv('runs.csv').": (
        "csv json dump write parquet"
    ),
    "%loops experiments lists what is recorded on this machine, %loops params its parameters.": (
        "hparams hyperparameters"
    ),
    "%loops tensors CHECKPOINT lists the tensors; %loops drift RUN shows how the weights of a run change.": (
        "weights layers modules norms"
    ),
    "%loops cost shows what is held now, what was billed, and the size of checkpoints.": (
        "billing bill usage price prices pricing spend money costs quota du"
    ),
    "%loops deploy CHECKPOINT deploys one; %loops export-adapter CHECKPOINT -o DIR --push ORG/NAME publishes its "
    "adapter.": "upload push publish serve",
}
_VERBS = {word: text for text, words in _VERBS_BY_ANSWER.items() for word in words.split()}

_ORG = "--scope org, for the whole organisation, is an option of runs, samplers, deployments, find and watch."
_FRAME = "A listing is a DataFrame: df = {line}, then df.head(20), df.sort_values(...), df.to_csv(...)."
_OPTIONS_BY_ANSWER = {
    _ORG: "--scope --all --org --everyone --organisation --organization -a -A",
    "Runs belong to a session, not to a project: %loops find --session SESSION, %loops sessions SESSION.": (
        "--project -p --projects"
    ),
    _FRAME: "--json --csv --format --sort --sort-by --columns --head --tail --reverse --table --yaml --quiet -q --wide",
    "%config LoopsMagics.row_limit = 50 sets the number of rows shown; the DataFrame has all.": (
        "--limit -n --rows --max --page --page-size"
    ),
    "%loops watch shows it live.": "--watch --follow -f --live --refresh",
    "%loops find --status STATE finds runs by state; --alive of runs, samplers and deployments leaves out what has "
    "ended.": "--status --state --active --running --live-only",
    "%loops find --newer-than 2d finds runs by age.": ("--since --until --after --before --newer --older --created"),
    "%loops find --name NAME finds runs by part of their name.": "--name --filter --search --grep",
    "An API key is never part of the line: %loops login prompts for it.": "--api-key --key --token --password --secret",
    "%loops connect URL connects to another service.": "--url --base-url --host --endpoint --server",
    "%loops doctor shows the version.": "--version -V",
    "%loops logs ID shows the log lines of a run, a deployment or a sampler.": "--logs --log",
}
_OPTIONS = {flag: text for text, flags in _OPTIONS_BY_ANSWER.items() for flag in flags.split()}
#: Synonyms of options; the first that the verb has is suggested.
_SYNONYMS = {
    "--model": ("--base-model", "--model"),
    "--base": ("--base-model",),
    "--team-id": ("--team",),
    "--teams": ("--team",),
    "--run-id": ("--run",),
    "--runs": ("--run",),
    "--session-id": ("--session",),
    "--force": ("--yes",),
    "--confirm": ("--yes",),
    "-f": ("--yes",),
    "-y": ("--yes",),
    "--since": ("--newer-than", "--since"),
    "--after": ("--newer-than", "--since"),
    "--newer": ("--newer-than",),
    "--until": ("--older-than",),
    "--before": ("--older-than",),
    "--older": ("--older-than",),
    "--state": ("--status",),
    "--all": ("--scope org", "--archived"),
    "--org": ("--scope org",),
    "-a": ("--scope org", "--archived"),
    "--rank": ("--lora-rank",),
    "-r": ("--lora-rank",),
    "--into": ("--output",),
    "--dir": ("--output", "--data-dir"),
    "--out": ("--output", "-o"),
    "--folder": ("--output", "--data-dir"),
    "--checkpoint": ("--path",),
    "--uri": ("--path",),
    "--key": ("--metric",),
    "--keys": ("--metric",),
    "--metrics": ("--metric",),
    "--lowest": ("--min",),
    "--highest": ("--max",),
    "--temp": ("--temperature",),
    "-n": ("--n", "--limit"),
    "--num": ("--n",),
    "--dryrun": ("--dry-run",),
    "--log": ("--logs",),
}


def verb_hint(word: str, following: str = "") -> str:
    """Return the ``%loops`` line that does what a verb of another tool does; empty for an unknown word.

    Parameters
    ----------
    word : str
        The word typed as a verb.
    following : str, default ""
        The word after it, which the suggested line repeats.
    """
    return _VERBS.get(word.lower(), "").format(word=following or "RUN")


def option_hint(flag: str, flags: tuple[str, ...], line: str) -> str:
    """Return the option or line that does what an option of another tool does; empty for an unknown option.

    Parameters
    ----------
    flag : str
        The option typed.
    flags : tuple of str
        The options of the verb.
    line : str
        The verb's line, such as ``%loops runs``.
    """
    for synonym in _SYNONYMS.get(flag.lower(), ()):
        if synonym.split()[0] in flags and synonym != flag:
            return f"Did you mean {synonym}?"
    answer = _OPTIONS.get(flag) or _OPTIONS.get(flag.lower(), "")
    return answer.format(line=line)
