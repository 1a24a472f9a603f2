import http.server
import tarfile
import threading

import pytest
from torchvision import datasets

from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from tests.archives import md5_of, write_cifar10


@pytest.fixture
def cifar_server(tmp_path, monkeypatch):
    """A server of an archive in CIFAR-10's official format, its checksums those that torchvision expects."""
    folder = write_cifar10(tmp_path / "served", monkeypatch)
    with tarfile.open(tmp_path / "served" / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-py")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(tmp_path / "served"), **kwargs)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = datasets.CIFAR10
    monkeypatch.setattr(source, "url", f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz")
    monkeypatch.setattr(source, "tgz_md5", md5_of(tmp_path / "served" / "cifar-10-python.tar.gz"))
    yield server
    server.shutdown()
    server.server_close()


def test_cifar_is_downloaded_checked_and_found_again(cifar_server, tmp_path):
    first = load_dataset("cifar10", tmp_path / "data")
    assert (len(first.train), first.val, len(first.test)) == (200, None, 40)
    assert first.mean == (125.3, 123.0, 113.9)
    cifar_server.shutdown()
    again = load_dataset("cifar10", tmp_path / "data")
    assert again.train.images.equal(first.train.images)


def test_damaged_cifar_without_a_network_says_what_to_put_where(cifar_server, tmp_path, monkeypatch):
    load_dataset("cifar10", tmp_path / "data")
    cifar_server.shutdown()
    cifar_server.server_close()
    (tmp_path / "data" / "cifar-10-python.tar.gz").unlink()
    (tmp_path / "data" / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"damaged or incomplete .*cannot be downloaded.*cifar-10-python.tar.gz \(md5"):
        load_dataset("cifar10", tmp_path / "data")


def test_missing_cifar_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR100, "url", "http://127.0.0.1:9/cifar-100-python.tar.gz")
    with pytest.raises(UserError, match=r"cifar100 in .* is not there and cannot be downloaded.*--data_dir"):
        load_dataset("cifar100", tmp_path / "data")
