import os
import signal
import threading
from dataclasses import replace

import pytest

from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import MachineError, UserError
from naswot_lightning.execution.base import ResourceRequest
from naswot_lightning.execution.ray import RayExecutor, expect_cluster, resources_of_a_task
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.spaces import get_space
from tests.execution.tasks import Faulty, Halved, Training, Where, wait_until

CPU, CUDA = "cpu", "cuda"


def run(task, items, workers=2, device=CPU, **asked):
    return list(RayExecutor(ResourceRequest(workers, device, **asked)).run(task, items))


def test_a_worker_has_the_devices_that_were_asked_for(ray_cluster):
    for workers, devices, shown in ((2, 1, {"0", "1"}), (4, 1, {"0", "1"}), (1, 2, {"0,1", "1,0"})):
        found = run(Where(), range(8), workers, CUDA, devices=devices)
        assert {device for _, (_, _, device) in found} <= shown


@pytest.mark.slow
def test_what_meets_a_broken_gpu_is_run_on_another(ray_cluster):
    fault = RuntimeError("CUDA error: uncorrectable ECC error encountered")
    for workers in (1, 2):
        assert sorted(run(Faulty(fault, sick="0"), range(6), workers, CUDA)) == [(item, "1") for item in range(6)]
    with pytest.raises(MachineError, match="no working device is left"):
        run(Faulty(fault, always=range(3)), range(3), 1, CUDA, devices=2)


def test_shares_of_a_gpu_add_up_to_one_at_most():
    machines = [{"CPU": 2.0, "GPU": 2.0}]
    assert resources_of_a_task(ResourceRequest(4, CPU, threads=3, devices=2), machines) == {"CPU": 6}
    assert resources_of_a_task(ResourceRequest(4, CUDA, devices=2), machines) == {"CPU": 2, "GPU": 2}
    for workers, share in ((1, 1.0), (2, 1.0), (4, 0.5), (5, 0.3333), (7, 0.25)):
        assert resources_of_a_task(ResourceRequest(workers, CUDA), machines) == {"CPU": 1, "GPU": share}


def test_what_no_machine_has_is_one_line(ray_cluster):
    with pytest.raises(UserError, match=r"no machine of the cluster has 64 CPUs for a task; give fewer --threads"):
        run(Halved(), [2], threads=64, runs_subprocess=True)
    with pytest.raises(UserError, match=r"no machine of the cluster has 3 CPUs and 3 GPUs"):
        run(Halved(), [2], 1, CUDA, devices=3)
    with pytest.raises(UserError, match=r"--device cuda:1: Ray chooses among the GPUs; use --device cuda"):
        RayExecutor(ResourceRequest(1, "cuda:1"))


def test_a_training_whose_worker_is_killed_is_tried_again(ray_cluster, folders, caplog, tmp_path):
    def kill():
        wait_until(lambda: (folders[0] / "process").exists())
        (folders[0] / "saved").touch()
        os.kill(int((folders[0] / "process").read_text()), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    results = run(Training(), folders[:1], runs_subprocess=True, folder=tmp_path)
    assert results == [(folders[0], "continued")]
    assert caplog.messages == ["warning: a worker died, perhaps because memory ran out; 1-a is tried again"]


def test_a_space_of_ones_own_is_scored_and_workers_stay_for_the_next_batch(ray_cluster):
    space = get_space("tests.own_networks.networks")
    evaluator = ScoreEvaluator(space, [load_probe("noise", "", 8, 0, probe_size=16)])
    networks = list(space)[:2]
    with RayExecutor(ResourceRequest(1, CPU)) as executor:
        found = dict(executor.run(evaluator, networks[:1]))
        workers = list(executor.workers)
        found |= dict(executor.run(evaluator, networks[1:]))
        assert executor.workers == workers
    assert executor.workers == []
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
