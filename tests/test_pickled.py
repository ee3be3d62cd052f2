"""Checkpoints that are pickled network objects: read as data, and nothing in them executed."""

import io
import pickle
import struct
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="checkpoints need the torch extra")

import parity  # noqa: E402
from torch import nn  # noqa: E402

from anymask.errors import WeightsError  # noqa: E402
from anymask.runtime.checkpoint import identify, read_state_dict  # noqa: E402


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pt"


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A package that exists only while a checkpoint is being written: afterwards nobody can import it."""
    made = types.ModuleType("nowhere.nn.tasks")
    for name in ("nowhere", "nowhere.nn", "nowhere.nn.tasks"):
        monkeypatch.setitem(sys.modules, name, made)
    for name, base in (
        ("Net", nn.Module),
        ("Block", nn.Module),
        ("Stack", nn.Sequential),
        ("Space", types.SimpleNamespace),
    ):
        setattr(made, name, type(name, (base,), {"__module__": made.__name__}))
    yield made


def grown(package: types.ModuleType, state: dict[str, torch.Tensor]) -> nn.Module:
    """A network object of the package's classes that holds these tensors, as parameters or, of statistics, buffers."""
    root = package.Net()
    for name, tensor in state.items():
        *way, last = name.split(".")
        module = root
        for step in way:
            if step not in module._modules:
                module.add_module(step, package.Block())
            module = module._modules[step]
        if "running" in last or "batches" in last:
            module.register_buffer(last, tensor)
        else:
            module.register_parameter(last, nn.Parameter(tensor, requires_grad=False))
    return root


def leave(package: types.ModuleType) -> None:
    """From now on the package is not there."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "nowhere"]:
        del sys.modules[name]


def test_the_published_structure_is_read(package, path):
    state = parity.checkpoint("fastsam_s") | {"model.22.dfl.conv.weight": torch.arange(16.0).reshape(1, 16, 1, 1)}
    network = grown(package, state).half()
    network.stride = torch.tensor([8.0, 16.0, 32.0])  # what the published object holds beside its tensors
    network.names, network.args, network.where = {0: "object"}, package.Space(imgsz=1024), Path("runs/train")
    network.register_buffer("passing", torch.ones(3), persistent=False)
    network.score = np.float64(0.5)
    torch.save(
        {"epoch": -1, "best_fitness": np.float64(0.5), "model": network, "ema": None, "train_args": {"imgsz": 1024}},
        path,
    )
    leave(package)
    with pytest.raises(ModuleNotFoundError):
        torch.load(path, weights_only=False)
    found = read_state_dict(path)
    assert list(found) == list(network.state_dict()), "the module's own order"
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == parity.shapes("fastsam_s")
    for name, tensor in found.items():
        expected = state[name].half().float() if state[name].is_floating_point() else state[name]
        assert torch.equal(tensor, expected), name
    assert identify(found) == "fastsam_s"


def test_the_average_of_a_run_comes_before_its_last_step(package, path):
    last, average = ({"a.weight": torch.full((2,), value)} for value in (1.0, 2.0))
    torch.save({"model": grown(package, last), "ema": grown(package, average)}, path)
    leave(package)
    assert read_state_dict(path)["a.weight"].tolist() == [2, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float32])
def test_every_precision_and_layout(package, path, dtype):
    whole = torch.arange(24.0).reshape(4, 6).to(dtype)
    tensors = {"a.turned": whole.t(), "a.part": whole[1:3, 2:5], "a.number": whole[2, 3], "a.none": whole[:0]}
    module = grown(package, tensors)
    torch.save(module, path)
    leave(package)
    found = read_state_dict(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name].float()) for name in tensors)


def test_a_network_of_torchs_own_classes(path):
    network = nn.Sequential(OrderedDict(a=nn.Conv2d(3, 4, 1, bias=False), norm=nn.BatchNorm2d(4), act=nn.SiLU()))
    torch.save(network, path)
    found = read_state_dict(path)
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in network.state_dict().items())


# ---- What is no network ----


def archive(path: Path, code: bytes, records: dict[str, bytes] | None = None, stored: bool = True) -> None:
    """A PyTorch checkpoint with this pickle in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", code)
        file.writestr("archive/version", "3\n")
        for name, content in (records or {}).items():
            file.writestr(f"archive/data/{name}", content)


