"""Trees that strangers have: no image is labelled wrongly, and what is left out is said."""

from __future__ import annotations

import json

import pytest

from data.layouts.trees import EMPTY, MASK, PART, evaluated_on, plant, trained_on
from flawmap.data.layouts import DatasetError, open_dataset
from flawmap.inspection.sources import list_images

PLAIN = "good/0.png good/1.png scratch/10.png scratch/11.png"


def labelled(root, names, masks=""):
    plant(root, names)
    return open_dataset(plant(root, dict.fromkeys(masks.split(), MASK)))


@pytest.mark.parametrize(
    "where",
    [
        "defect_masks/{}.png", "SegmentationClass/{}.png", "scratch_gt/{}.png", "bad_masks/{}.png",
        "Ground-Truth/scratch/{}.png", "truth/{}.png", "masks/{}_gt.png", "masks/{}.mask.png",
        "masks/{}_defect.png", "masks/{}.png.png", "masks/mask_{}.png", "masks/{}_GT.tif",
        "scratch/{}_defect.png", "scratch/{}_bw.png", "scratch/{}mask.png", "scratch/label/{}.png",
        "scratch/ann/{}.png", "scratch/gt/{}_mask.png",
    ],
)  # fmt: skip
def test_masks_of_any_name_are_masks_and_no_parts(tmp_path, where):
    dataset = labelled(tmp_path, PLAIN, where.format(10) + " " + where.format(11))
    assert evaluated_on(dataset)[2:] == [
        f"scratch/{n}.png scratch {where.format(n)}" for n in (10, 11)
    ]
    assert not any("defect" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "where", ["defect_masks/{}.png", "scratch/ann/{}.png", "scratch/{}_defect.png"]
)
def test_predict_leaves_the_same_masks_out(tmp_path, where):
    plant(tmp_path, PLAIN)
    plant(tmp_path, dict.fromkeys([where.format(10), where.format(11)], MASK))
    found = [target.path.relative_to(tmp_path).as_posix() for target in list_images(tmp_path)]
    assert found == PLAIN.split()


def test_masks_of_two_types_with_the_same_names(tmp_path):
    dataset = labelled(
        tmp_path, "good/0.png dent/1.png scratch/1.png", "dent_masks/1.png scratch_masks/1.png"
    )
    assert evaluated_on(dataset)[1:] == [
        "dent/1.png dent dent_masks/1.png",
        "scratch/1.png scratch scratch_masks/1.png",
    ]


def test_a_folder_of_photographs_is_none_of_masks_whatever_its_name(tmp_path):
    dataset = labelled(
        tmp_path, "good/0.png label_torn/1.png label/label_01.png label/label_02.png"
    )
    assert dataset.defect_types == ("label", "label_torn")
    assert len(dataset.defective_test) == 3


@pytest.mark.parametrize(
    ("names", "train", "test", "said"),
    [
        pytest.param(
            "good/0.png good/bad/1.png good/cam1/NG/2.png", "good/0.png", [],
            "2 images in a folder", id="defects below good",
        ),
        pytest.param(
            "good/0.png bad/1.png bad/good/2.png", "good/0.png", ["bad/1.png bad"],
            "1 image in a folder", id="good below bad",
        ),
        pytest.param(
            "train/good/0.png train/good/bad/1.png test/cut/2.png test/cut/ok/3.png",
            "train/good/0.png", ["test/cut/2.png cut"], "2 images in a folder", id="in MVTec",
        ),
        pytest.param(
            "good/0.png good2/1.png good_old/2.png unlabelled/3.png cut/4.png",
            "good/0.png good2/1.png", ["cut/4.png cut"], "2 images left out", id="says nothing",
        ),
        pytest.param(
            "train/good/0.png test/good_2/1.png test/cut/2.png test/normal_new/3.png",
            "train/good/0.png", ["test/good_2/1.png", "test/cut/2.png cut"], "1 image left out",
            id="says nothing, in MVTec",
        ),
        pytest.param("OK_0.png NG_0.png", "OK_0.png", [], "1 image whose name", id="by names"),
        pytest.param(
            "0_good/0.png 1_defect/1.png", "0_good/0.png", ["1_defect/1.png 1_defect"], "",
            id="numbered",
        ),
        pytest.param(
            "good/0.png defect1/1.png defect2/2.png hole/3.png", "good/0.png",
            ["defect1/1.png defect1", "defect2/2.png defect2", "hole/3.png hole"], "",
            id="numbered types beside another",
        ),
        pytest.param("gut/0.png Ausschuss/1.png", "gut/0.png", ["Ausschuss/1.png Ausschuss"], "",
            id="German"),
        pytest.param("良品/0.png 不良品/1.png", "良品/0.png", ["不良品/1.png 不良品"], "",
            id="Chinese"),
        pytest.param(
            "good/0.png test/good/1.png test/bad/2.png", "good/0.png",
            ["test/good/1.png", "test/bad/2.png bad"], "", id="good beside test",
        ),
        pytest.param(
            "train/good/0.png test/cut/1.png more/2.png 3.png", "train/good/0.png",
            ["test/cut/1.png cut"], "1 image left out", id="beside MVTec's folders",
        ),
    ],
)  # fmt: skip
def test_no_image_is_labelled_wrongly(tmp_path, names, train, test, said):
    dataset = labelled(tmp_path, names)
    assert trained_on(dataset) == train.split()
    defective = [line for line in evaluated_on(dataset) if line not in train.split()]
    assert defective == test
    told = "\n".join(dataset.left_out).replace("whose names say", "whose name says")
    assert said in told if said else not told


