"""Which archives of annotated images are read, and what is said of those that are not right."""

import io
import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from services.training.domain.errors import (
    ArchiveBroken,
    BadImages,
    BadLayout,
    BadParameters,
)
from services.training.domain.model import DatasetSource, ProblemType, TrainingPlan, TrainingSpec
from services.training.workloads import workload_named
from services.training.workloads.detection.annotations import Listing
from services.training.workloads.detection.canvas import settle_canvas
from services.training.workloads.detection.case import settle
from services.training.workloads.detection.errors import (
    AnnotationsUnreadable,
    BadAnnotation,
    ImageMissing,
    ImageTwice,
    NoBoxes,
    NotDetection,
    TooFewImages,
)
from services.training.workloads.detection.layout import read_listing
from services.training.workloads.kit.archive import opened
from tests.unit.training_workloads.shapes import as_png, coco_files, coco_of, draw_scenes, pack, yolo_files, yolo_line

SCENES = draw_scenes(12, seed=1)


def spec_of(problem_type: ProblemType | None = None, **parameters) -> TrainingSpec:
    source = DatasetSource("d1", "datasets", "a.zip")
    return TrainingSpec("trial", "object_detection", source, "", problem_type, parameters, "A trial")


@pytest.fixture
def listing(tmp_path):
    """The listing of an archive of some files."""

    def listed(files) -> Listing:
        with opened(pack(tmp_path / "data.zip", files)) as archive:
            return read_listing(archive)

    return listed


@pytest.fixture
def check(tmp_path):
    """What a training on an archive of some files would do."""

    def checked(files, **asked) -> TrainingPlan:
        return workload_named("object_detection").check(spec_of(**asked), pack(tmp_path / "data.zip", files))

    return checked


def told(listed: Listing) -> list[tuple[list[int], np.ndarray]]:
    """Classes and boxes of each image, in pixels."""
    return [
        (image.classes.tolist(), image.within(*scene.image.size))
        for image, scene in zip(listed.images, SCENES, strict=True)
    ]


def test_coco_and_yolo_tell_the_same(listing):
    coco, yolo = listing(coco_files(SCENES)), listing(yolo_files(SCENES))

    assert (coco.layout, yolo.layout) == ("COCO", "YOLO")
    assert coco.classes == yolo.classes == ["circle", "square", "triangle"]
    assert coco.box_count == yolo.box_count == sum(len(scene.things) for scene in SCENES)
    for (classes, boxes), (others, other_boxes) in zip(told(coco), told(yolo), strict=True):
        assert classes == others
        np.testing.assert_allclose(boxes, other_boxes, atol=0.01)


def test_a_check_settles_what_a_training_would_do(check):
    plan = check(coco_files(SCENES))

    assert plan == TrainingPlan("objects", ProblemType.OBJECT_DETECTION, 12, 0, "torch")


def test_images_without_a_label_file_are_background(listing):
    files = yolo_files(SCENES)
    del files["labels/0000.txt"]
    files["labels/0001.txt"] = "\n"

    assert [image.has_boxes for image in listing(files).images][:3] == [False, False, True]


def test_classes_without_names_are_told_by_number_and_those_without_boxes_left_out(listing):
    files = yolo_files(SCENES)
    del files["data.yaml"]
    nameless = listing(files)
    files["classes.txt"] = "circle\nsquare\ntriangle\nstar\n"
    named = listing(files)

    assert nameless.classes == ["0", "1", "2"]
    assert (named.classes, named.unused_classes) == (["circle", "square", "triangle"], ["star"])


@pytest.mark.parametrize("tag", ["", "!!bool ", "!!int ", "!!float ", "!!timestamp ", "!!null ", "!shape "])
@pytest.mark.parametrize("form", ["[{}yes, no, 2024-01-01]", "{{0: {}yes, 1: no, '2': 2024-01-01}}"])
def test_names_are_the_texts_that_they_are(listing, form, tag):
    """A class may be called yes, and a tag makes nothing else of its name."""
    files = yolo_files(SCENES) | {"data.yaml": f"names: {form.format(tag)}\n"}

    assert listing(files).classes == ["yes", "no", "2024-01-01"]


