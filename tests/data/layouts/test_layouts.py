"""Dataset layouts: what is found, how it is labelled, and what is said where something is off."""

from __future__ import annotations

import os

import numpy as np
import pytest

from flawmap.data.image_io.images import encode_png
from flawmap.data.layouts import LAYOUTS, Dataset, DatasetError, Sample, open_dataset
from flawmap.data.listing.images import list_images
from flawmap.data.samples import natural_key
from flawmap.errors import FlawmapError, UsageError

PIXEL = encode_png(np.zeros((1, 1), np.uint8))


def fill(root, *names):
    """Make empty folders for names that end in a slash, images for the others."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(PIXEL)
    return root


def found(dataset: Dataset):
    """The test split as plain text: (image, label, defect type, mask)."""
    root = dataset.root
    return [
        (
            s.path.relative_to(root).as_posix(),
            s.label,
            s.defect_type,
            s.mask and s.mask.relative_to(root).as_posix(),
        )
        for s in dataset.test
    ]


def trained_on(dataset: Dataset):
    return [path.relative_to(dataset.root).as_posix() for path in dataset.good_train]


# --- KolektorSDD


def put_label(path, marked=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    label = np.zeros((3, 2), np.uint8)
    label[1, 1] = 255 * marked
    path.write_bytes(encode_png(label))


def kolektor(root, items, defective=()):
    """Items of two images each; ``defective`` names some of the images."""
    for number, item in enumerate(items):
        for part in ("Part0", "Part1"):
            name = f"{item}/{part}"
            fill(root, f"{name}.png")
            grey = np.full((2, 2), 9 * number + (part == "Part1"), np.uint8)
            (root / f"{name}.png").write_bytes(encode_png(grey))
            put_label(root / f"{name}_label.png", name in defective)
    return root


def test_kolektor_items_alternate_and_labels_come_from_masks(tmp_path):
    defective = ("kos01/Part1", "kos04/Part0")
    root = kolektor(tmp_path, ["kos01", "kos02", "kos03", "kos04"], defective)
    dataset = open_dataset(root)
    assert dataset.layout == "kolektor_sdd"
    assert trained_on(dataset) == ["kos01/Part0.png", "kos03/Part0.png", "kos03/Part1.png"]
    assert found(dataset) == [
        ("kos02/Part0.png", "good", None, None),
        ("kos02/Part1.png", "good", None, None),
        ("kos04/Part0.png", "defective", "crack", "kos04/Part0_label.png"),
        ("kos04/Part1.png", "good", None, None),
    ]
    assert "2 items to train on, 2 to test on; 1 defective image of the former" in dataset.notes[0]


def test_kolektor_twins_stay_on_one_side(tmp_path):
    root = kolektor(tmp_path, ["kos01", "kos02", "kos03", "kos04"])
    (root / "kos04/Part1.png").write_bytes((root / "kos01/Part1.png").read_bytes())
    dataset = open_dataset(root)
    assert {p.split("/")[0] for p in trained_on(dataset)} == {"kos01", "kos03", "kos04"}
    assert {name.split("/")[0] for name, *_ in found(dataset)} == {"kos02"}


def test_kolektor2(tmp_path):
    for name, marked in (("train/1", 0), ("train/2", 1), ("test/3", 1), ("test/4", 0)):
        fill(tmp_path, f"{name}.png")
        put_label(tmp_path / f"{name}_GT.png", bool(marked))
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "kolektor_sdd2"
    assert trained_on(dataset) == ["train/1.png"]
    assert found(dataset) == [
        ("test/3.png", "defective", "defect", "test/3_GT.png"),
        ("test/4.png", "good", None, None),
    ]
    assert dataset.notes == ("1 defective image in train left out",)


def test_damaged_label_is_named(tmp_path):
    root = kolektor(tmp_path, ["kos01", "kos02"])
    (root / "kos02/Part1_label.png").write_bytes(b"no image")
    with pytest.raises(FlawmapError, match=r"kos02.Part1_label\.png"):
        open_dataset(root)


@pytest.mark.realdata
def test_real_kolektor(shared_data):
    dataset = open_dataset(shared_data / "kolektor_sdd")
    items = [{s.path.parent.name for s in part} for part in (dataset.train, dataset.test)]
    assert not items[0] & items[1]
    for pair in ({"kos01", "kos26"}, {"kos27", "kos34"}):
        assert any(pair <= side for side in items)
    defective = len(dataset.defective_test)
    assert (len(dataset.train), len(dataset.good_test), defective) == (173, 174, 26)
    assert dataset.mask_count == defective


# --- MVTec AD


def mvtec(root):
    return fill(
        root,
        "train/good/10.png",
        "train/good/9.png",
        "test/good/0.png",
        "test/scratch/000.png",
        "test/scratch/001.png",
        "test/dent/000.png",
        "ground_truth/scratch/000_mask.png",
        "ground_truth/scratch/001_mask.png",
        "ground_truth/dent/000_mask.png",
    )


def test_mvtec(tmp_path):
    dataset = open_dataset(mvtec(tmp_path))
    assert dataset.layout == "mvtec"
    assert trained_on(dataset) == ["train/good/9.png", "train/good/10.png"]
    assert found(dataset) == [
        ("test/good/0.png", "good", None, None),
        ("test/dent/000.png", "defective", "dent", "ground_truth/dent/000_mask.png"),
        ("test/scratch/000.png", "defective", "scratch", "ground_truth/scratch/000_mask.png"),
        ("test/scratch/001.png", "defective", "scratch", "ground_truth/scratch/001_mask.png"),
    ]
    assert dataset.notes == ()
    assert dataset.defect_types == ("dent", "scratch")
    assert dataset.describe() == (
        "MVTec AD layout: 2 good to train on; "
        "1 good and 3 defective (2 defect types) to test on, 3 masks"
    )


def test_mvtec_without_test(tmp_path):
    dataset = open_dataset(fill(tmp_path, "train/good/0.png"))
    assert dataset.test == ()
    assert dataset.describe() == ("MVTec AD layout: 1 good to train on; no others to test on")


def test_mvtec_notes_what_does_not_fit(tmp_path):
    root = mvtec(tmp_path)
    (root / "ground_truth/scratch/001_mask.png").rename(root / "ground_truth/scratch/7_mask.png")
    fill(root, "test/loose.png", "ground_truth/good/0_mask.png")
    dataset = open_dataset(root)
    assert len(dataset.test) == 4  # the image without mask counts as ever
    notes = "\n".join(dataset.notes)
    assert len(dataset.notes) == 3
    assert f"1 defective image without mask, such as {root / 'test/scratch/001.png'}" in notes
    assert "1 mask without defective image, such as" in notes
    assert f"1 image directly in {root / 'test'} without label" in notes


def test_label_never_depends_on_the_mask(tmp_path):
    """An empty mask (PIXEL is black) leaves a defective image defective."""
    dataset = open_dataset(mvtec(tmp_path))
    assert len(dataset.defective_test) == 3
    assert len(dataset.good_test) == 1


def test_mvtec_root_names_its_categories(tmp_path):
    mvtec(tmp_path / "screw")
    mvtec(tmp_path / "pill")
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    pill, screw = tmp_path / "pill", tmp_path / "screw"
    assert f"choose one: {pill}, {screw}" in str(caught.value)


def test_folder_names_in_capitals(tmp_path):
    dataset = open_dataset(fill(tmp_path, "Train/GOOD/a.PNG", "Test/Good/b.Jpg", "TEST2/x.png"))
    assert (len(dataset.train), len(dataset.good_test)) == (1, 1)


# --- plain folder


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["good/a.png"], [], id="good only"),
        pytest.param(["a.png"], [], id="images alone"),
        pytest.param(["good/monday/a.png"], [], id="good in subfolders"),
        pytest.param(
            ["good/a.png", "defective/b.png", "masks/b.png"],
            [("defective/b.png", "defective", "masks/b.png")],
            id="defective",
        ),
        pytest.param(
            ["good/a.png", "defective/b.jpg", "masks/b_mask.png"],
            [("defective/b.jpg", "defective", "masks/b_mask.png")],
            id="name_mask, other suffix",
        ),
        pytest.param(
            ["good/a.png", "defective/b.png", "masks/defective/b.png"],
            [("defective/b.png", "defective", "masks/defective/b.png")],
            id="masks mirror defective",
        ),
        pytest.param(
            ["good/a.png", "defective/cut/1.png", "defective/dent/1.png", "masks/cut/1.png"],
            [
                ("defective/cut/1.png", "cut", "masks/cut/1.png"),
                ("defective/dent/1.png", "dent", None),
            ],
            id="types in defective",
        ),
        pytest.param(
            ["good/a.png", "defective/cut/1.png", "masks/defective/cut/1_mask.png"],
            [("defective/cut/1.png", "cut", "masks/defective/cut/1_mask.png")],
            id="masks mirror defective and type",
        ),
        pytest.param(
            ["good/a.png", "cut/1.png", "dent/2.png", "masks/1.png", "masks/dent/2.png"],
            [("cut/1.png", "cut", "masks/1.png"), ("dent/2.png", "dent", "masks/dent/2.png")],
            id="types beside good",
        ),
        pytest.param(
            ["good/a.png", "cut/1.png", "dent/1.png", "masks/1.png"],
            [("cut/1.png", "cut", None), ("dent/1.png", "dent", None)],
            id="one mask for two images belongs to neither",
        ),
        pytest.param(
            ["good/a.png", "defective/1.png", "masks/1.png", "masks/1_mask.png"],
            [("defective/1.png", "defective", "masks/1_mask.png")],
            id="name_mask before name",
        ),
        pytest.param(
            ["good/a.png", "defective/1.png", "masks/good/1.png"],
            [("defective/1.png", "defective", None)],
            id="mask of a good image is not taken",
        ),
    ],
)
def test_plain_folder(tmp_path, names, expected):
    dataset = open_dataset(fill(tmp_path, *names))
    assert dataset.layout == "folder"
    assert len(dataset.train) == 1
    good, *defective = found(dataset)
    assert good == (trained_on(dataset)[0], "good", None, None)
    assert defective == [(path, "defective", kind, mask) for path, kind, mask in expected]


def test_plain_folder_describes_itself(tmp_path):
    root = fill(tmp_path, "good/a.png", "good/b.png", "cut/1.png", "dent/1.png", "masks/cut/1.png")
    assert open_dataset(root).describe() == (
        "plain folder: 2 good to train on; 2 defective (2 defect types) to test on, 1 mask "
        "(the good ones serve both)"
    )
    assert open_dataset(root / "good").describe() == (
        "plain folder: 2 good to train on; no others to test on"
    )


def test_plain_folder_notes_what_it_leaves_out(tmp_path):
    root = fill(tmp_path, "good/a.png", "defective/b.png", "loose.png", "other/c.png", "empty/")
    notes = open_dataset(root).notes
    assert notes == (
        "no masks: pixel metrics need them",
        f"1 image directly in {root} without label, left out; put them in good/ or in a folder for "
        "each defect type",
        f"1 image left out, such as {root / 'other' / 'c.png'}: the defective images lie in "
        "defective/",
    )


def test_what_is_not_an_image_is_ignored(tmp_path):
    root = fill(
        tmp_path, "good/a.png", "good/Thumbs.db", "good/.hidden.png", "good/notes.txt",
        "__MACOSX/a.png", ".cache/b.png", "good/folder.png/",
    )  # fmt: skip
    dataset = open_dataset(root)
    assert trained_on(dataset) == ["good/a.png"]
    assert dataset.defect_types == ()


def test_dangling_link_is_listed_so_that_reading_it_can_say_so(tmp_path):
    fill(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    assert [p.name for p in list_images(tmp_path)] == ["a.png", "b.png"]


def test_loop_of_links_ends(tmp_path):
    root = fill(tmp_path, "good/a.png")
    for place in (root, root / "good"):
        (place / "again").symlink_to(root, target_is_directory=True)
    assert trained_on(open_dataset(root)) == ["good/a.png"]
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert trained_on(open_dataset(root)) == ["good/a.png"]


# --- which layout, and none


def test_layout_can_be_chosen(tmp_path):
    root = fill(mvtec(tmp_path), "good/x.png")
    assert open_dataset(root).layout == "mvtec"
    assert open_dataset(root, "folder").layout == "folder"


def test_unknown_layout_lists_the_names(tmp_path):
    with pytest.raises(
        UsageError,
        match="unknown layout voc; choose one of auto, " + ", ".join(LAYOUTS),
    ):
        open_dataset(tmp_path, "voc")
    assert "mvtec" in LAYOUTS


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param([], "no images in it; put images of good parts in", id="empty"),
        pytest.param(["good/", "defective/"], "no images in it", id="empty folders"),
        pytest.param(
            ["defective/a.png"], r"no good images .*it holds: defective", id="defective only"
        ),
        pytest.param(
            ["good/", "cut/a.png"],
            r"no good images .*it holds: cut with 1 image\)",
            id="good empty",
        ),
        pytest.param(
            ["a.png", "cut/b.png"], r"it holds: 1 image, cut with 1 image\)", id="half sorted"
        ),
        pytest.param(["a.png", "b/c/d.png"], r"it holds: 1 image, b/c with 1 image\)", id="deeper"),
        pytest.param(["a.png", "defective/"], "no good images", id="images beside defective"),
        pytest.param(
            ["train/good/", "test/cut/a.png"],
            r"it holds: test/cut with 1 .*\); put .*train",
            id="mvtec",
        ),
    ],
)
@pytest.mark.parametrize("layout", ["auto", "folder"])
def test_folder_without_good_images(tmp_path, names, message, layout):
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset(fill(tmp_path, *names), layout)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_no_such_folder(tmp_path):
    with pytest.raises(DatasetError, match="parts: no such folder"):
        open_dataset(tmp_path / "parts")


def test_a_file_is_no_folder(tmp_path):
    fill(tmp_path, "a.png")
    with pytest.raises(DatasetError, match=r"a\.png: a file; give the folder"):
        open_dataset(str(tmp_path / "a.png"))


def test_folder_that_may_not_be_listed(tmp_path, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(FlawmapError, match=r"cannot be listed \(Permission denied\)"):
        open_dataset(tmp_path)


def test_order_is_natural_and_never_depends_on_the_file_system():
    names = ["b", "a10", "A2", "a2", "a", "10", "9", "a2b"]
    expected = ["9", "10", "a", "A2", "a2", "a2b", "a10", "b"]
    assert sorted(names, key=natural_key) == expected
    names.reverse()
    assert sorted(names, key=natural_key) == expected


def test_sample_is_good_without_more(tmp_path):
    sample = Sample(tmp_path / "a.png", "good")
    assert (sample.defect_type, sample.mask) == (None, None)


# --- real folders


@pytest.mark.realdata
def test_real_screw(shared_data):
    dataset = open_dataset(shared_data / "mvtec_ad_256/screw")
    assert dataset.describe() == (
        "MVTec AD layout: 320 good to train on; "
        "41 good and 119 defective (5 defect types) to test on, 119 masks"
    )
    assert dataset.notes == ()


@pytest.mark.realdata
def test_real_root_of_categories(shared_data):
    with pytest.raises(DatasetError, match=r"choose one: .*screw, .*toothbrush"):
        open_dataset(shared_data / "mvtec_ad_256")
