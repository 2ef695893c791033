"""Our recipes against recordings of PnP-OVSS's released code; every number comes from the
recording.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from floor import Twice, check, check_alike
from itm_set import check_network, check_pixels
from pnp_ovss_set import Recording
from sets import choose, find

from ovsskit.engine.values import PADDING, Image, Present, Saliency, TokenMaps
from ovsskit.ops import metrics
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.maps.label_map import LabelMap
from ovsskit.stages.maps.merge_tokens import MergeTokens
from ovsskit.stages.maps.min_max import MinMax
from ovsskit.stages.maps.softmax import Softmax
from ovsskit.stages.presence.presence_from_file import PresenceFromFile
from ovsskit.stages.refine.dense_crf import DenseCrf
from ovsskit.stages.refine.gaussian_blur import GaussianBlur
from ovsskit.stages.text.write_captions import WriteCaptions
from ovsskit.stages.wrap.salience_dropout import choose_patches, salience_of

TIE = 1e-5
"""Pixels whose two best maps are as near as this may have either label."""
LABELS = 0.998
"""Share of pixels that must agree; all do where the libraries have the recorded versions."""
MADE_BY = {
    "thresholded": "threshold",
    "resized": "upsample",
    "scaled": "class_scale",
    "with_background": "background",
    "blurred": "min_max",
}
SCORES = {
    "Pixel Accuracy": metrics.pixel_accuracy,
    "Mean Accuracy": metrics.mean_accuracy,
    "Frequency Weighted IoU": metrics.frequency_weighted_iou,
    "Mean IoU": metrics.mean_iou_of_true_classes,
}
close = torch.testing.assert_close


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choices = {
        "case_name": lambda facts: list(facts["cases"]),
        "case_kind": lambda facts: [
            (name, kind) for name, case in facts["cases"].items() for kind in case["metrics"]
        ],
        "merge_index": lambda facts: range(len(facts["merge"])),
        "edge_name": lambda facts: list(facts["edge"]),
        "metric_index": lambda facts: range(len(facts["metrics"])),
        "answer_index": lambda facts: range(len(facts["gpt4o_parsing"])),
    }
    choose(metafunc, "pnp_ovss", choices)


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, "pnp_ovss"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers")


def all_rounds(case: dict[str, Any]) -> str:
    return "agg" if "agg" in case["metrics"] else "single"


def agree(ours: torch.Tensor, theirs: torch.Tensor, maps: torch.Tensor | None = None) -> None:
    """Compare labels; where the two best maps are nearly equal, chance decides, and nothing is
    compared.
    """
    assert ours.shape == theirs.shape
    best = (
        maps.nan_to_num(torch.inf).sort(0, descending=True).values
        if maps is not None and len(maps) > 1
        else None
    )
    clear = (
        ~(best[0] - best[1] <= TIE) if best is not None else torch.ones_like(ours, dtype=torch.bool)
    )
    assert (ours == theirs)[clear].double().mean().nan_to_num(1.0) >= LABELS


def test_pixels_and_image_features(recording: Recording) -> None:
    theirs, images = recording.tensors("itm"), recording.images()
    check_pixels(recording.backbone, images, theirs["pixel_values"])
    check(Twice.of(lambda: recording.backbone().encode(images)), theirs["image_embeds"])


def test_tokens(recording: Recording) -> None:
    theirs = recording.tensors("itm")
    rows = [
        recording.backbone().reader.read(one.captions[0]).padded(theirs["input_ids"].shape[1])
        for one in recording.captions()
    ]
    enc = torch.tensor([row.ids for row in rows])
    close(enc, theirs["input_ids_enc"])
    assert set(enc[:, 0].tolist()) == {recording.facts["enc_token_id"]}
    close(
        torch.tensor([[recording.facts["cls_token_id"], *row.ids[1:]] for row in rows]),
        theirs["input_ids"],
    )
    close(
        torch.tensor([[int(mark != PADDING) for mark in row.positions] for row in rows]),
        theirs["attention_mask"],
    )
    strings = [
        [recording.backbone().reader.tokenizer.id_to_token(i) for i in row.ids[1:]] for row in rows
    ]
    assert strings == [tokens[1:] for tokens in recording.facts["itm"]["tokens"]]


def test_logits(recording: Recording) -> None:
    theirs, captions = recording.tensors("itm"), [one.captions for one in recording.captions()]

    def logits(first: str) -> torch.Tensor:
        plain = recording.backbone().model_copy()
        plain.__dict__["reader"] = replace(plain.reader, first=recording.facts[first])
        return torch.cat(plain.logits(recording.images(), captions))

    check(Twice.of(lambda: logits("enc_token_id")), theirs["itm_logits"])
    check(Twice.of(lambda: logits("cls_token_id")), theirs["itm_logits_with_cls_token"])


def test_attention_gradient_and_gradcam(recording: Recording) -> None:
    theirs = recording.tensors("itm")
    layers = theirs.keys() - {"cross_attention_grad"}
    [name] = [name for name in layers if name.startswith("cross_attention_grad_layer")]
    layer = int(name.removeprefix("cross_attention_grad_layer")) - 1
    theirs[f"cross_attention_grad {layer}"] = theirs[name]
    check_network(recording.backbone, recording.images(), recording.captions(), theirs)


def test_position_embeddings(recording: Recording) -> None:
    theirs = recording.tensors("pos_embed")
    grids = {recording.facts["grid"]: theirs.pop("source")} | {
        int(name.removeprefix("grid")): value for name, value in theirs.items()
    }

    def positions(grid: int) -> torch.Tensor:
        size = grid * recording.facts["patch_size"]
        backbone = recording.backbone().model_copy(update={"image_size": size})
        found: torch.Tensor = backbone.load().vision_model.embeddings.position_embedding.detach()
        return found

    for grid, value in grids.items():
        check(Twice.of(lambda grid=grid: positions(grid)), value, f"grid {grid}")


def test_classes_and_captions(recording: Recording, scratch: Path, case_name: str) -> None:
    case = recording.facts["cases"][case_name]
    run = recording.run(case_name, all_rounds(case), scratch)
    vocabulary = recording.vocabulary(case["data_type"])
    assert [[label - 1 for label in one.labels] for one in run.wrote["presence_from_file"]] == case[
        "class_indices_0based"
    ]
    assert [
        [vocabulary.names[label - 1] for label in one.labels]
        for one in run.wrote["presence_from_file"]
    ] == case["class_names"]
    assert [one.captions[0].text for one in run.wrote["write_captions"]] == case["captions"]
    ids = [
        [vocabulary.ids[label] for label in one.labels] for one in run.wrote["presence_from_file"]
    ]
    assert ids == case.get(
        "category_ids_of_predicted",
        [[i + 1 for i in some] for some in case["class_indices_0based"]],
    )


def test_rounds(recording: Recording, scratch: Path, case_name: str) -> None:
    case, theirs = recording.facts["cases"][case_name], recording.tensors(f"pipeline_{case_name}")
    both = recording.run_twice(case_name, all_rounds(case), scratch)
    run, count = both.single, len(case["image_ids"])
    passes = range(len(theirs["gradcam_raw"]))
    assert len(run.wrote["grad_cam"]) == count * len(passes)
    dropped: list[set[int]] = [set() for _ in range(count)]
    raws, zeroed, saliences = [], [], []
    for number in passes:
        for picture in range(count):
            place, at = count * number + picture, f"round {number}, picture {picture}"
            maps = both.map(lambda run, place=place: run.wrote["grad_cam"][place])
            hidden = run.hidden[place]
            assert set(hidden.flatten().nonzero().flatten().tolist()) == dropped[picture]
            raw = maps.map(lambda one: one.data)
            raws.append((raw, theirs["gradcam_raw"][number, picture], at))
            if "gradcam_zeroed" in theirs:
                seen = raw.map(lambda one, hidden=hidden: one.masked_fill(hidden, 0))
                zeroed.append((seen, theirs["gradcam_zeroed"][number, picture], at))
            if "salience_for_drop" in theirs:
                salience = maps.map(lambda one: salience_of(one, "released"))
                left = salience.map(lambda one, hidden=hidden: one.masked_fill(hidden, 0).flatten())
                saliences.append((left, theirs["salience_for_drop"][number, picture], at))
                picks = case["dropped_patches_per_round"][number][picture]
                chosen = choose_patches(salience.single, hidden, len(picks)).flatten()
                chosen_patches = set(chosen.nonzero().flatten().tolist())
                has_ties = case["drop_set_has_zero_salience_ties"][number][picture]
                assert chosen_patches <= set(picks) if has_ties else chosen_patches == set(picks)
                dropped[picture] |= set(picks)
    for compared in (raws, zeroed, saliences):
        check_alike(compared)


def test_logits_of_rounds(recording: Recording, scratch: Path, case_name: str) -> None:
    case, theirs = recording.facts["cases"][case_name], recording.tensors(f"pipeline_{case_name}")
    run = recording.run(case_name, all_rounds(case), scratch)
    captions = [one.captions for one in run.wrote["write_captions"]]
    pictures = recording.images(case["image_ids"])

    def logits(number: int) -> torch.Tensor:
        hidden = run.hidden[len(pictures) * number :]
        images = [image.hide(mask) for image, mask in zip(pictures, hidden, strict=False)]
        return torch.cat(recording.backbone(case["data_type"]).logits(images, captions))

    rounds = range(len(theirs["itm_logits"]))
    check(
        Twice.of(lambda: torch.stack([logits(number) for number in rounds])), theirs["itm_logits"]
    )
    if "pixel_values" in theirs:
        check_pixels(
            lambda: recording.backbone(case["data_type"]), pictures, theirs["pixel_values"]
        )


def test_maps_and_labels(recording: Recording, scratch: Path, case_kind: tuple[str, str]) -> None:
    name, kind = case_kind
    case, theirs = recording.facts["cases"][name], recording.tensors(f"pipeline_{name}")
    both = recording.run_twice(name, kind, scratch)
    total = theirs["gradcam_aggregate" if kind == "agg" else "gradcam_round0"]
    last = {"blur+crf": "dense_crf", "crf": "dense_crf", "blur": "min_max", "none": "background"}[
        case["postprocess"]
    ]
    compared = defaultdict[str, list[tuple[Twice, torch.Tensor, str]]](list)
    for picture in range(len(case["image_ids"])):
        at = f"picture {picture}"
        summed = written(both, "salience_dropout", picture)
        compared["sum"].append((summed, total[picture], at))
        prefix = f"{kind}.img{picture}."
        recorded = {
            key.removeprefix(prefix): value
            for key, value in theirs.items()
            if key.startswith(prefix)
        }
        merged = written(both, "merge_tokens", picture)
        compared["class_maps"].append((merged, recorded["class_maps"], f"{at}, class maps"))
        refined = recording.refine(name, kind, scratch, picture, recorded["class_maps"])
        for key in MADE_BY.keys() & recorded.keys():
            made = written(refined, MADE_BY[key], 0)
            compared[key].append((made, recorded[key], f"{at}, {key}"))
        maps = both.single.wrote[last][picture].data
        if "label_index" in recorded:
            agree(maps.argmax(0), recorded["label_index"], maps)
        agree(both.single.wrote["label_map"][picture].ids, recorded["label_final"], maps)
    for alike in compared.values():
        check_alike(alike)


def written(runs: Twice, address: str, picture: int) -> Twice:
    """Return what a stage wrote for a picture."""
    return runs.map(lambda run: run.wrote[address][picture].data)


def test_pydensecrf_engine(recording: Recording, scratch: Path, case_kind: tuple[str, str]) -> None:
    pytest.importorskip("pydensecrf", reason="pydensecrf2 is not installed")
    name, kind = case_kind
    case, theirs = recording.facts["cases"][name], recording.tensors(f"pipeline_{name}")
    run = recording.run(name, kind, scratch)
    if "softmax" not in run.wrote:
        pytest.skip("this case has no CRF")
    for picture, scores in enumerate(run.wrote["softmax"]):
        image = recording.images()[picture]
        refined = crf(recording, "pydensecrf").run(image, scores)
        labels = LabelMap(relabel="in_place").run(
            refined, recording.vocabulary(case["data_type"]), image
        )
        agree(labels.ids, theirs[f"{kind}.img{picture}.label_final"])


def test_scores(recording: Recording, case_kind: tuple[str, str]) -> None:
    name, kind = case_kind
    expected, theirs = (
        recording.facts["cases"][name]["metrics"][kind],
        recording.tensors(f"pipeline_{name}"),
    )
    pairs = [
        (theirs[f"img{i}.ground_truth"], theirs[f"{kind}.img{i}.label_final"])
        for i in range(len(recording.images()))
    ]
    matrix = torch.stack(
        [metrics.confusion(t.int(), p.int(), expected["n_class"]) for t, p in pairs]
    ).sum(0)
    for key, score in SCORES.items():
        assert score(matrix) == pytest.approx(expected[key], abs=1e-12), key


def test_metrics(recording: Recording, metric_index: int) -> None:
    expected, theirs = recording.facts["metrics"][metric_index], recording.tensors("metrics")
    mine = {
        key.removeprefix(f"m{metric_index}."): value
        for key, value in theirs.items()
        if key.startswith(f"m{metric_index}.")
    }
    count = sum(key.startswith("true") for key in mine)
    matrix = sum(
        metrics.confusion(mine[f"true{j}"], mine[f"pred{j}"], expected["n_class"])
        for j in range(count)
    )
    assert isinstance(matrix, torch.Tensor)
    close(matrix.double(), mine["hist"], atol=0, rtol=0)
    close(metrics.class_iou(matrix), mine["class_iou"], atol=1e-12, rtol=0, equal_nan=True)
    for key, score in SCORES.items():
        assert score(matrix) == pytest.approx(expected[key], abs=1e-12), key


def test_merging_of_word_pieces(recording: Recording, merge_index: int) -> None:
    case, theirs = recording.facts["merge"][merge_index], recording.tensors("merge")
    numbers = tuple(range(1, len(case["class_names"]) + 1))
    vocabulary, present = make_vocabulary(case["class_names"], numbers), Present(numbers)
    captions = WriteCaptions(prompt=recording.facts["prompt_prefix"]).run(
        vocabulary, present, recording.backbone()
    )
    tokens = recording.backbone().reader.read(captions.captions[0])
    maps = theirs[f"merge{merge_index}.gradcam"]
    marks = torch.tensor(tokens.positions[1:])
    merged = MergeTokens(pieces="released").run(TokenMaps(maps, marks, (len(maps),)), present)
    if case["result"] == "ok":
        exact = MergeTokens(pieces="released").run(
            TokenMaps(maps.double(), marks, (len(maps),)), present
        )
        check(Twice(merged.data, exact.data), theirs[f"merge{merge_index}.class_maps"])
    else:  # the released code stops at names of several words, ours do not
        assert merged.data.isfinite().all()
        assert merged.labels == present.labels
        assert all(position in tokens.positions for position in range(len(case["class_names"])))


def crf(recording: Recording, engine: Any) -> DenseCrf:
    facts = recording.facts["crf"]
    return DenseCrf(
        steps=facts["iterations"],
        gaussian_sigma=facts["gaussian_sxy"],
        gaussian_weight=facts["gaussian_compat"],
        bilateral_sigma=facts["bilateral_sxy"],
        bilateral_colour_sigma=facts["bilateral_srgb"],
        bilateral_weight=facts["bilateral_compat"],
        engine=engine,
    )


@pytest.mark.parametrize("engine", ["torch", "pydensecrf"])
def test_constant_maps(recording: Recording, edge_name: str, engine: str) -> None:
    if engine == "pydensecrf":
        pytest.importorskip("pydensecrf", reason="pydensecrf2 is not installed")
    theirs, facts = recording.tensors("edge"), recording.facts["edge"][edge_name]
    maps = theirs[f"{edge_name}.input"]
    labels = tuple(range(len(maps)))
    blur = GaussianBlur(sigma=recording.facts["blur_scale"])
    scores = Twice.of(lambda: blur.run(Saliency(maps.to(torch.get_default_dtype()), labels)))
    both = scores.map(MinMax(constant="nan").run)
    check(both.map(lambda one: one.data), theirs[f"{edge_name}.blurred"])
    scaled = both.single
    assert (
        scaled.data.isnan().flatten(1).any(1).nonzero().flatten().tolist() == facts["nan_channels"]
    )
    assert MinMax().run(scores.single).data.isfinite().all()
    agree(scaled.data.argmax(0), theirs[f"{edge_name}.label_argmax"])
    image = Image(theirs["image"].permute(2, 0, 1).float() / 255)
    refined = crf(recording, engine).run(image, Softmax().run(scaled))
    agree(refined.data.argmax(0), theirs[f"{edge_name}.label_crf"])


def test_scaling_of_classes(recording: Recording) -> None:
    theirs = recording.tensors("edge")
    stage = MinMax(only_map="keep", constant="nan")
    for maps, scaled in (
        (theirs["scale01.in3d"], theirs["scale01.out3d"]),
        (theirs["scale01.in2d"][None], theirs["scale01.out2d"][None]),
    ):
        labels = tuple(range(len(maps)))
        ours, exact = (stage.run(Saliency(one, labels)).data for one in (maps, maps.double()))
        check(Twice(ours, exact), scaled)


def test_answers(recording: Recording, tmp_path: Path, answer_index: int) -> None:
    case = recording.facts["gpt4o_parsing"][answer_index]
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"picture": case["answer"]}))
    vocabulary = recording.vocabulary(case["data_type"])
    image = Image(torch.zeros(3, 4, 4), "picture.jpg")
    present = PresenceFromFile(file=str(file)).run(image, vocabulary)
    if "raises" in case:  # what stops the released code is passed over
        assert present.labels
        return
    assert [label - 1 for label in present.labels] == case["indices_0based"]
    assert [vocabulary.names[label - 1] for label in present.labels] == case["names"]
    text = (
        WriteCaptions(prompt=recording.facts["prompt_prefix"])
        .run(vocabulary, present, recording.backbone())
        .captions[0]
        .text
    )
    assert text == case["caption"]