@pytest.mark.parametrize("content", ["nc: 3\n", "names:\n", "names: []\n", "- names\n"])
def test_names_may_be_missing(listing, content):
    assert listing(yolo_files(SCENES) | {"data.yaml": content}).classes == ["0", "1", "2"]


def test_a_name_in_a_list_of_classes_can_be_printed(listing):
    files = yolo_files(SCENES)
    del files["data.yaml"]
    with pytest.raises(AnnotationsUnreadable, match=r"'classes\.txt' cannot be read: names\[1\]: 'sq�' is no name"):
        listing(files | {"classes.txt": "circle\n\nsq\0\ntriangle\n"})


def test_labels_may_lie_beside_the_images_and_be_outlines(listing):
    files = {f"shots/{number}.png": as_png(scene.image) for number, scene in enumerate(SCENES)}
    files["shots/3.txt"] = "0 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n"
    files["shots/4.txt"] = yolo_line(SCENES[4], SCENES[4].things[0])
    files["shots/notes.txt"] = "nothing of an image"
    found = {image.path.name: image for image in listing(files).images}

    assert found["3.png"].boxes.tolist() == [[0.1, 0.2, 0.5, 0.6]]
    assert found["4.png"].has_boxes


@pytest.mark.parametrize("names", ["names: [circle, square, triangle]\n", ""])
def test_the_points_of_a_pose_are_passed_over(listing, names):
    files = yolo_files(SCENES)
    lines = "".join(f"{line} 0.9 0.9 2 0.1 0.8 0\n" for line in str(files["labels/0003.txt"]).splitlines())
    plain = listing(files).images[3]
    found = listing(files | {"data.yaml": f"kpt_shape: [2, 3]\n{names}", "labels/0003.txt": lines}).images[3]

    assert found.boxes.tolist() == plain.boxes.tolist()


@pytest.mark.parametrize(("images", "labels"), [("Images", "Labels"), ("Images", "labels"), ("images", "LABELS")])
def test_folders_are_paired_in_any_case(listing, images, labels):
    files = {
        name.replace("images/", f"x/{images}/").replace("labels/", f"x/{labels}/"): content
        for name, content in yolo_files(SCENES).items()
    }

    assert listing(files).box_count == listing(yolo_files(SCENES)).box_count
    with pytest.raises(ImageMissing, match=f"x/{labels}/away.txt is about the image"):
        listing(files | {f"x/{labels}/away.txt": "0 0.5 0.5 0.2 0.2"})


def test_of_two_images_that_differ_in_case_each_has_its_own_labels(listing):
    files = yolo_files(SCENES) | {"images/a.png": as_png(SCENES[0].image), "images/A.png": as_png(SCENES[0].image)}
    one = {image.path.name: image.has_boxes for image in listing(files | {"labels/a.txt": "0 .5 .5 .1 .1"}).images}
    with pytest.raises(ImageMissing, match=r"labels/b\.txt is about the image"):
        listing(yolo_files(SCENES) | {"images/B.png": as_png(SCENES[0].image), "labels/B.txt": "", "labels/b.txt": ""})

    assert (one["a.png"], one["A.png"]) == (True, False)


@pytest.mark.parametrize("name", ["train", "test", "valid", "names", "notes", "labels", "README", "classes"])
@pytest.mark.parametrize("folder", ["labels", "images"])
def test_a_text_file_named_as_an_image_is_its_label_file(listing, name, folder):
    files = yolo_files(SCENES)
    files |= {f"images/{name}.png": as_png(SCENES[0].image), f"{folder}/{name}.txt": "2 0.5 0.5 0.5 0.5"}
    del files["data.yaml"]
    listed = listing(files | {"classes.txt": "circle\nsquare\ntriangle"})
    boxes = {image.path.stem: image.boxes.tolist() for image in listed.images}

    assert boxes[name] == [[0.25, 0.25, 0.75, 0.75]]
    assert listed.classes == ["circle", "square", "triangle"]


