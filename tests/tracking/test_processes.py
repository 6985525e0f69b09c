"""Recording in forked and spawned processes, and at the end of a process."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from loops_nb import experiment
from loops_nb.tracking import ExperimentStore
from tests.tracking.scripts import run_script
from tests.tracking.team_store import wait_until_sent

STEPS = list(range(5))
WORKERS = """
import multiprocessing, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
import loops_nb

def work(given):
    exp, key = given
    for step in range(5):
        exp.log({key: float(step)}, step=step)

def stays(exp, key, logged):
    work((exp, key))
    logged.set()
    time.sleep(100)

def threaded(exp, key):
    # Not a daemon: it logs after the process has begun to end.
    thread = threading.Thread(target=lambda: (time.sleep(0.2), work((exp, key))))
    thread.start()

if __name__ == "__main__":
    exp = loops_nb.experiment("workers")
    exp.log(parent=1.0, step=0)
    context = multiprocessing.get_context(sys.argv[1])
    logged = context.Event()
    processes = [
        context.Process(target=work, args=((exp, "process"),)),
        context.Process(target=threaded, args=(exp, "thread")),
        context.Process(target=stays, args=(exp, "terminated", logged)),
    ]
    for process in processes:
        process.start()
    with context.Pool(2) as pool:
        pool.map(work, [(exp, f"pool {number}") for number in range(4)])
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        list(executor.map(work, [(exp, f"executor {number}") for number in range(4)]))
    logged.wait()
    processes[2].terminate()
    for process in processes:
        process.join()
    exp.log(parent=2.0, step=1)
    print([process.exitcode for process in processes])
"""


@pytest.mark.parametrize(
    "method", [name for name in ("fork", "forkserver", "spawn") if name in multiprocessing.get_all_start_methods()]
)
def test_worker_processes_record_everything_until_they_end(store: ExperimentStore, tmp_path: Path, method: str) -> None:
    done = run_script(tmp_path, WORKERS, method)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "[0, 0, -15]"
    wait_until_sent(store)
    (row,) = store.experiments()
    keys = [
        "process",
        "thread",
        "terminated",
        *(f"{kind} {number}" for kind in ("pool", "executor") for number in range(4)),
    ]
    assert {key: store.series(row.id, key).step.tolist() for key in keys} == dict.fromkeys(keys, STEPS)
    assert store.series(row.id, "parent").step.tolist() == [0, 1]


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
DURING_A_WRITE = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import loops_nb

parent = loops_nb.experiment("parent")
done = threading.Event()

def train():
    step = 0
    while not done.is_set():
        parent.log({f"layer{number}/norm": 1.0 for number in range(200)}, step=step)
        step += 1
        done.wait(0.004)

def write():
    while not done.is_set():
        parent.flush()

for target in (train, write):
    threading.Thread(target=target).start()
failed = 0
for number in range(8):
    done.wait(0.03)
    child = os.fork()
    if child == 0:
        exp = loops_nb.experiment(f"worker {number}")
        for step in range(3):
            exp.log(loss=1.0, step=step)
        os._exit(not exp.flush())
    failed += os.waitpid(child, 0)[1] != 0
done.set()
sys.exit(failed)
"""


@needs_fork
def test_children_forked_during_a_write_can_write(store: ExperimentStore, tmp_path: Path) -> None:
    done = run_script(tmp_path, DURING_A_WRITE)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row.name: row.id for row in store.experiments()}
    assert [store.series(rows[f"worker {number}"], "loss").step.tolist() for number in range(8)] == [[0, 1, 2]] * 8
    norms = [store.series(rows["parent"], f"layer{number}/norm").step.tolist() for number in (0, 199)]
    assert norms == [list(range(len(norms[0])))] * 2


OUTLIVES = """
import os, sys, time
import loops_nb
exp = loops_nb.experiment("outlives")
exp.log(parent=1.0, step=0)
exp.flush()
exp.frame()
read, write = os.pipe()
if os.fork() == 0:
    os.close(write)
    exp.log(child=0.0, step=0)
    exp.flush()
    # Ends when the parent does.
    os.read(read, 1)
    exp.log(child=1.0, step=1)
    sys.exit(0)
time.sleep(0.3)
"""


@needs_fork
def test_child_that_outlives_its_parent_writes_to_the_same_file(store: ExperimentStore, tmp_path: Path) -> None:
    done = run_script(tmp_path, OUTLIVES, flags=("-W", "ignore::DeprecationWarning"))
    # Its output ends when the child has ended.
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = store.experiments()
    assert store.series(row.id, "child").step.tolist() == [0, 1]
    assert store.series(row.id, "parent").step.tolist() == [0]


@pytest.mark.file_store
@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork_leaves_no_connection_of_the_parent_in_the_child(store: ExperimentStore) -> None:
    exp = experiment("closed")
    exp.log(step=0, loss=1)
    assert store.series(exp.id, "loss").step.tolist() == [0]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        files = [os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()] if sys.platform == "linux" else []
        # A writer of another test may be stuck on purpose, and a fork waits five seconds at most.
        own = os.path.realpath(store.path)
        os.write(write, "\n".join(file for file in files if own in file).encode())
        os._exit(0)
    os.close(write)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.read(read, 10_000) == b""
    os.close(read)
    exp.log(step=1, loss=1)
    assert store.series(exp.id, "loss").step.tolist() == [0, 1]


