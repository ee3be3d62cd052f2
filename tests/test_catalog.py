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
    for entry in models(installed=True):
        assert entry.bytes == sum(path.stat().st_size for path in entry.path.iterdir())


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ModelError, match="'pokcet'; did you mean pocket"):
        find("pokcet")
    with pytest.raises(ModelError, match="known are: pocket"):
        find("zzzzzz")


def test_a_task_the_model_cannot_do():
    assert find("pocket", "matte").name == "pocket"
    with pytest.raises(ModelError, match="pocket cannot track"):
        find("pocket", "track")