def test_the_parts_that_an_archive_tells_are_kept(tmp_path):
    train, held = coco_of(SCENES[:8]), coco_of(SCENES[8:], first=8)
    images = {f"pictures/{number:04}.png": as_png(scene.image) for number, scene in enumerate(SCENES)}
    by_file = {"instances_train2017.json": json.dumps(train), "instances_val2017.json": json.dumps(held), **images}
    by_folder = {
        f"{'train2017' if name < 'pictures/0008.png' else 'val2017'}/{name[9:]}": content
        for name, content in images.items()
    } | {"annotations.json": json.dumps(coco_of(SCENES))}
    yolo = yolo_files(SCENES[:8], "train/") | yolo_files(SCENES[8:], "val/")
    cases = [settle(spec_of(), pack(tmp_path / "data.zip", files)) for files in (by_file, by_folder, yolo)]

    for case in cases:
        assert case.parts.method == "as in the archive"
        assert (len(case.parts.train), len(case.parts.validation), len(case.parts.test)) == (8, 0, 4)


def _coco_in(folders: list[str], file: str = "annotations.json") -> dict[str, bytes | str]:
    """One JSON file, and the first 8 of 12 images in the one folder, the others in the other."""
    images = {f"{folders[number >= 8]}/{number:04}.png": as_png(scene.image) for number, scene in enumerate(SCENES)}
    return images | {file: json.dumps(coco_of(SCENES))}


YOLO_2017 = yolo_files(SCENES[:8], "train2017/") | {
    name.replace("/0", "/1"): content for name, content in yolo_files(SCENES[8:], "val2017/").items()
}


@pytest.mark.parametrize(
    ("files", "method"),
    [
        (YOLO_2017, "as in the archive"),
        (_coco_in(["a/train_images", "a/val_images"]), "as in the archive"),
        (
            _coco_in(["my_train_data/images/train", "my_train_data/images/val"], "my_train_data/train.json"),
            "as in the archive",
        ),
        (_coco_in(["training/train", "training/val"], "training/annotations.json"), "as in the archive"),
        (_coco_in(["training ground", "crash test"]), "random images of each class"),
    ],
    ids=["yolo with years", "coco with images", "a root that names a part", "a root that is a part", "other names"],
)
def test_a_folder_is_a_part_where_its_name_says_nothing_else(tmp_path, files, method):
    """000.11: by the same rule in both layouts; the innermost counts, and of one JSON file nothing."""
    parts = settle(spec_of(), pack(tmp_path / "data.zip", files)).parts
    counts = len(parts.train), len(parts.validation), len(parts.test)

    assert parts.method == method
    assert counts == ((8, 0, 4) if method == "as in the archive" else (9, 0, 3))


def test_images_of_no_part_are_refused_where_they_have_boxes_and_left_out_where_not(check):
    """000.11: none is silently passed over, and those that are left out are not counted."""
    files = yolo_files(SCENES[:8], "train/") | yolo_files(SCENES[:4], "val/")
    strays = yolo_files(SCENES[:5], "extra/")
    plan = check(files | {name: content for name, content in strays.items() if name.startswith("images/")})
    with pytest.raises(BadLayout) as caught:
        check(files | strays)

    assert plan.row_count == 12
    assert "it has the parts train, val, and images with boxes in none of them: 5" in caught.value.message
    assert "'images/extra/0000.png'" in caught.value.message


