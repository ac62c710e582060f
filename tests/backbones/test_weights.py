from __future__ import annotations

import hashlib
import http.client
import io
import urllib.error
import urllib.request
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.backbones import weights
from flawmap.backbones.registry import load_backbone
from flawmap.backbones.resnet import Architecture, ResNetStudent
from flawmap.backbones.weights import TEACHERS, cache_folder, fold_batch_norm, load_teacher
from flawmap.errors import FlawmapError, UsageError
from flawmap.training.distillation.network import small_network

WIDTHS = (8, 12, 16)


# --- torchvision's ResNet-18, stages 1-3, written again with its norms


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        short = self.downsample(x) if hasattr(self, "downsample") else x
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + short).relu()


class TorchvisionResNet(nn.Module):
    def __init__(self, widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        w1, w2, w3 = widths
        self.conv1 = nn.Conv2d(3, w1, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(w1)
        self.layer1 = nn.Sequential(Block(w1, w1, 1), Block(w1, w1, 1))
        self.layer2 = nn.Sequential(Block(w1, w2, 2), Block(w2, w2, 1))
        self.layer3 = nn.Sequential(Block(w2, w3, 2), Block(w3, w3, 1))
        self.layer4 = nn.Sequential(Block(w3, 2 * w3, 2))
        self.fc = nn.Linear(2 * w3, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        first = self.layer1(x)
        second = self.layer2(first)
        return first, second, self.layer3(second)


@pytest.fixture
def network() -> TorchvisionResNet:
    torch.manual_seed(0)
    network = TorchvisionResNet()
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight, 1, 0.3)
        nn.init.normal_(norm.bias, 0, 0.3)
        nn.init.normal_(norm.running_mean, 0, 0.5)
        nn.init.uniform_(norm.running_var, 0.01, 3)
    return network.eval()


@pytest.fixture
def saved(network: TorchvisionResNet, tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    save_file(network.state_dict(), path)
    return path


def test_folded_equals_unfolded(network: TorchvisionResNet, saved: Path):
    teacher, source = load_teacher(saved)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        for found, expected in zip(teacher(x), network(x), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert teacher.channels == WIDTHS
    assert (source.name, source.file) == ("mine", "mine.safetensors")
    assert source.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()


def test_folding_twice_is_folding_once(network: TorchvisionResNet):
    once = fold_batch_norm(network.state_dict())
    twice = fold_batch_norm(once)
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[k], twice[k]) for k in once)
    assert not any("bn" in k or k.startswith(("layer4", "fc")) for k in once)


def test_folded_layout_loads(network: TorchvisionResNet, saved: Path, tmp_path: Path):
    save_file(fold_batch_norm(network.state_dict()), tmp_path / "folded.safetensors")
    x = torch.randn(1, 3, 32, 32)
    a, b = load_teacher(saved)[0](x), load_teacher(tmp_path / "folded.safetensors")[0](x)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture((16, 32, 64), (8, 16, 32), (3, 4, 6), stem=8),
        Architecture((8, 12, 16), None, (3, 4, 6), stem=8),
    ],
    ids=["bottlenecks", "34 layers"],
)
def test_other_resnets_load_in_torchvisions_layout(architecture: Architecture, tmp_path: Path):
    torch.manual_seed(0)
    network = ResNetStudent(architecture, zero_last_norm=False)
    with torch.no_grad():
        for _ in range(3):  # running statistics
            network(torch.randn(4, 3, 64, 64))
    save_file(network.eval().state_dict(), tmp_path / "resnet.safetensors")
    teacher, _ = load_teacher(tmp_path / "resnet.safetensors")
    assert teacher.architecture == architecture
    x = torch.randn(2, 3, 64, 64)
    for found, expected in zip(teacher(x), network(x), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_what_distillation_saves_loads(tmp_path: Path):
    """Norms folded, half precision; the teacher reads it as float32."""
    trained = small_network().eval()
    folded = fold_batch_norm(trained.state_dict())
    save_file({k: v.half() for k, v in folded.items()}, tmp_path / "pocket.safetensors")
    teacher, _ = load_teacher(tmp_path / "pocket.safetensors")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for found, expected in zip(teacher(x), trained(x), strict=True):
        assert found.dtype == torch.float32
        assert F.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.999


# --- where the weights come from


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights folder, an empty cache, and a network that refuses."""
    monkeypatch.delenv("FLAWMAP_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def refuse(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return tmp_path


def put(folder: Path, mark: float, name: str = "resnet18_x.safetensors") -> str:
    """A teacher whose first bias is ``mark``; its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    state = fold_batch_norm(TorchvisionResNet().state_dict())
    state["conv1.bias"][0] = mark
    save_file(state, folder / name)
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_weights_folder_comes_before_the_cache(nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    in_cache = put(cache_folder(), 1)
    assert load_teacher("resnet18")[1].sha256 == in_cache
    in_folder = put(nowhere / "weights", 2)
    monkeypatch.setenv("FLAWMAP_WEIGHTS", str(nowhere / "weights"))
    teacher, source = load_teacher("resnet18")
    assert source.sha256 == in_folder
    assert source.name == "resnet18"
    assert teacher.conv1.bias[0] == 2


def test_a_file_comes_before_all(nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLAWMAP_WEIGHTS", str(nowhere / "weights"))
    put(nowhere / "weights", 2)
    given = put(nowhere / "given", 3, "own.safetensors")
    assert load_teacher(nowhere / "given" / "own.safetensors")[1].sha256 == given


def test_a_file_that_only_bears_the_name_is_told(nowhere: Path, caplog, monkeypatch):
    digest = put(cache_folder(), 1)
    load_teacher("resnet18")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "resnet18_x.safetensors is loaded as resnet18 because of its name" in caplog.text
    caplog.clear()
    known = weights.KnownTeacher("resnet18", sha256="00", converted=(digest,))
    monkeypatch.setitem(TEACHERS, "resnet18", known)
    load_teacher("resnet18")
    assert not caplog.records


def test_a_digest_that_is_known_in_part_is_told(download: bytes, caplog, monkeypatch):
    known = TEACHERS["resnet18"]
    short = weights.KnownTeacher("resnet18", known.url, str(known.sha256)[:8])
    monkeypatch.setitem(TEACHERS, "resnet18", short)
    load_teacher("resnet18")
    assert "only" in caplog.text
    assert "of its SHA-256 is published" in caplog.text


def test_a_user_without_a_home_folder_is_told(nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    """As in a container whose user has a number and no name."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.setenv("FLAWMAP_WEIGHTS", str(nowhere / "weights"))
    with pytest.raises(FlawmapError, match="set HOME, or XDG_CACHE_HOME"):
        load_teacher("resnet18")
    digest = put(nowhere / "weights", 1)
    assert load_teacher("resnet18")[1].sha256 == digest


def test_empty_weights_folder_falls_through(nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    (nowhere / "weights").mkdir()
    monkeypatch.setenv("FLAWMAP_WEIGHTS", str(nowhere / "weights"))
    in_cache = put(cache_folder(), 1)
    assert load_teacher("resnet18")[1].sha256 == in_cache


def test_no_answer_names_all_four_places(nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLAWMAP_WEIGHTS", str(nowhere / "weights"))
    with pytest.raises(FlawmapError) as caught:
        load_teacher("resnet18")
    message = str(caught.value)
    for place in ("--teacher", str(nowhere / "weights"), str(cache_folder()), "download", "pocket"):
        assert place in message
    assert "no route to host" in message


class Answer(io.BytesIO):
    """What ``urlopen`` gives; ``cut`` breaks off as a lost connection does."""

    def __init__(self, data: bytes, cut: bool = False) -> None:
        super().__init__(data)
        self.cut = cut

    def read(self, *args: int) -> bytes:
        data = super().read(*args)
        if self.cut:
            raise http.client.IncompleteRead(data, 10)
        return data


@pytest.fixture
def download(nowhere: Path, network: TorchvisionResNet, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The network answers with a legacy archive, whose digest is the known one."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    known = weights.KnownTeacher("resnet18", "https://x.test/resnet18-1.pth", digest)
    monkeypatch.setitem(TEACHERS, "resnet18", known)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: Answer(data))
    return data


def test_download_is_checked_and_kept(download: bytes, monkeypatch: pytest.MonkeyPatch):
    teacher, source = load_teacher("resnet18")
    assert source.sha256 == TEACHERS["resnet18"].sha256
    assert [p.name for p in cache_folder().iterdir()] == ["resnet18-1.pth"]
    monkeypatch.setattr(urllib.request, "urlopen", None)
    again, _ = load_teacher("resnet18")
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(teacher(x)[2], again(x)[2])


def test_wrong_download_is_refused_and_not_kept(download: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: Answer(download + b"x"))
    with pytest.raises(FlawmapError, match="refused"):
        load_teacher("resnet18")
    assert not list(cache_folder().glob("*"))


def test_download_cut_off(download: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: Answer(download, cut=True))
    with pytest.raises(FlawmapError, match="download failed"):
        load_teacher("resnet18")
    assert not list(cache_folder().glob("*"))


def test_a_cache_that_cannot_be_written_is_done_without(
    download: bytes, nowhere: Path, monkeypatch: pytest.MonkeyPatch
):
    (nowhere / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "file"))
    assert load_teacher("resnet18")[0].channels == WIDTHS


def test_unknown_legacy_archive_is_refused_before_it_is_opened(
    network: TorchvisionResNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(FlawmapError, match=r"mine\.pth: refused.*safetensors"):
        load_teacher(tmp_path / "mine.pth")


def test_legacy_archives_are_read_as_data_only(download: bytes, monkeypatch: pytest.MonkeyPatch):
    seen = {}
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda f, **k: (seen.update(k), load(f, **k))[1])
    load_teacher("resnet18")
    assert seen["weights_only"] is True


def test_unknown_name():
    with pytest.raises(UsageError, match="resnet18, wide_resnet50_2, pocket"):
        load_backbone("resnet19")


# --- files that are not a teacher


def truncated(path: Path, network: TorchvisionResNet) -> None:
    save_file(network.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path, network: TorchvisionResNet) -> None:
    path.write_bytes(b"")


def text(path: Path, network: TorchvisionResNet) -> None:
    path.write_text("<html>404: Not Found</html>" * 20)


def another_network(path: Path, network: TorchvisionResNet) -> None:
    save_file({"encoder.weight": torch.zeros(3, 3)}, path)


def lacks_a_layer(path: Path, network: TorchvisionResNet) -> None:
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("layer3.1")}
    save_file(state, path)


def lacks_a_norms_part(path: Path, network: TorchvisionResNet) -> None:
    state = {k: v for k, v in network.state_dict().items() if k != "layer1.0.bn1.bias"}
    save_file(state, path)


def norm_of_another_width(path: Path, network: TorchvisionResNet) -> None:
    save_file(network.state_dict() | {"bn1.weight": torch.ones(3)}, path)


def deeper_blocks(path: Path, network: TorchvisionResNet) -> None:
    extra = {"layer1.0.conv3.weight": torch.zeros(32, 8, 1, 1)}
    save_file(fold_batch_norm(network.state_dict()) | extra, path)


def convolution_of_another_rank(path: Path, network: TorchvisionResNet) -> None:
    save_file(network.state_dict() | {"layer2.0.conv1.weight": torch.zeros(12, 8)}, path)


@pytest.mark.parametrize(
    "spoil",
    [
        truncated,
        empty,
        text,
        another_network,
        lacks_a_layer,
        lacks_a_norms_part,
        norm_of_another_width,
        deeper_blocks,
        convolution_of_another_rank,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_foreign_file_is_one_clear_line(spoil, network: TorchvisionResNet, tmp_path: Path):
    path = tmp_path / "odd.safetensors"
    spoil(path, network)
    with pytest.raises(FlawmapError, match=r"odd\.safetensors: not a ") as caught:
        load_teacher(path)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_named(network: TorchvisionResNet, tmp_path: Path):
    lacks_a_layer(tmp_path / "odd.safetensors", network)
    with pytest.raises(FlawmapError, match=r"layer3\.1"):
        load_teacher(tmp_path / "odd.safetensors")


# --- the teachers that have a name


def test_pocket_is_shipped_and_small(nowhere: Path):
    file = resources.files("flawmap.backbones") / "pocket.safetensors"
    data = file.read_bytes()
    assert len(data) <= 3e6
    teacher, source = load_teacher("pocket")
    assert teacher.channels == (32, 64, 128)
    assert source.sha256 == hashlib.sha256(data).hexdigest()
    assert all(torch.isfinite(p).all() for p in teacher.parameters())


def test_pocket_tells_pictures_apart(nowhere: Path):
    teacher, _ = load_teacher("pocket")
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    x[1] = F.avg_pool2d(x[1:2], 9, 1, 4)[0] * 5
    x[2] = torch.linspace(-2, 2, 64)
    x[3] = x[2].mT
    for stage in teacher(x):
        unit = F.normalize(stage.flatten(1), dim=1)
        assert (stage > 0).float().mean() > 0.05, "features are alive"
        assert (unit @ unit.T - torch.eye(4)).max() < 0.98


@pytest.mark.realdata
def test_resnet18_loads(nowhere: Path, shared_weights: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLAWMAP_WEIGHTS", str(shared_weights.parent))
    teacher, source = load_teacher("resnet18")
    assert teacher.channels == (64, 128, 256)
    assert source.file == shared_weights.name
    by_file, _ = load_teacher(shared_weights)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    means = [stage.mean().item() for stage in teacher(x)]
    np.testing.assert_array_equal(means, [stage.mean().item() for stage in by_file(x)])
    assert all(0.05 < mean < 5 for mean in means)
