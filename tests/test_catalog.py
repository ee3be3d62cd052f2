import pytest

from anymask.catalog import find, models
from anymask.errors import ModelError


def test_every_model_states_its_licence_and_size():
    for entry in models():
        assert entry.licence
        assert entry.bytes > 0
        assert entry.tasks


def test_filters():
    assert [entry.name for entry in models(family="pocket")] == ["pocket"]
    assert models(family="nothing") == []
    assert all(entry.commercial for entry in models(commercial=True))
    assert "pocket" in [entry.name for entry in models(installed=True)]
    assert "pocket" not in [entry.name for entry in models(installed=False)]


def test_the_stated_size_of_a_bundled_model_is_that_of_its_files():
    for entry in [entry for entry in models() if entry.bundled]:
        assert entry.bytes == sum(path.stat().st_size for path in entry.path.iterdir())


def test_every_published_model_says_where_it_is_and_how_to_know_it():
    published = [entry for entry in models() if not entry.bundled]
    assert {entry.family for entry in published} >= {"sam", "sam_hq", "mobile_sam", "efficient_sam"}
    assert len({entry.path for entry in published}) == len(published)
    for entry in published:
        weights = entry.weights
        assert weights is not None
        assert weights.address.startswith("https://")
        assert weights.address.endswith("/" + weights.file), "who fetches it by hand gets a file of this name"
        hashes = [weights.sha256, weights.md5, weights.git_blob]
        assert [len(text) for text in hashes if text] in ([64], [32], [40])
        assert all(int(text, 16) for text in hashes if text)


def test_installed_is_a_file_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path))
    entry = find("sam_vit_b")
    assert entry.path == tmp_path / "weights" / "sam_vit_b_01ec64.pth"
    assert not entry.installed
    entry.path.parent.mkdir()
    entry.path.write_bytes(b"")
    assert entry.installed
    assert [found.name for found in models(installed=True)] == ["pocket", "sam_vit_b"]


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ModelError, match="'pokcet'; did you mean pocket"):
        find("pokcet")
    with pytest.raises(ModelError, match="known are: pocket"):
        find("zzzzzz")


def test_a_task_the_model_cannot_do():
    assert find("pocket", "matte").name == "pocket"
    with pytest.raises(ModelError, match="pocket cannot track"):
        find("pocket", "track")