@pytest.mark.parametrize("part", ["", "train/"])
def test_the_only_image_with_boxes_to_learn_from_is_learned_from(tmp_path, part):
    """000.11: of two, one is measured on and none is left to find the best epoch."""
    scenes = draw_scenes(24, sizes=(40, 48))
    files = yolo_files(scenes, part)
    files |= {name: "" for name in files if name.startswith("labels/") and not name.endswith(("0000.txt", "0001.txt"))}
    if part:
        files |= {"labels/train/0001.txt": ""} | yolo_files(scenes[:1], "test/")
    case = settle(spec_of(), pack(tmp_path / "data.zip", files))
    boxed = [[case.listing.images[row].has_boxes for row in rows] for rows in (case.parts.train, case.parts.test)]

    assert [sum(some) for some in boxed] == [1, 1]
    assert len(case.parts.validation) == 0


def test_the_same_seed_holds_out_the_same_images_and_every_class_is_on_both_sides(tmp_path):
    data = pack(tmp_path / "data.zip", yolo_files(draw_scenes(40)))
    first, again, other = (settle(spec_of(seed=seed), data) for seed in (3, 3, 4))
    sides = [
        {int(label) for row in rows for label in first.listing.images[row].classes}
        for rows in (first.parts.train, first.parts.validation, first.parts.test)
    ]

    assert first.parts.test.tolist() == again.parts.test.tolist() != other.parts.test.tolist()
    assert len(first.parts.test) == 8
    assert sides[0] == sides[2] == {0, 1, 2}
    assert sides[1]


def test_a_box_a_little_over_the_border_is_cut_off(listing):
    files = coco_files(SCENES)
    content = json.loads(files["annotations/instances.json"])
    width = content["images"][0]["width"]
    content["annotations"][0]["bbox"] = [-1, 10, width + 2, 20]
    files["annotations/instances.json"] = json.dumps(content)
    image = listing(files).images[0]

    assert image.within(width, 200)[0].tolist() == [0, 10, width, 30]


@pytest.mark.parametrize(("mark", "crowds"), [(1, 1), (True, 1), (0, 0), (False, 0), (None, 0)])
def test_a_crowd_is_no_thing_to_find(listing, mark, crowds):
    files = coco_files(SCENES)
    content = json.loads(files["annotations/instances.json"])
    content["annotations"][0]["iscrowd"] = mark
    del content["annotations"][1]["iscrowd"]
    files["annotations/instances.json"] = json.dumps(content)
    listed = listing(files)

    assert listed.box_count == sum(len(scene.things) for scene in SCENES) - crowds
    assert listed.images[0].crowd.tolist().count(True) == crowds


def in_coco(change) -> dict[str, bytes | str]:
    """A COCO archive whose annotations were changed."""
    files = coco_files(SCENES)
    content = json.loads(files["annotations/instances.json"])
    change(content)
    return files | {"annotations/instances.json": json.dumps(content)}


def annotation(**facts):
    return lambda content: content["annotations"][3].update(facts)


def image(**facts):
    return lambda content: content["images"][0].update(facts)


def category(**facts):
    return lambda content: content["categories"][1].update(facts)


