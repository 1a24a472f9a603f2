"""NDS: files as their authors describe them, written here."""

import json

import pytest

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.errors import UserError
from naswot_lightning.spaces import get_space

DARTS_V2 = {
    "normal": [
        ["sep_conv_3x3", 0], ["sep_conv_3x3", 1], ["sep_conv_3x3", 0], ["sep_conv_3x3", 1],
        ["sep_conv_3x3", 1], ["skip_connect", 0], ["skip_connect", 0], ["dil_conv_3x3", 2],
    ],
    "normal_concat": [2, 3, 4, 5],
    "reduce": [
        ["max_pool_3x3", 0], ["max_pool_3x3", 1], ["skip_connect", 2], ["max_pool_3x3", 1],
        ["max_pool_3x3", 0], ["skip_connect", 2], ["skip_connect", 2], ["max_pool_3x3", 1],
    ],
    "reduce_concat": [2, 3, 4, 5],
}  # fmt: skip
CELLS = {"genotype": DARTS_V2, "width": 16, "depth": 8, "aux": False, "drop_prob": 0.0}
BASIC = {"block_type": "res_basic_block", "ds": [1, 3, 2, 6], "ws": [16, 24, 96, 96], "ss": [1, 1, 2, 2]}
BOTTLENECK = {
    **BASIC, "block_type": "res_bottleneck_block", "bot_muls": [0.0, 0.5, 0.5, 0.25], "num_gs": [1, 2, 1, 1],
}  # fmt: skip


def job(net, errors=(60.0, 7.5), **beside):
    return {
        "job_id": 3, "rng_seed": 7, "net": net, "params": 246106.0, "flops": 4.5e7, "optim": {"base_lr": 0.1},
        "train_ep_top1": [50.0, 5.0], "train_ep_loss": [1.5, 0.25], "test_ep_top1": list(errors), **beside,
    }  # fmt: skip


def table_of(tmp_path, name, content, space=None):
    (tmp_path / name).write_text(json.dumps(content))
    return open_benchmark(convert(tmp_path / name, tmp_path / "table.npz", space)[1])


def test_cells(tmp_path):
    for name in ("DARTS.json", "DARTS_in.json"):
        table = table_of(tmp_path, name, [job(CELLS), job(CELLS | {"depth": 4, "drop_prob": 0.2, "aux": True})])
        large = name == "DARTS_in.json"
        dataset = "imagenet" if large else "cifar10"
        assert table.space == "nds_darts"
        first, second = table.architectures
        assert second.startswith("C16-L4-imagenet-aux-drop0.2|" if large else "C16-L4-aux-drop0.2|")
        assert table.accuracy(first, dataset, "test") == table.accuracy(first, dataset, "test", 2) == 92.5
        assert table.accuracy(first, dataset, "train") == 95.0
        assert table.loss(first, dataset, "train") == 0.25
        assert (table.params(first), table.macs(first)) == (246106, 45_000_000)
        assert large or get_space("nds_darts").complexity(first, image_size=32).params == 246_106


def test_stages(tmp_path):
    stages = "ds=3,2,6;ws=24,96,96;ss=1,2,2"
    for name, net, space, expected in (
        ("ResNet_lr-wd.json", BASIC | {"bot_muls": [], "num_gs": []}, "nds_resnet", stages),
        ("Vanilla.json", BASIC | {"block_type": "vanilla_block"}, "nds_vanilla", stages),
        ("ResNeXt-A_in.json", BOTTLENECK, "nds_resnext_a", f"{stages};bm=0.5,0.5,0.25;gs=2,1,1"),
        ("mine.json", BASIC, "nds_resnet", stages),
    ):
        table = table_of(tmp_path, name, [job(net)], space)
        assert (table.space, list(table.architectures)) == (space, [expected])
        assert get_space(space).canonical(expected) == expected


def test_trainings_of_one_network_are_its_repeats(tmp_path):
    content = {"top": [job(BASIC), job(BASIC, (50.0, 8.5))], "mid": [job(BASIC, (70.0, 6.5, 6.0))]}
    table = table_of(tmp_path, "ResNet_reruns.json", content)
    (architecture,) = table.architectures
    assert table.accuracies(architecture, "cifar10", "test", 2) == {0: 92.5, 1: 91.5}
    assert table.accuracies(architecture, "cifar10", "test") == {0: 94.0}


def test_damaged_file_is_one_line(tmp_path):
    for name, content, message in (
        ("DARTS.json", [job(BASIC)], "training 1: no network of nds_darts"),
        ("mine.json", [job(CELLS)], "name it with --space"),
        ("DARTS.json", [job(CELLS), {"net": CELLS}], "training 2 .*is missing"),
        ("DARTS.json", [job(CELLS, (101.0,))], "an error of 101"),
        ("DARTS.json", [job({"genotype": 3})], "is not a valid file of NDS"),
        ("DARTS.json", [], "no accuracies"),
        ("DARTS.json", {"top": 3}, "damaged"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            table_of(tmp_path, name, content)
        assert "\n" not in str(caught.value)


def test_training_without_figures_is_left_out_and_named(tmp_path, caplog):
    content = [job(CELLS, (60.0, 1.0 + number / 10)) for number in range(198)]
    odd = [job(CELLS, ()), job(CELLS, errors=(60.0, float("nan")))]  # the second diverged, which is no fault
    table = table_of(tmp_path, "DARTS.json", [*content[:16], *odd, *content[16:]])
    found = table.accuracies(table.architectures[0], "cifar10", "test").values()
    assert list(found) == [pytest.approx(99 - number / 10) for number in range(198)]
    (said,) = caplog.messages
    assert "DARTS.json: 1 of 200 trainings are left out; the first is training 17: list index out of range" in said
    with pytest.raises(UserError, match=r"training 3 \(an error of 200"):
        table_of(tmp_path, "DARTS.json", [*content[:2], *[job(CELLS, (200.0,))] * 3, *content])
