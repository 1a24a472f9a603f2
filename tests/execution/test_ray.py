import os
import signal
import sys
import threading
from dataclasses import replace

import pytest
import torch

from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import UserError
from naswot_lightning.execution import get_engine
from naswot_lightning.execution.base import ResourceRequest, WorkerFailure
from naswot_lightning.execution.ray import RayExecutor, expect_cluster, resources_of_a_task
from naswot_lightning.scorer import ScoreEvaluator
from spaces import get_space
from tests.execution.conftest import SMALL
from tests.execution.tasks import Fatal, Forking, Halved, NeverReady, Odd, Training, Where, wait_until

# Before it is imported: then it reads what holds for the process, also for commands that other tests run in it.
os.environ.update(RAY_DEDUP_LOGS_SKIP_REGEX=".", RAY_AUTH_MODE="disabled")
ray = pytest.importorskip("ray")
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of two cores, which takes itself for one with two GPUs."""
    ray.shutdown()  # of a command that another test has run in this process
    ray.init(
        "local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=100 * 2**20,
    )  # fmt: skip
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def run(task, items, workers=2, device=CPU, **asked):
    return list(RayExecutor(ResourceRequest(workers, device, **asked)).run(task, items))


def test_an_error_of_a_task_ends_the_run_with_that_error(cluster):
    assert dict(run(Halved(), iter([2, 4, 6, 8, 10]))) == {2: 1, 4: 2, 6: 3, 8: 4, 10: 5}
    assert run(Halved(), []) == []
    with pytest.raises(ValueError, match=r"^3 is odd$"):
        run(Halved(), [2, 3, 4])
    with pytest.raises(RuntimeError, match=r"^Unsendable: 1 and more$"):
        run(Odd(), [1])
    assert dict(run(Halved(), [2, 4])) == {2: 1, 4: 2}
    assert sorted(run(Forking(), range(6))) == [(item, -item) for item in range(6)]


def test_what_kills_its_worker_is_tried_again_and_then_lost_and_the_others_go_on(cluster, tmp_path, caplog):
    once = str(tmp_path / "died")
    items = [5, 0, 6, once, 7, 8]
    results = run(Fatal(), items)
    assert sorted(map(str, dict(results))) == sorted(map(str, items))
    assert len(results) == len(items)
    assert dict(results)[0] == WorkerFailure("died, perhaps for want of memory")
    assert all(result == item for item, result in results if item != 0)
    # Ray may not deliver the word of a worker that dies at once: then it is replaced as one that was never ready.
    (kind,) = {message.partition(";")[0] for message in caplog.messages}
    assert "a worker died, perhaps for want of memory" in kind
    assert len(caplog.messages) in (1, 2)


def test_what_hangs_fails_in_time_and_workers_that_cannot_get_ready_are_one_line(cluster):
    results = dict(run(Fatal(), [1, 99, 2, 3], timeout=0.5))
    assert results == {1: 1, 2: 2, 3: 3, 99: WorkerFailure("gave no answer in 0.5 s")}
    with pytest.raises(UserError, match="a worker died, perhaps for want of memory before it was ready, 3 times"):
        run(NeverReady(), [1, 2, 3])


def test_a_killed_worker_loses_nothing_and_its_items_are_answered_once(cluster):
    results, killed = [], None
    for item, (process, threads, _) in RayExecutor(ResourceRequest(2, CPU)).run(Where(), range(60)):
        results.append(item)
        assert threads == "1"
        if killed is None and len(results) > 20:
            killed = process
            os.kill(process, signal.SIGKILL)
    assert killed is not None
    assert sorted(results) == list(range(60))


def test_a_worker_has_the_devices_that_were_asked_for(cluster):
    for workers, devices, shown in ((2, 1, {"0", "1"}), (4, 1, {"0", "1"}), (1, 2, {"0,1", "1,0"})):
        found = run(Where(), range(8), workers, CUDA, devices=devices)
        assert {device for _, (_, _, device) in found} <= shown


def test_shares_of_a_gpu_add_up_to_one_at_most():
    machines = [{"CPU": 2.0, "GPU": 2.0}]
    assert resources_of_a_task(ResourceRequest(4, CPU, threads=3, devices=2), machines) == {"CPU": 6}
    assert resources_of_a_task(ResourceRequest(4, CUDA, devices=2), machines) == {"CPU": 2, "GPU": 2}
    for workers, share in ((1, 1.0), (2, 1.0), (4, 0.5), (5, 0.3333), (7, 0.25)):
        assert resources_of_a_task(ResourceRequest(workers, CUDA), machines) == {"CPU": 1, "GPU": share}


def test_what_no_machine_has_is_one_line(cluster):
    with pytest.raises(UserError, match=r"no machine of the cluster has 64 CPUs for a task; give fewer --threads"):
        run(Halved(), [2], threads=64, runs_subprocess=True)
    with pytest.raises(UserError, match=r"no machine of the cluster has 3 CPUs and 3 GPUs"):
        run(Halved(), [2], 1, CUDA, devices=3)
    with pytest.raises(UserError, match=r"--device cuda:1: Ray chooses among the GPUs; use --device cuda"):
        RayExecutor(ResourceRequest(1, torch.device("cuda:1")))


@pytest.fixture
def folders(tmp_path):
    made = [tmp_path / name for name in ("1-a", "2-b")]
    for folder in made:
        folder.mkdir()
    return made


def test_trainings_save_where_the_command_ends(cluster, folders, capsys, caplog):
    def interrupt():
        wait_until(lambda: all((folder / "process").exists() for folder in folders))
        signal.raise_signal(signal.SIGINT)

    executor = RayExecutor(ResourceRequest(2, CPU, runs_subprocess=True))
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        list(executor.run(Training(), folders))
    assert all((folder / "saved").exists() for folder in folders)
    assert sorted(executor.run(Training(), folders)) == [(folder, "continued") for folder in folders]
    assert sorted(capsys.readouterr().out.splitlines()) == ["1-a: begun"] * 2 + ["2-b: begun"] * 2
    assert caplog.messages == ["2 trainings are told to save and end; Ctrl-C ends them at once"]


def test_a_training_whose_worker_is_killed_is_tried_again(cluster, folders, caplog):
    def kill():
        wait_until(lambda: (folders[0] / "process").exists())
        (folders[0] / "saved").touch()
        os.kill(int((folders[0] / "process").read_text()), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    assert run(Training(), folders[:1], runs_subprocess=True) == [(folders[0], "continued")]
    assert caplog.messages == ["warning: a worker died, perhaps for want of memory; 1-a is tried again"]


def test_the_command_gives_the_ranking_of_one_process_wherever_it_is_run(cluster, foreign, search, ranking_of_one):
    environment = {**os.environ, "RAY_ADDRESS": cluster}
    done = search(*SMALL, "--engine", "ray", "--run_dir", "run", cwd=foreign, env=environment)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line and "scoring" not in line] == []
    assert (foreign / "run" / "ranking.json").read_bytes() == ranking_of_one
    assert not (foreign / "canary").exists()


@pytest.mark.slow
def test_picks_are_those_of_the_local_engine(cluster, trained, trained_here):
    assert trained("--engine", "ray", env={**os.environ, "RAY_ADDRESS": cluster}) == trained_here


def test_a_space_of_ones_own_is_scored_and_workers_stay_for_the_next_batch(cluster):
    space = get_space("tests.own_networks.networks")
    evaluator = ScoreEvaluator(space, [load_probe("noise", "", 8, 0, probe_size=16)])
    networks = list(space)[:2]
    executor = RayExecutor(ResourceRequest(1, CPU))
    found = dict(executor.run(evaluator, networks[:1]))
    workers = list(executor._idle)
    found |= dict(executor.run(evaluator, networks[1:]))
    assert executor._idle == workers
    assert {name: replace(values, seconds=0.0) for name, values in found.items()} == {
        name: replace(evaluator(name), seconds=0.0) for name in networks
    }


def test_what_is_no_address_of_a_cluster_is_one_line():
    for address, said in (
        ("127.0.0.1:1", "refused.*ray start --head"), ("ray://head:10001", "expected HOST:PORT"), ("head:x", "invalid"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"RAY_ADDRESS {address}: .*{said}"):
            expect_cluster(address)
    expect_cluster("auto")


def test_without_the_package_it_is_one_line_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--engine ray: .*; pip install 'naswot-lightning\[ray\]'"):
        get_engine("ray")(ResourceRequest(1, CPU))