BAD_COCO = [
    (annotation(bbox=[5, 5, 0, 10]), BadAnnotation, "annotations[3] of annotations/instances.json: its box"),
    (annotation(bbox=[5, 5, 900, 10]), BadAnnotation, "reaches out of the image"),
    (annotation(bbox=[-80, 5, 79, 10]), BadAnnotation, "reaches out of the image"),
    (annotation(bbox=[5, 5, "wide", 10]), BadAnnotation, "is not [x, y, width, height]"),
    (annotation(bbox=[5, 5, float("nan"), 10]), BadAnnotation, "is not [x, y, width, height]"),
    (annotation(bbox=None), BadAnnotation, "its bbox None"),
    (annotation(category_id=77), BadAnnotation, "no category with the id 77"),
    (annotation(category_id=[1]), BadAnnotation, "no category with the id [1]"),
    (annotation(image_id=4711), BadAnnotation, "no image with the id 4711"),
    (annotation(iscrowd="0"), BadAnnotation, "annotations[3] of annotations/instances.json: its iscrowd '0' is"),
    (annotation(iscrowd="false"), BadAnnotation, "its iscrowd 'false' is neither 0 nor 1"),
    (annotation(iscrowd=2), BadAnnotation, "its iscrowd 2 is neither"),
    (annotation(iscrowd=[]), BadAnnotation, "its iscrowd [] is neither"),
    (lambda content: content["annotations"].append("x"), BadAnnotation, "it is no object"),
    (lambda content: content["images"][2].update(file_name="gone.png"), ImageMissing, "images[2] of"),
    (lambda content: content["images"][2].update(file_name=7), BadAnnotation, "a file_name"),
    (lambda content: content["images"][2].update(id=0), BadAnnotation, "another image has its id, 0"),
    (lambda content: content["images"].append(content["images"][2] | {"id": 99}), ImageTwice, "0002.png"),
    (lambda content: content["categories"][1].update(name=" "), BadAnnotation, "categories[1] of"),
    (category(name="a\0b"), BadAnnotation, "categories[1] of annotations/instances.json: 'a�b' is no name for a class"),
    (category(name="a\ud800"), BadAnnotation, "'a�' is no name for a class, which has 1 to 200 characters"),
    (category(name="x" * 201), BadAnnotation, "categories[1] of"),
    (annotation(image_id="\ud800"), BadAnnotation, "no image with the id �"),
    (lambda content: content["categories"][1].update(name="circle"), AnnotationsUnreadable, "the same name"),
    (lambda content: content["categories"][1].update(id=1), BadAnnotation, "that of 'circle' already"),
    (lambda content: content.update(annotations=[]), NoBoxes, "None of the 12 images has a box"),
    (lambda content: content.update(images=content["images"][:3], annotations=[]), TooFewImages, "only 3 images"),
    (lambda content: content["images"][0].update(width=7), BadAnnotation, "reaches out"),
    (image(width=10**400), BadAnnotation, "images[0] of annotations/instances.json: no image has the width 1000"),
    (image(height=10**9), BadAnnotation, "and the height 1000000000"),
    (image(id=2.0), BadAnnotation, "an id, a whole number or a text, and a file"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "words"), BAD_COCO, ids=[words for _, _, words in BAD_COCO])
def test_what_is_wrong_in_coco_is_told_with_its_place(listing, change, kind, words):
    with pytest.raises(kind) as caught:
        listing(in_coco(change))

    assert words in caught.value.message
    assert caught.value.field == "file"


