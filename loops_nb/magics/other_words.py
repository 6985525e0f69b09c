"""What users of other tools type, and what does the same here.

The nearest word by spelling is often absurd (``delete`` is not ``deployment``), so these are answered by meaning.
"""

from __future__ import annotations

_LIST = "%loops runs lists your runs; %loops samplers, deployments, experiments and %loops checkpoints RUN list the rest."
_END = "%loops deactivate run {word} ends a run, its trainer and its sampler; its checkpoints stay. It asks first."
_NOT_DELETED = (
    "Nothing of the service can be deleted here: runs and checkpoints stay."
    " %loops deactivate run {word} ends a run, %loops archive {word} hides what is recorded on this machine."
)
_LOGS = "%loops deployment {word} --logs gives the log lines of a deployment; a run's name or %loops deployments tells which."
_ONE = "%loops run {word} shows one run; %loops sampler ID and %loops deployment ID show those."
_WATCH = "%loops watch shows all runs live, %loops watch {word} one of them."
_MAKE = "%loops create run --help tells how a run is started; %loops local start starts the local service."
_DOWNLOAD = "%loops download CHECKPOINT fetches checkpoints; %loops files CHECKPOINT lists their files."
_FIND = "%loops find --name {word} finds runs; %loops find --help tells the other conditions."
_LOGIN = "%loops login keeps an API key; %loops logout removes it. Keys never stand on the line."
_WHERE = "%loops alone tells where you are connected and what is alive; %loops doctor tells what is wrong."
_SAMPLE = "%%loops sample SAMPLER completes the prompt in the cell below it."
_CURVES = "%loops curves {word} draws what was recorded; %loops metrics {word} gives the numbers."
_SETTINGS = "%config LoopsMagics shows the settings and sets them."
_KEEP = "%loops note {word} TEXT and %loops tag {word} TAG keep words about a run; the service's own name of it stays."
_AGAIN = "%loops create run --path URI goes on from a checkpoint in a new run; a run that has ended cannot be started again."
_COMPARE = "%loops compare CHECKPOINT CHECKPOINT compares weights, %loops curves RUN RUN what was recorded."

_TAUGHT = {
    _LIST: "ls list ps dir all jobs job list-runs show-runs",
    _END: "stop kill cancel end terminate abort halt shutdown finish deactivated scancel",
    _NOT_DELETED: "delete rm remove del destroy drop erase purge rmdir delete-run",
    _LOGS: "logs log tail journal output stdout",
    _ONE: "show describe get inspect info details view cat",
    _WATCH: "top monitor follow live htop dashboard panel watching squeue",
    _MAKE: "start new launch train submit up begin add make finetune fine-tune",
    _DOWNLOAD: "pull fetch cp copy save scp wget sync load",
    _FIND: "search grep query where filter which select",
    _LOGIN: "auth authenticate signin key token apikey api-key credentials signout",
    _WHERE: "status state whoami ping health about version --version -V -v",
    _SAMPLE: "generate complete prompt ask chat infer predict",
    _CURVES: "plot chart graph curve loss losses tensorboard history scalars draw",
    _SETTINGS: "config settings set setting configure option options env",
    _KEEP: "rename label annotate comment describe-run mv",
    _AGAIN: "resume restart continue retry rerun wake",
    _COMPARE: "diff cmp delta",
    "%loops capabilities lists the base models that can be trained.": "models model base-models base_models list-models catalog",
    "%loops local start starts the local service, %loops connect URL goes to another.": "serve server service use switch open url",
    "%loops export FILE writes what is recorded to a file; a listing is a DataFrame: df.to_csv('runs.csv').": "csv json dump write parquet",
    "%loops experiments lists what is recorded on this machine, %loops params what was set.": "hparams hyperparameters sweep sweeps",
    "%loops tensors CHECKPOINT lists the tensors; %loops drift RUN follows the weights of a run.": "weights layers modules norms",
    "%loops create sampler --path URI serves a checkpoint.": "deploy upload push publish",
}
_VERBS = {word: text for text, words in _TAUGHT.items() for word in words.split()}

_ORG = "--scope org is for the listings that can show the whole organisation's: runs, samplers, deployments, find and watch."
_FRAME = "A listing is a DataFrame: df = {line}, then df.head(20), df.sort_values(...), df.to_csv(...)."
_TAUGHT_OPTIONS = {
    _ORG: "--scope --all --org --everyone --organisation --organization -a -A",
    "Runs belong to a session, not to a project: %loops find --session SESSION, %loops sessions SESSION.": "--project -p --projects",
    _FRAME: "--json --csv --format --sort --sort-by --columns --head --tail --reverse --table --yaml --quiet -q --wide",
    "%config LoopsMagics.row_limit = 50 sets how many rows are shown; the DataFrame has all.": "--limit -n --rows --max --page --page-size",
    "%loops watch shows it live.": "--watch --follow -f --live --refresh",
    "%loops find --status STATE finds runs by their state.": "--status --state --active",
    "%loops find --newer-than 2d finds runs by their age.": "--since --until --after --before --newer --older --created",
    "%loops find --name NAME finds runs by a part of their name.": "--name --filter --search --grep",
    "An API key never stands on the line: %loops login asks for it.": "--api-key --key --token --password --secret",
    "%loops connect URL goes to another service.": "--url --base-url --host --endpoint --server",
    "%loops doctor tells the version.": "--version -V",
    "%loops deployment ID --logs gives the log lines of a deployment.": "--logs --log",
}
_OPTIONS = {flag: text for text, flags in _TAUGHT_OPTIONS.items() for flag in flags.split()}
#: Other spellings of an option, in the order in which they are tried.
_SPELT = {
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
    "--metric": ("--metric", "--key", "--keys"),
    "--key": ("--metric", "--keys", "--key"),
    "--keys": ("--keys", "--key", "--metric"),
    "--lowest": ("--min",),
    "--highest": ("--max",),
    "--temp": ("--temperature",),
    "-n": ("--n", "--limit"),
    "--num": ("--n",),
    "--dryrun": ("--dry-run",),
    "--log": ("--logs",),
}


def verb_for(word: str, following: str = "") -> str:
    """Return what does here what a word of another tool does there; empty for a word that no known tool has.

    Parameters
    ----------
    word
        What was typed in place of a verb.
    following
        The word after it, which the answer repeats; none when empty.
    """
    return _VERBS.get(word.lower(), "").format(word=following or "RUN")


def option_for(flag: str, flags: tuple[str, ...], line: str) -> str:
    """Return which option, or which other line, does here what an option of another tool does there.

    Parameters
    ----------
    flag
        What was typed.
    flags
        The options of the verb.
    line
        The verb's line, as ``%loops runs``.
    """
    spelt = next((other for other in _SPELT.get(flag.lower(), ()) if other.split()[0] in flags and other != flag), "")
    return f"Did you mean {spelt}?" if spelt else _OPTIONS.get(flag, _OPTIONS.get(flag.lower(), "")).format(line=line)