def called(module: str, name: str, *arguments: Any, protocol: int = 2) -> bytes:
    """A pickle that calls a function."""
    code = pickle.dumps(arguments, protocol)
    if protocol >= 4:
        start = (
            code[:2] + b"\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(name)]) + name.encode()
        )
        return start + b"\x93" + pickle.dumps(arguments, 2)[2:-1] + b"R."
    return code[:2] + f"c{module}\n{name}\n".encode() + code[2:-1] + b"R."


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("__builtin__", "eval"),
        ("subprocess", "Popen"),
        ("importlib", "import_module"),
        ("sys", "exit"),
        ("os.path", "exists"),
    ],
)
def test_what_belongs_to_python_is_refused_by_name(path, tmp_path, module, name, protocol):
    target = tmp_path / "executed"
    archive(
        path,
        called(
            module,
            name,
            f"open({str(target)!r}, 'w')" if name in ("eval", "exec") else f"touch {target}",
            protocol=protocol,
        ),
    )
    module = module.replace("__builtin__", "builtins")
    with pytest.raises(
        WeightsError, match=rf"weights\.pt wants {module}\.{name} and was refused: a checkpoint may hold"
    ):
        read_state_dict(path)
    assert not target.exists()


class Malice:
    def __init__(self, call: tuple[Any, ...]) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def test_malice_inside_of_a_network_is_refused(package, path, tmp_path):
    network = grown(package, {"a.weight": torch.ones(2)})
    network.a.extra = Malice((exec, (f"open({str(tmp_path / 'executed')!r}, 'w')",)))
    torch.save({"model": network}, path)
    with pytest.raises(WeightsError, match=r"wants builtins\.exec and was refused"):
        read_state_dict(path)
    assert not (tmp_path / "executed").exists()


def test_calls_of_unknown_functions_do_nothing(package, path, tmp_path):
    """Not even of ones that could be imported; the tensors beside them are read."""
    network = grown(package, {"a.weight": torch.ones(2)})
    network.extra = [Malice((np.save, (str(tmp_path / "executed.npy"), [1]))), Malice((torch.set_num_threads, (99,)))]
    torch.save(network, path)
    leave(package)
    threads = torch.get_num_threads()
    assert read_state_dict(path)["a.weight"].tolist() == [1, 1]
    assert not list(tmp_path.glob("executed*"))
    assert torch.get_num_threads() == threads