BAD_YOLO = [
    ("labels/0003.txt", "0 0.5 0.5 0.2 0.2\n1 0.5 0.5 wide 0.2\n", BadAnnotation, "labels/0003.txt line 2: "),
    ("labels/0003.txt", "0 0.5 0.5 0.2\n", BadAnnotation, "is not a class and x, y, width and height"),
    ("labels/0003.txt", "0 0.5 0.5 nan 0.2\n", BadAnnotation, "is not a class and x, y, width and height"),
    ("labels/0003.txt", "5 0.5 0.5 0.2 0.2\n", BadAnnotation, "there is no class 5: there are 3 classes"),
    ("labels/0003.txt", "-1 0.5 0.5 0.2 0.2\n", BadAnnotation, "there is no class -1"),
    ("labels/0003.txt", "0 0.5 0.5 0.2 0\n", BadAnnotation, "its box has no area"),
    ("labels/0003.txt", "\n0 80 60 20 20\n", BadAnnotation, "labels/0003.txt line 2: its box reaches out"),
    (
        "labels/0003.txt",
        "0 80 60 20 20\n",
        BadAnnotation,
        "where its numbers are shares of the sides, 0 to 1 (from 70,",
    ),
    ("data.yaml", "names: [circle]\n", BadAnnotation, "there is no class 2: the only one is 0."),
    ("images/0003.txt", "0 0.5 0.5 0.2 0.2\n", ImageTwice, "by images/0003.txt and by labels/0003.txt"),
    ("labels/0003.txt", b"\xff\xfe\x00", AnnotationsUnreadable, "it is not text in UTF-8"),
    ("labels/away.txt", "0 0.5 0.5 0.2 0.2\n", ImageMissing, "labels/away.txt is about the image"),
    ("data.yaml", "names: [circle, square\n", AnnotationsUnreadable, "'data.yaml' cannot be read: line 2"),
    ("data.yaml", "names: [circle, circle, x]\n", AnnotationsUnreadable, "more than one class is named 'circle'"),
    ("data.yaml", "names: {0: circle, 2: square}\n", AnnotationsUnreadable, "not numbered from 0"),
    ("data.yaml", "!!python/object/apply:os.getcwd []\n", AnnotationsUnreadable, "'data.yaml' cannot be read"),
    ("data.yaml", "[" * 5000, AnnotationsUnreadable, "'data.yaml' cannot be read"),
    ("data.yaml", "names: red\n", AnnotationsUnreadable, "its names, 'red', are no list"),
    ("data.yaml", "names: &loop [*loop]\n", AnnotationsUnreadable, "found unconstructable recursive node"),
    ("data.yaml", "names: [[circle], square]\n", AnnotationsUnreadable, "its names are no list of texts"),
    ("data.yaml", 'names: ["", circle]\n', AnnotationsUnreadable, "names[0]: '' is no name for a class"),
    (
        "data.yaml",
        'names: [circle, "a\\0b"]\n',
        AnnotationsUnreadable,
        "'data.yaml' cannot be read: names[1]: 'a�b' is",
    ),
    (
        "data.yaml",
        'names: {0: circle, 1: "a\\ud800"}\n',
        AnnotationsUnreadable,
        "names[1]: 'a�' is no name for a class",
    ),
    ("data.yaml", f"names: [{'x' * 201}]\n", AnnotationsUnreadable, "which has 1 to 200 characters"),
    ("images/0003.jpg", b"x", ImageTwice, "images/0003"),
]


@pytest.mark.parametrize(("name", "content", "kind", "words"), BAD_YOLO, ids=[words for _, _, _, words in BAD_YOLO])
def test_what_is_wrong_in_yolo_is_told_with_file_and_line(listing, name, content, kind, words):
    with pytest.raises(kind) as caught:
        listing(yolo_files(SCENES) | {name: content})

    assert words in caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"images": [],\n "annotations": [}', "line 2, column 18"),
        ("[" * 200_000, "cannot be read"),
        (b"\xff", "utf-8"),
    ],
)
def test_json_that_is_broken_is_told_with_its_line(listing, content, words):
    with pytest.raises(AnnotationsUnreadable) as caught:
        listing(coco_files(SCENES) | {"annotations/instances.json": content})

    assert words in caught.value.message


def test_folders_by_class_are_sent_to_the_right_workload(listing):
    images = {f"{name}/{number}.png": as_png(SCENES[number].image) for name in ("cat", "dog") for number in range(3)}
    with pytest.raises(BadLayout) as folders:
        listing(images)
    with pytest.raises(BadLayout) as flat:
        listing({"a.png": b"x", "b.png": b"x"})
    with pytest.raises(BadLayout) as none:
        listing({"a.txt": "x"})

    assert "ask for the task_type image_classification" in folders.value.message
    assert "COCO" in flat.value.message
    assert "no image" in none.value.message


def test_boxes_in_another_layout_are_told_to_be_there(listing):
    """000.11: Pascal VOC lists its images in text files, and has an XML file for each."""
    files = {f"VOC/JPEGImages/{number}.jpg": b"x" for number in range(4)}
    files |= {f"VOC/Annotations/{number}.xml": "<annotation/>" for number in range(4)}
    with pytest.raises(BadLayout, match=r"layout of Pascal VOC, which is not read\. Convert them"):
        listing(files | {"VOC/ImageSets/Main/trainval.txt": "0\n1\n"})