def test_masks_in_test_and_without_folders_of_types(tmp_path):
    dataset = labelled(tmp_path, "train/ok/0.png test/ok/1.png test/nok/2.png", "test/masks/2.png")
    assert evaluated_on(dataset)[1:] == ["test/nok/2.png nok test/masks/2.png"]
    dataset = labelled(
        tmp_path / "flat", "train/ok/0.png test/nok/2.png", "ground_truth/2_mask.png"
    )
    assert evaluated_on(dataset) == ["test/nok/2.png nok ground_truth/2_mask.png"]


def test_a_folder_of_defects_is_never_learned_from(tmp_path):
    plant(tmp_path, "defective/0.png defective/1.png")
    for root in (tmp_path, tmp_path / "defective"):
        with pytest.raises(DatasetError, match="no good images"):
            open_dataset(root)
        assert len(open_dataset(root, training=False).defective_test) == 2


def test_good_images_named_as_if_defective_are_told(tmp_path):
    dataset = labelled(tmp_path, "good/ok_0.png good/defect_1.png good/no_defect_2.png")
    assert len(dataset.train) == 3
    assert any("1 good image named as if defective" in note for note in dataset.notes)
    same = labelled(tmp_path / "same", "good/defect_study_0.png good/defect_study_1.png")
    assert not same.notes


def test_folders_of_datasets_are_named_two_levels_below_as_well(tmp_path):
    plant(tmp_path, "2025/05/good/0.png 2025/06/good/0.png")
    with pytest.raises(DatasetError, match=r"choose one: .*2025/05, .*2025/06"):
        open_dataset(tmp_path)


def test_visa_and_real_iad_are_found_from_within_and_tell_what_no_table_names(
    tmp_path, monkeypatch
):
    plant(tmp_path, "v/candle/Data/Images/Normal/0.JPG v/candle/Data/Images/Normal/1.JPG")
    plant(
        tmp_path,
        {"v/split_csv/1cls.csv": "object,split,label,image,mask\n"
        "candle,train,normal,candle/Data/Images/Normal/0.JPG,\n"},
    )  # fmt: skip
    rows = [{"anomaly_class": "OK", "image_path": "OK/S1/0.jpg", "mask_path": None}]
    table = json.dumps({"meta": {"normal_class": "OK"}, "train": rows, "test": []})
    plant(tmp_path, {"r/plug/OK/S1/0.jpg": PART, "r/plug/OK/S1/1.jpg": PART})
    plant(tmp_path, {"r/realiad_jsons/plug.json": table})
    for folder in ("v/candle", "r/plug"):
        for inside, root in ((".", "."), ("/OK" if "r/" in folder else "/Data", "..")):
            monkeypatch.chdir(tmp_path / (folder + inside.lstrip(".")))
            dataset = open_dataset(root)
            assert [path.stem for path in dataset.good_train] == ["0"]
            assert dataset.good_train[0].exists()
            assert ["1 image left out" in line for line in dataset.left_out] == [True]


def test_dagm_and_kolektor_tell_of_other_folders(tmp_path):
    plant(tmp_path / "d", "Train/1.PNG Test/2.PNG Test/3.PNG Train/more/4.PNG")
    plant(tmp_path / "d", {"Test/Label/3_label.PNG": MASK})
    plant(tmp_path / "k", {"kos01/Part0.jpg": PART, "kos01/Part0_label.bmp": MASK})
    plant(tmp_path / "k", {"kos02/Part1.jpg": MASK, "kos02/Part1_label.bmp": EMPTY})
    plant(tmp_path / "k", "extra/4.png")
    plant(tmp_path / "k2", {"test/1.png": PART, "test/1_GT.png": MASK})
    plant(tmp_path / "k2", "train/2.png train/more/4.png")
    for name in ("d", "k", "k2"):
        dataset = open_dataset(tmp_path / name, training=False)
        assert any("no folder that this layout has" in line for line in dataset.left_out)