AT_EXIT = """
import atexit, threading, time

def last_words():
    exp.log(earlier=1.0, step=1)
    assert exp.flush()
    with loops_nb.experiment("begun at the end") as other:
        other.log(loss=1.0, step=0)

atexit.register(last_words)
import loops_nb

class Held:
    def __del__(self, exp=None):
        kept.log(deleted=1.0, step=2)

exp = kept = loops_nb.experiment("ends")
exp.log(loss=1.0, step=0)
atexit.register(lambda: exp.log(later=1.0, step=1))
thread = threading.Thread(target=lambda: (time.sleep(0.2), exp.log(thread=1.0, step=3)))
thread.start()
held = Held()
"""


@pytest.mark.file_store
def test_values_logged_at_process_end_are_recorded(store: ExperimentStore, tmp_path: Path) -> None:
    done = run_script(tmp_path, AT_EXIT, flags=("-X", "dev", "-W", "error"))
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row.name: row.id for row in store.experiments()}
    assert {key.key for key in store.keys(rows["ends"])} == {"loss", "thread", "later", "earlier", "deleted"}
    assert [key.key for key in store.keys(rows["begun at the end"])] == ["loss"]


FAULTY = """
import loops_nb
with loops_nb.experiment("nowhere", params={"lr": 0.1}) as exp:
    for step in range(3):
        exp.log(step=step, loss=1.0, bad="text", big=2**53 + 1)
        exp.flush()
exp.close()
print("trained to the end")
"""


@pytest.mark.parametrize("home", ["~no-such-user-here/loops", "file/below", "here"])
def test_warnings_as_errors_do_not_end_a_training(tmp_path: Path, home: str) -> None:
    (tmp_path / "file").write_text("in the way")
    place = home if home.startswith("~") else str(tmp_path / home)
    done = run_script(tmp_path, FAULTY, flags=("-X", "dev", "-W", "error"), LOOPS_NB_HOME=place)
    assert (done.returncode, done.stdout) == (0, "trained to the end\n")
    assert done.stderr.count("'bad' is no number but str") == 1
    assert "Traceback" not in done.stderr
    lost = {
        "here": "",
        "file/below": "6 values are lost with this process",
        "~no-such-user-here/loops": "there is no such home folder",
    }
    assert lost[home] in done.stderr


SURPLUS_THREADS = """
import time
from loops_nb.tracking import process_end, writer
import loops_nb

real = writer.start_new_thread

def start(run, arguments):
    real(run, arguments)
    for _ in range(8):
        real(late, (run,))

def late(run):
    # Scheduled late, as on a machine with much to do.
    while not process_end.is_over():
        time.sleep(0.001)
    while True:
        run()
        time.sleep(0.0001)

writer.start_new_thread = start
loops_nb.experiment("unwritable").log(loss=1.0)
"""


def test_surplus_writer_thread_does_not_keep_a_process_from_ending(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run_script(tmp_path, SURPLUS_THREADS, LOOPS_NB_HOME=str(tmp_path / "file" / "below"))
    assert done.returncode == 0
    assert "1 value is lost with this process" in done.stderr


def test_copied_experiment_continues_its_original(store: ExperimentStore) -> None:
    exp = experiment("copied")
    exp.log(step=0, loss=1)
    copy = pickle.loads(pickle.dumps(exp))  # noqa: S301 - made in this line
    copy.log(step=1, loss=2)
    assert (copy.id, copy.name, copy.run_id) == (exp.id, "copied", None)
    series = store.series(exp.id, "loss")
    assert (series.step.tolist(), series.attempt.tolist()) == ([0, 1], [1, 1])


POOLS = """
import multiprocessing
import loops_nb

def begin(inherited):
    global exp
    exp = inherited

def task(step):
    exp.log(step=step, loss=step)

if __name__ == "__main__":
    exp = loops_nb.experiment("pools")
    for _ in range(20):
        with multiprocessing.get_context("fork").Pool(3, initializer=begin, initargs=(exp,)) as pool:
            pool.map(task, range(30), chunksize=1)
"""
ENDLESS = """
import itertools, threading, time
import loops_nb

exp = loops_nb.experiment("endless")

def log():
    for step in itertools.count():
        exp.log(step=step, loss=step)

threading.Thread(target=log, daemon=True).start()
time.sleep(0.3)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_terminated_pool_workers_lose_nothing_and_do_not_hang(store: ExperimentStore, tmp_path: Path) -> None:
    # From a file: the workers of a pool import the main module.
    program = tmp_path / "pools.py"
    program.write_text(POOLS)
    subprocess.run([sys.executable, str(program)], check=True, timeout=60)
    wait_until_sent(store)
    (row,) = store.experiments()
    assert store.keys(row.id)[0].count == 20 * 30


def test_endless_daemon_thread_does_not_block_process_end(store: ExperimentStore) -> None:
    subprocess.run([sys.executable, "-c", ENDLESS], check=True, timeout=60, stderr=subprocess.DEVNULL)
    (row,) = store.experiments()
    assert store.keys(row.id)[0].count > 1000