def test_a_text_about_the_whole_makes_no_layout(listing):
    """000.11: folders by class stay such where somebody wrote of them."""
    images = {f"{name}/{number}.png": as_png(SCENES[number].image) for name in ("cat", "dog") for number in range(3)}
    with pytest.raises(BadLayout, match="ask for the task_type image_classification"):
        listing(images | {"about the data.txt": "Cats and dogs"})


def test_a_file_name_is_found_however_its_accents_are_written(listing):
    """000.11: macOS writes them apart from their letters."""
    files = coco_files(SCENES)
    content = json.loads(files.pop("annotations/instances.json"))
    for image in content["images"]:
        image["file_name"] = unicodedata.normalize("NFD", f"é{image['file_name']}")
    files = {name.replace("images/", "images/é"): image for name, image in files.items()}

    assert len(listing(files | {"instances.json": json.dumps(content)}).images) == len(SCENES)


def test_images_that_cannot_be_read_are_counted_and_named(check):
    with pytest.raises(BadImages) as caught:
        check(yolo_files(SCENES) | {"images/0003.png": b"no image", "images/0005.png": as_png(SCENES[5].image)[:900]})

    assert caught.value.message.startswith("2 of the 12 images cannot be read, the first of them 'images/0003.png'")


def test_an_image_of_another_size_than_its_annotations_say_is_refused(check):
    with pytest.raises(BadAnnotation) as caught:
        check(in_coco(lambda content: content["images"][4].update(width=1000)))

    assert "the annotations say that it is 1000 ×" in caught.value.message


def test_an_image_that_lies_on_its_side_is_annotated_upright(tmp_path):
    """Boxes are in pixels of the image as people see it."""
    files = yolo_files(SCENES)
    lying = Image.new("RGB", (120, 60), "white")
    exif = lying.getexif()
    exif[274] = 6
    buffer = io.BytesIO()
    lying.save(buffer, "JPEG", exif=exif)
    del files["images/0000.png"]
    files |= {"images/0000.jpg": buffer.getvalue(), "labels/0000.txt": "0 0.5 0.25 1 0.5"}
    case = settle(spec_of(), pack(tmp_path / "data.zip", files))

    assert case.listing.images[0].within(60, 120).tolist() == [[0, 0, 60, 60]]


def test_what_is_asked_for_is_checked(check):
    with pytest.raises(BadParameters) as unknown:
        check(coco_files(SCENES), anchors=3)
    with pytest.raises(NotDetection) as other:
        check(coco_files(SCENES), problem_type=ProblemType.BINARY)

    assert "'anchors' is not one of them" in unknown.value.message
    assert "binary" in other.value.message


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"PK nothing")
    with pytest.raises(ArchiveBroken):
        settle(spec_of(), tmp_path / "data.zip")


@pytest.mark.parametrize(
    ("sizes", "share", "asked", "canvas"),
    [
        ([[160, 128], [128, 150]], 0.2, 0, (160, 160, 4)),  # as they are
        ([[4000, 3000]], 0.1, 0, (320, 256, 4)),  # large ones are scaled down
        ([[4000, 3000]], 0.02, 0, (608, 448, 4)),  # not so far that what is small vanishes
        ([[4000, 3000]], 0.5, 0, (320, 256, 8)),  # for what is large, a coarse grid will do
        ([[28, 28]], 0.5, 0, (64, 64, 4)),  # small ones are scaled up
        ([[4000, 3000]], 0.1, 512, (512, 384, 4)),  # as was asked
    ],
)
def test_the_canvas_follows_the_images_and_what_is_in_them(sizes, share, asked, canvas):
    settled = settle_canvas(np.array(sizes), np.full(10, share), asked)

    assert (settled.width, settled.height, settled.stride) == canvas