def test_reading_imports_nothing(path):
    """In a process of its own: what the file names is not imported, although it could be."""
    archive(path, called("numpy.polynomial.hermite", "hermval", 1))
    program = f"""
import sys
from pathlib import Path
from anymask.errors import WeightsError
from anymask.runtime.pickled import read_module
for name in [name for name in sys.modules if name.startswith("numpy.polynomial")]:
    del sys.modules[name]
try:
    read_module(Path({str(path)!r}))
except WeightsError as error:
    print(error)
print(any(name.startswith("numpy.polynomial") for name in sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["is a pickle of something else than a network and was refused.", "False"]


@pytest.mark.parametrize(
    "content", [{"model": None, "ema": None, "x": Malice((np.save, ("x", 1)))}, Malice((np.save, ("x", 1)))]
)
def test_a_pickle_without_a_network(path, content):
    torch.save(content, path)
    with pytest.raises(WeightsError, match="is a pickle of something else than a network and was refused"):
        read_state_dict(path)


def test_functions_of_ours_cannot_be_changed(path):
    """A pickle may set the state of what it has named."""
    for name in (
        b"collections\nOrderedDict",
        b"torch._utils\n_rebuild_tensor_v2",
        b"torch._utils\n_rebuild_parameter",
        b"nowhere\nx",
    ):
        archive(path, b"\x80\x02c" + name + b"\n}X\x05\x00\x00\x00_makeK\x01sb.")
        with pytest.raises(WeightsError):
            read_state_dict(path)
    network = nn.Linear(2, 2)
    torch.save(network, path)
    assert read_state_dict(path).keys() == {"weight", "bias"}


# ---- Damage, and promises ----


def test_a_truncated_file_is_said_to_be_damaged(package, path):
    torch.save(grown(package, {f"a.{i}.weight": torch.ones(100) for i in range(5)}), path)
    leave(package)
    whole = path.read_bytes()
    for length in (9, 100, len(whole) // 3, len(whole) // 2, len(whole) - 60, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"weights\.pt is damaged or cut short"):
            read_state_dict(path)


def test_a_truncated_pickle_is_damage(package, path):
    buffer = io.BytesIO()
    torch.save(grown(package, {"a.weight": torch.ones(2)}), buffer)
    leave(package)
    with zipfile.ZipFile(buffer) as file:
        (name,) = [name for name in file.namelist() if name.endswith("data.pkl")]
        code = file.read(name)
    for length in (2, 10, len(code) // 2, len(code) - 1):
        archive(path, code[:length], {"0": bytes(8)})
        with pytest.raises(WeightsError, match=r"weights\.pt (is damaged|is a pickle of something else)"):
            read_state_dict(path)


def tensor(count: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """A pickle of a module with one float32 tensor that says this of itself."""

    def whole(value: int) -> bytes:
        return b"\x8a\x08" + struct.pack("<q", value)

    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + whole(count) + b"tQ"
    )
    sizes = b"".join(b"(" + b"".join(map(whole, values)) + b"t" for values in (shape, strides))
    made = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + whole(offset)
        + sizes
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )
    inner = b"}X\x01\x00\x00\x00w" + made + b"s"
    return b"\x80\x02cnowhere\nNet\n)\x81}X\x0b\x00\x00\x00_parameters" + inner + b"sb."


def test_a_tensor_made_by_hand(path):
    archive(path, tensor(6, 2, (2, 2), (1, 2)), {"0": np.arange(6, dtype="<f4").tobytes()})
    assert read_state_dict(path)["w"].tolist() == [[2, 4], [3, 5]]


@pytest.mark.parametrize(
    ("count", "offset", "shape", "strides"),
    [
        (6, 0, (7,), (1,)),  # longer than its storage
        (6, 5, (2,), (1,)),
        (6, 0, (2, 2), (1, 5)),
        (6, 0, (1 << 40,), (0,)),  # one number, repeated
        (6, -1, (2,), (1,)),
        (6, 0, (-2,), (1,)),
        (6, 0, (2,), (-1,)),
        (6, 0, (2, 2), (1,)),
        (1 << 40, 0, (1 << 40,), (1,)),  # a storage that is not there
        (7, 0, (7,), (1,)),
    ],
)
def test_a_tensor_that_promises_more_than_there_is(path, count, offset, shape, strides):
    archive(path, tensor(count, offset, shape, strides), {"0": np.arange(6, dtype="<f4").tobytes()})
    with pytest.raises(WeightsError, match=r"weights\.pt is damaged"):
        read_state_dict(path)


def test_a_compressed_record_is_no_checkpoint(path):
    archive(path, tensor(1 << 20, 0, (1 << 20,), (1,)), {"0": bytes(4 << 20)}, stored=False)
    assert path.stat().st_size < 10_000
    with pytest.raises(WeightsError, match="is damaged"):
        read_state_dict(path)


def test_a_pickle_longer_than_its_file_is_not_read(path):
    archive(path, b"\x80\x02cnowhere\nNet\n)\x81" + b"0N" * (4 << 20) + b".", stored=False)
    with pytest.raises(WeightsError, match="is longer than any network needs"):
        read_state_dict(path)


def test_operations_by_which_a_small_file_asks_for_memory(path):
    net = b"\x80\x02cnowhere\nNet\n)\x81"
    for code, what in (
        (net + b"r\xff\xff\xff\xff.", "numbers more objects than it has bytes"),  # LONG_BINPUT
        (net + b"p4000000000\n.", "numbers more objects than it has bytes"),  # PUT
        (net + b"X\xff\xff\xff\x7f.", "is damaged"),  # a string of two gigabytes
        (net + b"\x8e" + b"\xff" * 7 + b"\x7f.", "is damaged"),  # bytes of eight exabytes
        (net + b"\x82\x01.", "was refused"),  # an extension's code
        (b"\x80\x02(cnowhere\nNet\no.", "was refused"),  # OBJ
        (b"(inowhere\nNet\n.", "neither a PyTorch checkpoint|was refused"),  # INST
    ):
        archive(path, code)
        with pytest.raises(WeightsError, match=what):
            read_state_dict(path)


def test_modules_that_contain_each_other(path):
    children = b"}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00u"  # twice the module itself
    code = b"\x80\x02cnowhere\nNet\n)\x81q\x00}X\x08\x00\x00\x00_modules" + children + b"sb."
    archive(path, code)
    with pytest.raises(WeightsError, match="its modules contain each other"):
        read_state_dict(path)


def test_modules_that_are_reached_by_too_many_ways(path):
    """Twenty modules, each of which holds the next one twice: a million names."""
    code = b"\x80\x02cnowhere\nNet\n)\x81q\x00"
    for level in range(1, 21):
        inner = b"h" + bytes([level - 1])
        children = b"}(X\x01\x00\x00\x00a" + inner + b"X\x01\x00\x00\x00b" + inner + b"u"
        code += b"0cnowhere\nNet\n)\x81}X\x08\x00\x00\x00_modules" + children + b"sbq" + bytes([level])
    archive(path, code + b".")
    with pytest.raises(WeightsError, match="its modules contain each other"):
        read_state_dict(path)
