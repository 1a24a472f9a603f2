"""What is wrong with numba's cache costs time, and no result."""

import errno
import signal

import numba
import pytest
from numba.core.caching import IndexDataCacheFile
from numba.core.registry import cpu_target

from naswot_lightning.naswot.compiled.jit import compiled


def double(number):
    return 2 * number


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("size", [0, 60])
def test_a_damaged_cache_is_written_anew(tmp_path, monkeypatch, kind, size):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert compiled()(double)(2) == 4
    (damaged,) = tmp_path.rglob(f"*.{kind}")
    with open(damaged, "r+b") as file:
        file.truncate(size)
    assert compiled()(double)(2) == 4
    # Compiled anew, the machine code differs by a few bytes now and then.
    assert damaged.stat().st_size > size
    again = compiled()(double)
    assert again(2) == 4
    assert sum(again.stats.cache_hits.values()) == 1


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(IndexDataCacheFile, "_save_index", fail)
    assert [compiled()(double)(2) for _ in range(2)] == [4, 4]
    assert "No space left on device" in capsys.readouterr().err


def test_ctrl_c_while_llvm_calls_python_is_not_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    engine = cpu_target.target_context.codegen()._engine._ee
    monkeypatch.setattr(engine, "_object_cache_notify", lambda *_: signal.raise_signal(signal.SIGINT))
    made = compiled()(double)
    with pytest.raises(KeyboardInterrupt):
        made(2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert len(made.signatures) == 1
