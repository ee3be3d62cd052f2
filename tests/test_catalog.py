import pytest

from anymask.catalog import find, models
from anymask.errors import ModelError

REMBG = [
    "birefnet-general",
    "birefnet-general-lite",
    "birefnet-general-fp16",
    "birefnet-portrait",
    "birefnet-dis",
    "birefnet-hrsod",
    "birefnet-cod",
    "birefnet-massive",
    "isnet-general-use",
    "isnet-anime",
    "dis_custom",
    "u2net",
    "u2netp",
    "u2net_human_seg",
    "u2net_cloth_seg",
    "u2net_custom",
    "silueta",
    "bria-rmbg",
    "ben_custom",
]


def test_every_model_states_its_licence_and_size():
    for entry in models():
        assert entry.licence
        assert entry.bytes > 0 or entry.family == "custom"
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
    published = [entry for entry in models() if not entry.bundled and entry.family != "custom"]
    assert {entry.family for entry in published} >= {
        "sam",
        "sam_hq",
        "mobile_sam",
        "efficient_sam",
        "u2net",
        "birefnet",
    }
    files = [weights for entry in published for weights in (entry.weights, entry.checkpoint) if weights]
    assert len({weights.file for weights in files}) == len(files)
    assert all(entry.weights for entry in published)
    for weights in files:
        assert weights.address.startswith("https://")
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


def test_every_recipe_is_one_that_is_known():
    found = [rules for entry in models() for rules in (entry.matte, entry.rembg) if rules]
    assert {rules.resize for rules in found} <= {
        "gaussian",
        "linear",
        "linear8",
        "bilinear",
        "bicubic",
        "lanczos",
        "area",
    }
    assert {rules.fit for rules in found} == {"stretch", "short_side"}
    assert {rules.divide for rules in found} == {"255", "maximum"}
    assert {rules.output for rules in found} == {"probability", "logit", "classes", "argmax"}
    assert {rules.stretch for rules in found} == {"", "map", "picture"}
    assert all(min(rules.deviation) > 0 and rules.classes in ((), ("upper", "lower", "full")) for rules in found)


@pytest.mark.parametrize("name", REMBG)
def test_rembgs_names_are_ours(name):
    entry = find(name, "matte")
    rules = entry.rembg or entry.matte
    assert rules is not None
    assert (rules.resize, rules.divide) == ("lanczos", "maximum"), "rembg feeds all of them so"
    assert entry.path.suffix == ".onnx" or entry.family == "custom"


def test_an_alias_finds_its_model():
    assert find("rmbg-2.0") is find("bria-rmbg")
    assert "rmbg-2.0" not in [entry.name for entry in models()]


def test_non_commercial_models_are_told_apart():
    free = {entry.name for entry in models(commercial=True)}
    assert not free & {"bria-rmbg", "rmbg-1.4", "isnet-general-use"}
    assert {"birefnet-general", "u2net", "modnet"} <= free


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ModelError, match="'pokcet'; did you mean pocket"):
        find("pokcet")
    with pytest.raises(ModelError, match="known are: pocket"):
        find("zzzzzz")


def test_a_task_the_model_cannot_do():
    assert find("pocket", "matte").name == "pocket"
    with pytest.raises(ModelError, match="pocket cannot track"):
        find("pocket", "track")
