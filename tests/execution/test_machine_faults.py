"""Faults of the machine, which say nothing of a candidate: too little memory, a broken device."""

import pytest
import torch

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import MachineError, fault_kind
from naswot_lightning.execution.base import WorkerFailure
from naswot_lightning.execution.local import ProcessExecutor, SerialExecutor
from naswot_lightning.ranking import read_ranking
from tests.execution.tasks import Faulty
from tests.execution.test_engines import run, with_engines  # noqa: F401 - the fixture
from tests.searching.runs import QUICK, rows_of

ASSERT = RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later")
ECC = RuntimeError("CUDA error: uncorrectable ECC error encountered")
MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of 1 GiB")
TWO = [{"CUDA_VISIBLE_DEVICES": "sick"}, {"CUDA_VISIBLE_DEVICES": "well"}]


def real_cpu_error():
    try:
        torch.empty(2**60)
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("kind", "errors"),
    {
        "resource": [
            MEMORY,
            torch.OutOfMemoryError("no 14 images"),
            MemoryError(),
            real_cpu_error(),
            OSError(12, "Cannot allocate memory"),
            RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            RuntimeError("CUDA error: out of memory"),
        ],
        "device": [
            ASSERT,
            ECC,
            RuntimeError("CUDA error: an illegal memory access was encountered"),
            RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
            *([torch.AcceleratorError("unknown error")] if hasattr(torch, "AcceleratorError") else []),
        ],
        "architecture": [
            RuntimeError("shapes differ"),
            ValueError("out of memory"),
            RuntimeError("CUDA error: invalid configuration argument"),
            RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        ],
    }.items(),
)
def test_an_error_is_of_the_architecture_of_resources_or_of_the_device(kind, errors):
    assert {str(error): fault_kind(error) for error in errors} == {str(error): kind for error in errors}


def test_a_sick_device_is_retired_and_its_items_are_done_on_the_other(caplog):
    results = list(ProcessExecutor(2, TWO).run(Faulty(ECC), range(20)))
    assert sorted(results) == [(item, "well") for item in range(20)]
    (said,) = [message for message in caplog.messages if "the item it was working on" not in message]
    assert said == (
        "warning: device sick is no longer used: 2 workers in a row failed on it; the last one met RuntimeError: "
        "CUDA error: uncorrectable ECC error encountered"
    )
    assert len(caplog.messages) == 3


def test_devices_that_are_all_sick_are_one_line():
    with pytest.raises(MachineError, match="no working device is left; finished work is kept"):
        list(ProcessExecutor(2, TWO[:1]).run(Faulty(ECC), range(5)))


def test_an_assertion_of_some_networks_costs_no_device(caplog):
    results = dict(ProcessExecutor(1, TWO[1:]).run(Faulty(ASSERT, always=(2, 3)), range(5)))
    failed = WorkerFailure("met RuntimeError: CUDA error: device-side assert triggered", "device")
    assert results == {item: failed if item in (2, 3) else "well" for item in range(5)}


@with_engines("local", pytest.param("ray", marks=pytest.mark.slow), pytest.param("slurm", marks=pytest.mark.slow))
def test_memory_that_runs_out_once_costs_nothing_and_twice_is_no_fault_of_the_item(run, tmp_path):  # noqa: F811
    fault = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    results = dict(run(Faulty(fault, always=(3,), once=str(tmp_path / "once")), range(6), 1))
    failed = WorkerFailure("met RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", "resource")
    assert results == {item: failed if item == 3 else None for item in range(6)}


def test_this_process_tries_again_at_the_end_and_ends_where_its_device_is_broken(tmp_path):
    results = list(SerialExecutor().run(Faulty(MemoryError(), once=str(tmp_path / "once")), range(3)))
    assert results == [(1, None), (2, None), (0, None)]
    with pytest.raises(MachineError, match=r"this process met RuntimeError: CUDA error: device-side.*--workers 2"):
        list(SerialExecutor().run(Faulty(ASSERT, always=(1,)), range(3)))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_search_stores_no_fault_of_the_machine_and_the_same_command_tries_again(tmp_path, capsys, monkeypatch, workers):
    mark = tmp_path / "short of memory"
    monkeypatch.setenv("SCARCE", str(mark))
    config = SearchConfig(
        **{**QUICK, "space": "tests.own_networks.scarce_networks", "samples": "all", "workers": workers},
        run_dir=str(tmp_path / "run"),
    )
    mark.touch()
    assert run_search(config) == 1
    assert sorted(row["architecture"] for row in rows_of(tmp_path / "run")) == ["16", "8"]
    assert read_ranking(tmp_path / "run")["architecture"].tolist() == ["16", "8", "9"]
    assert read_ranking(tmp_path / "run")["status"].tolist() == ["ok", "ok", "failed"]
    said = capsys.readouterr().err
    assert (
        "1 candidate could not be scored because the machine failed, e.g. 9: met OutOfMemoryError: CUDA out of" in said
    )
    mark.unlink()
    assert run_search(config) == 0
    assert sorted(row["architecture"] for row in rows_of(tmp_path / "run") if row["status"] == "ok") == ["16", "8", "9"]
    assert "could not be scored" not in capsys.readouterr().err
