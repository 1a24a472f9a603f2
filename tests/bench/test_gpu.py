import json

import pytest
import torch

from bench.__main__ import main


def test_without_a_gpu_it_is_one_line(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert main(["gpu"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("bench: error: --device cuda: this machine has 0 CUDA devices; use auto, cpu, or")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_the_whole_script_runs_on_the_cpu(tmp_path, capsys):
    assert main(["gpu", "--device", "cpu", "--json", str(tmp_path / "gpu.json")]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    values = {figure["name"]: figure["value"] for figure in found["figures"]}
    assert found["machine"].startswith("cpu: ")
    assert values["codes of 70,000 units, in autocast"] == values["scores in 32"] == 0
    assert values["  its first score and the search's"] == 0
    timed = ("a whole candidate", "published procedure, one process", "naswot in 32, workers: 2", "a pick in bf16")
    assert min(values[name] for name in timed) > 0
    assert "a pick in DDP" in capsys.readouterr().out
