import pytest
import torch

from naswot_lightning.errors import UserError
from naswot_lightning.storage import versions
from naswot_lightning.storage.versions import note_versions, read_versions, versions_here


def test_a_set_is_added_where_a_version_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "versions.json"
    assert read_versions(path) == ()
    note_versions(path)
    note_versions(path)
    assert read_versions(path) == [versions_here()]
    assert versions_here()["torch"] == torch.__version__.partition("+")[0]
    before = versions_here()
    monkeypatch.setattr(versions, "version", lambda name: "9.9")
    note_versions(path)
    assert [each["torch"] for each in read_versions(path)] == [before["torch"], "9.9"]


@pytest.mark.parametrize("content", ["{", "{}", "[1]", '[{"torch": 2}]', "[NaN]"])
def test_a_damaged_file_is_one_line(tmp_path, content):
    path = tmp_path / "versions.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"versions\.json is damaged \(.*\): remove it"):
        read_versions(path)
