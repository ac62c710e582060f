"""A table for each known layout: a tree, and the splits that are read from it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from data.layouts.trees import EMPTY, MASK, PART, evaluated_on, mask, plant, trained_on
from flawmap.data.layouts import LAYOUTS, DatasetError, open_dataset
from flawmap.evaluation.ground_truth import sample_mask
from flawmap.training.config import TrainConfig

Rows = list[tuple[str, list[str], list[str]]]


def check(root, names, layout, train, test):
    plant(root, dict.fromkeys(names.split(), PART) if isinstance(names, str) else names)
    dataset = open_dataset(root)
    assert dataset.layout == layout
    assert trained_on(dataset) == train.split()
    assert evaluated_on(dataset) == test
    return dataset


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        pytest.param(
            "train/good/cam1/1.png train/good/2.png test/crack/1.png test/crack/cam1/1.png "
            "ground_truth/crack/1_mask.png ground_truth/crack/cam1/1_mask.png",
            "train/good/2.png train/good/cam1/1.png",
            [
                "test/crack/1.png crack ground_truth/crack/1_mask.png",
                "test/crack/cam1/1.png crack ground_truth/crack/cam1/1_mask.png",
            ],
            id="nested",
        ),
        pytest.param(
            "train/ok/0.bmp test/ok/1.bmp test/ko/2.bmp ground_truth/ko/2.png",
            "train/ok/0.bmp",
            ["test/ok/1.bmp", "test/ko/2.bmp ko ground_truth/ko/2.png"],
            id="BTAD",
        ),
        pytest.param(
            "train/good/0.png test/good/1.png test/holes/2.png ground_truth/holes/2_mask.png",
            "train/good/0.png",
            ["test/good/1.png", "test/holes/2.png holes ground_truth/holes/2_mask.png"],
            id="MPDD",
        ),
        pytest.param(
            "Train/NORMAL/0.PNG Test/Normal/1.PNG Test/Abnormal/2.PNG Test/Abnormal/2_mask.PNG",
            "Train/NORMAL/0.PNG",
            ["Test/Normal/1.PNG", "Test/Abnormal/2.PNG Abnormal Test/Abnormal/2_mask.PNG"],
            id="normal and abnormal, mask beside",
        ),
        pytest.param(
            "train/defect-free/0.png val/OK/1.png test/i.O./2.png test/NOK/3.png",
            "train/defect-free/0.png val/OK/1.png",
            ["test/i.O./2.png", "test/NOK/3.png NOK"],
            id="validation, i.O. and NOK",
        ),
        pytest.param(
            "train/good/rgb/0.png train/good/xyz/0.tiff test/cut/rgb/1.png test/cut/xyz/1.tiff "
            "test/cut/gt/1.png",
            "train/good/rgb/0.png",
            ["test/cut/rgb/1.png cut test/cut/gt/1.png"],
            id="MVTec 3D-AD",
        ),
        pytest.param(
            "train/good/0.png test/cut/1.png test/cut/masks/1.png",
            "train/good/0.png",
            ["test/cut/1.png cut test/cut/masks/1.png"],
            id="masks below their images",
        ),
    ],
)
def test_mvtec_and_its_peers(tmp_path, names, train, test):
    check(tmp_path, names, "mvtec", train, test)


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        ("ok/1.png ko/2.png", "ok/1.png", ["ok/1.png", "ko/2.png ko"]),
        ("OK/1.png NG/a/2.png NG/3.png", "OK/1.png", ["OK/1.png", "NG/3.png NG", "NG/a/2.png a"]),
        (
            "normal/2025/05/1.png abnormal/2.png masks/2.png",
            "normal/2025/05/1.png",
            ["normal/2025/05/1.png", "abnormal/2.png abnormal masks/2.png"],
        ),
        (
            "good/1.png cut/cam1/2.png masks/cut/cam1/2_mask.png",
            "good/1.png",
            ["good/1.png", "cut/cam1/2.png cut masks/cut/cam1/2_mask.png"],
        ),
        (
            "good/1.png cut/2.png cut/2_mask_1.png cut/2_mask_2.png",
            "good/1.png",
            ["good/1.png", "cut/2.png cut cut/2_mask_1.png cut/2_mask_2.png"],
        ),
        (
            "good/1.png cut/2.png masks/cut/2.png marked/2_overlay.png marked/2_mask.png "
            "marked/2_map.npy run/manifest.json run/model.onnx run/region-1.png",
            "good/1.png",
            ["good/1.png", "cut/2.png cut masks/cut/2.png"],
        ),
        ("ok/1.png ko/2025/05/2.png", "ok/1.png", ["ok/1.png", "ko/2025/05/2.png ko"]),
        (
            "good/1.png cut/2.png labels/2.png",
            "good/1.png",
            ["good/1.png", "cut/2.png cut labels/2.png"],
        ),
        (
            "good/1.png label/2.png",  # a type of that name
            "good/1.png",
            ["good/1.png", "label/2.png label"],
        ),
        (
            "good/1.png cut/2.png cut/2_defect_mask.png",
            "good/1.png",
            ["good/1.png", "cut/2.png cut cut/2_defect_mask.png"],
        ),
    ],
)
def test_plain_folder_and_its_spellings(tmp_path, names, train, test):
    check(tmp_path, names, "folder", train, test)


def test_what_lies_beside_the_good_images_is_told(tmp_path):
    dataset = check(
        tmp_path,
        "train/good/0.png train/cut/1.png train/good/0_mask.png test/good/2.png test/3.png",
        "mvtec",
        "train/good/0.png",
        ["test/good/2.png"],
    )
    notes = "\n".join(dataset.notes)
    assert "1 image left out" in notes
    assert "training takes good alone" in notes
    assert "1 image directly in" in notes
    assert dataset.left_out[-1:] == (
        f"1 mask of other images left out, such as {tmp_path / 'train/good/0_mask.png'}; "
        "rename those that show a part",
    )


# --- MVTec LOCO AD, AutoVI, MVTec AD 2


def loco(kind):
    return {
        "train/good/000.png": PART,
        "validation/good/000.png": PART,
        "test/good/000.png": PART,
        f"test/{kind}/000.png": PART,
        f"test/{kind}/001.png": PART,
        f"ground_truth/{kind}/000/000.png": mask(0),
        f"ground_truth/{kind}/000/001.png": mask(3, 4, value=250),
        f"ground_truth/{kind}/001/000.png": mask(7),
        "defects_config.json": "[]",
    }


@pytest.mark.parametrize(
    ("kind", "title"),
    [("logical_anomalies", "MVTec LOCO AD layout"), ("blue_hoop", "AutoVI layout")],
)
def test_a_folder_of_masks_an_image(tmp_path, kind, title):
    dataset = check(
        tmp_path,
        loco(kind),
        "mvtec_loco",
        "train/good/000.png validation/good/000.png",
        [
            "test/good/000.png",
            f"test/{kind}/000.png {kind} ground_truth/{kind}/000",
            f"test/{kind}/001.png {kind} ground_truth/{kind}/001",
        ],
    )
    assert dataset.title == title
    assert "1 good image in validation, used as those in train" in dataset.notes[0]
    marked = sample_mask(dataset.test[1], (8, 8), (8, 8))
    assert marked is not None
    assert np.flatnonzero(marked.any(1)).tolist() == [0, 3, 4]


def test_mvtec_ad_2(tmp_path):
    dataset = check(
        tmp_path,
        "train/good/000_regular.png validation/good/000_regular.png "
        "test_public/good/000_regular.png test_public/bad/000_regular.png "
        "test_public/ground_truth/bad/000_regular_mask.png test_private/000_regular.png "
        "test_private_mixed/000_mixed.png",
        "mvtec_ad_2",
        "train/good/000_regular.png validation/good/000_regular.png",
        [
            "test_public/good/000_regular.png",
            "test_public/bad/000_regular.png bad test_public/ground_truth/bad/000_regular_mask.png",
        ],
    )
    assert "2 images left out" in dataset.notes[1]
    assert "no labels" in dataset.notes[1]


# --- VisA


VISA = {
    **{f"candle/Data/Images/Normal/{n:04d}.JPG": PART for n in range(12)},
    "candle/Data/Images/Anomaly/000.JPG": PART,
    "candle/Data/Masks/Anomaly/000.png": MASK,
    "candle/image_anno.csv": "image,label,mask\n",
}
SPLIT = """object,split,label,image,mask
candle,train,normal,candle/Data/Images/Normal/0000.JPG,
candle,test,normal,candle/Data/Images/Normal/0001.JPG,
candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png
candle,test,normal,candle/Data/Images/Normal/9999.JPG,
cashew,train,normal,cashew/Data/Images/Normal/000.JPG,
"""
ANOMALY = "Data/Images/Anomaly/000.JPG anomaly Data/Masks/Anomaly/000.png"


def test_visa_by_its_table(tmp_path):
    plant(tmp_path, VISA | {"split_csv/1cls.csv": "\ufeff" + SPLIT})
    dataset = check(
        tmp_path / "candle", "", "visa", "Data/Images/Normal/0000.JPG",
        ["Data/Images/Normal/0001.JPG", ANOMALY],
    )  # fmt: skip
    assert dataset.notes[0].startswith("1 file named in 1cls.csv not there and left out, such as")


def test_visa_without_its_table(tmp_path):
    plant(tmp_path, VISA)
    dataset = open_dataset(tmp_path / "candle")
    assert (len(dataset.train), len(dataset.good_test)) == (11, 1)
    assert evaluated_on(dataset) == ["Data/Images/Normal/0009.JPG", ANOMALY]
    assert "every tenth normal image is for the test" in dataset.notes[0]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("object,split\ncandle,train\n", "column label is missing"),
        (SPLIT.replace("candle/Data/Images/Normal/0001", "../../etc/0001"), "names ../../etc"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path, table, why):
    plant(tmp_path, VISA | {"split_csv/1cls.csv": table})
    with pytest.raises(DatasetError, match=rf"1cls\.csv: .*{why}"):
        open_dataset(tmp_path / "candle")


def test_a_folder_of_products_names_them(tmp_path):
    plant(tmp_path, VISA | {"split_csv/1cls.csv": SPLIT})
    shutil.copytree(tmp_path / "candle", tmp_path / "cashew")
    with pytest.raises(DatasetError, match=r"choose one: .*candle, .*cashew"):
        open_dataset(tmp_path)


# --- Real-IAD


def real_iad(product, **more):
    def row(path, kind="OK", mask_path=None):
        return {
            "category": product, "anomaly_class": kind, "image_path": path, "mask_path": mask_path,
        }  # fmt: skip

    table = {
        "meta": {"pre_transform": [], "normal_class": "OK", "prefix": f"{product}/"},
        "train": [row("OK/S0001/1_OK_C1.jpg"), row("NG/AK/S0009/9_NG_C1.jpg", "AK")],
        "test": [
            row("OK/S0002/2_OK_C1.jpg"),
            row("NG/AK/S0001/1_NG_C1.jpg", "AK", "NG/AK/S0001/1_NG_C1.png"),
            row("NG/AK/S0001/1_NG_C2.jpg"),
        ],
    }
    names = [r["image_path"] for split in ("train", "test") for r in table[split]]
    images = {f"realiad_1024/{product}/{name}": PART for name in names}
    images[f"realiad_1024/{product}/NG/AK/S0001/1_NG_C1.png"] = MASK
    return images | {f"realiad_jsons/{product}.json": json.dumps(table | more)}


def test_real_iad(tmp_path):
    plant(tmp_path, real_iad("usb"))
    dataset = check(
        tmp_path / "realiad_1024/usb", "", "real_iad", "OK/S0001/1_OK_C1.jpg",
        [
            "OK/S0002/2_OK_C1.jpg",
            "NG/AK/S0001/1_NG_C1.jpg AK NG/AK/S0001/1_NG_C1.png",
            "NG/AK/S0001/1_NG_C2.jpg",
        ],
    )  # fmt: skip
    assert dataset.notes == ("1 defective image in the train split left out",)


def test_real_iad_without_or_with_another_table(tmp_path):
    plant(tmp_path, real_iad("usb", train=3))
    with pytest.raises(DatasetError, match=r"usb\.json: not in Real-IAD's format"):
        open_dataset(tmp_path / "realiad_1024/usb")
    shutil.rmtree(tmp_path / "realiad_jsons")
    assert open_dataset(tmp_path / "realiad_1024/usb").layout == "folder"


# --- DAGM, KolektorSDD


def test_dagm(tmp_path):
    names = "Train/0576.PNG Train/0577.PNG Test/0001.PNG Test/0002.PNG"
    tree = dict.fromkeys(names.split(), PART) | {
        "Train/Label/0577_label.PNG": MASK,
        "Train/Label/Labels.txt": "1\n",
        "Test/Label/0002_label.PNG": MASK,
    }
    dataset = check(
        tmp_path, tree, "dagm", "Train/0576.PNG",
        ["Test/0001.PNG", "Test/0002.PNG defect Test/Label/0002_label.PNG"],
    )  # fmt: skip
    assert dataset.notes == ("1 defective image in Train left out",)


def test_dagm_root_names_its_classes(tmp_path):
    for number in (2, 10):
        plant(tmp_path / f"Class{number}", "Train/1.PNG Test/2.PNG Test/Label/2_label.PNG")
    with pytest.raises(DatasetError, match=r"choose one: .*Class2, .*Class10"):
        open_dataset(tmp_path)


def test_kolektor_sdd2_tells_of_images_without_ground_truth(tmp_path):
    tree = {
        "train/1.png": PART, "train/1_GT.png": EMPTY, "train/2.png": PART,
        "test/3.png": PART, "test/3_GT.png": MASK, "test/4.png": PART,
    }  # fmt: skip
    dataset = check(
        tmp_path, tree, "kolektor_sdd2", "train/1.png", ["test/3.png defect test/3_GT.png"]
    )
    assert dataset.notes == (
        f"2 images without label left out, such as {tmp_path / 'train/2.png'}: add NAME_GT.png, "
        "black all over for a good part",
    )


def test_kolektor_sdd2_with_good_images_alone_to_train_on(tmp_path):
    tree = {"train/1.png": PART, "test/3.png": PART, "test/3_GT.png": MASK}
    dataset = check(
        tmp_path, tree, "kolektor_sdd2", "train/1.png", ["test/3.png defect test/3_GT.png"]
    )
    assert dataset.notes == ("no ground truth in train: its 1 image count as good",)


def test_kolektor_sdd_items_that_share_images_in_a_chain_stay_together(tmp_path):
    """kos01 and kos02 share nothing, but both share an image with kos03."""
    tree = {}
    for item, names in (("kos01", "ab"), ("kos02", "cd"), ("kos03", "ac"), ("kos04", "ef")):
        for number, name in enumerate(names):
            tree[f"{item}/Part{number}.jpg"] = np.full((4, 4), ord(name), np.uint8)
            tree[f"{item}/Part{number}_label.bmp"] = EMPTY
    dataset = open_dataset(plant(tmp_path, tree))
    assert {path.parent.name for path in dataset.good_train} == {"kos01", "kos02", "kos03"}
    assert {sample.path.parent.name for sample in dataset.test} == {"kos04"}


# --- none of them


def test_what_was_found_and_what_was_expected_is_said(tmp_path):
    plant(tmp_path, "pictures/monday/1.png pictures/monday/2.png pictures/3.png other/x.gif")
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    said = str(caught.value)
    assert "pictures with 1 image, pictures/monday with 2 images" in said
    assert "train/good, test/TYPE" in said
    assert len(said.splitlines()) == 3  # the last says what is left out
    with pytest.raises(DatasetError, match=r"Expected for visa: PRODUCT/Data/Images/Normal"):
        open_dataset(tmp_path, "visa")


def test_the_command_line_names_every_layout():
    said = str(TrainConfig.model_fields["layout"].description)
    assert all(name in said for name in LAYOUTS)
