"""The shape of the package: imports point one way, files stay readable, torch stays in its rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "anymask"
FILES = sorted(ROOT.rglob("*.py"))

# From what everybody may use to what nobody imports. A file may import from its own layer and from those before it.
LAYERS = (
    {"errors", "networks"},
    {
        "ahead",
        "catalog",
        "clip_result",
        "colors",
        "downloads",
        "hashes",
        "home",
        "images",
        "locks",
        "placement",
        "progress",
        "prompts",
        "recall",
        "rle",
        "transfer",
    },
    {"formats", "masks", "overlay", "polygons"},
    {"runtime"},
    {
        "animation",
        "background",
        "candidates",
        "compositing",
        "embeddings",
        "everything",
        "everything_closer",
        "everything_options",
        "finishing",
        "folders",
        "foreground",
        "grids",
        "matting",
        "pointing",
        "projects",
        "rawframes",
        "recipe",
        "refine",
        "regions",
        "second_look",
        "second_pass",
        "segmenter",
        "tiles",
        "tracker",
        "tracking",
        "video",
        "watch",
    },
    {"evaluation", "export", "training"},
    {"cli", "__main__", "compat", "server"},
)
TORCH = {ROOT / "runtime" / f"{name}.py" for name in ("checkpoint", "convert", "parts", "torch")}
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that a file names in an import, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_used(path: Path) -> set[str]:
    names = imported(ast.parse(path.read_text(encoding="utf-8")))
    return {name.split(".")[1] for name in names if name.startswith("anymask.")} & RANK.keys()


def at_import(path: Path) -> set[Path]:
    """The package's files that are loaded as soon as this one is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set(imported(ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])))
    places = [ROOT.parent.joinpath(*name.split(".")) for name in names if name.startswith("anymask.")]
    return {f for place in places for f in (place.with_suffix(".py"), place / "__init__.py") if f.exists()}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_file_stays_readable(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", [f for f in FILES if f.parent != ROOT or f.name != "__init__.py"], ids=relative)
def test_imports_point_one_way(path: Path) -> None:
    assert room(path) in RANK, "a new room needs a place in LAYERS"
    used = rooms_used(path) - {room(path)}
    assert not {other for other in used if RANK[other] > RANK[room(path)]}
    if room(path) == "networks":
        assert not used, "a network knows nothing of the package"
    if room(path) not in {"runtime", "training"}:
        assert "networks" not in used, "networks are reached through the runtime and through training"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_torch_stays_in_its_rooms(path: Path) -> None:
    names = {name.split(".")[0] for name in imported(ast.parse(path.read_text(encoding="utf-8")))}
    assert "torchvision" not in names
    if room(path) not in {"compat", "export", "networks", "training"} and path not in TORCH:
        assert "torch" not in names


def test_nothing_imports_in_a_circle() -> None:
    graph = {path: at_import(path) - {path} for path in FILES if path != ROOT / "__init__.py"}
    while free := [path for path, needs in graph.items() if not needs & graph.keys()]:
        for path in free:
            del graph[path]
    assert not graph, f"a circle among {sorted(map(relative, graph))}"
