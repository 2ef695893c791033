"""TagCLIP and CLIP-ES against what the released code computed (`tagclip/README.md`).

The recipes run as they are shipped, with a recorded tower and recorded vectors for the words. Where
the tower is not among the recordings, as in this project's own part of them, what follows from the
network is computed from what it gave there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from sets import Facts, choose, find
from tagclip_set import Recording

from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import (
    Explanation,
    Hidden,
    Image,
    PatchAttention,
    Present,
    Probabilities,
    Saliency,
    TextFeatures,
)
from ovsskit.ops.boxes import inside_boxes, rectangle_of, scale
from ovsskit.recipe.build import load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.channel_cam import channel_weights
from ovsskit.stages.maps.label_map import LabelMap
from ovsskit.stages.maps.min_max import MinMax
from ovsskit.stages.maps.rest_background import RestBackground
from ovsskit.stages.maps.upsample import Upsample
from ovsskit.stages.network.explain_queries import ExplainQueries
from ovsskit.stages.presence._patch_votes import boxes_of, count_votes, spread, vote
from ovsskit.stages.presence._second_look import above
from ovsskit.stages.presence.presence_by_patches import PresenceByPatches
from ovsskit.stages.refine.dense_crf import DenseCrf
from ovsskit.stages.refine.spread_by_attention import affinity

Tensor = torch.Tensor
RECIPES = {"voc": "tagclip_voc21", "coco": "tagclip_coco_object", "stuff": "tagclip_coco_stuff"}
COMPARED = {
    *("picture", "resized", "text.tagger", "text.cam", "labels", "labels_crf", "label_rows"),
    *("label_rows_crf", "crf.picture", "crf.q"),
    *(
        f"tagger.{name}"
        for name in (
            *("positions", "tokens", "attention_rows", "coarse", "votes", "weight_rows", "first"),
            *("box_threshold", "box_mask", "refined", "peak", "score", "present"),
        )
    ),
    *(
        f"second.{name}"
        for name in (
            *("threshold", "candidates", "boxes", "crop", "patch_mask", "class_token"),
            *("attention_class_row", "probability"),
        )
    ),
    *(
        f"cam.{name}"
        for name in (
            *("positions", "tokens_before_last_block", "attention_mean_rows", "affinity_rows"),
            *("activation", "probability", "channel_weights", "raw", "cam", "box_mask"),
            *("refined", "map", "map_half"),
        )
    ),
}
"""What a recording may hold; every name is read by a test."""
SHARE = 0.002
"""Share of pixels whose labels may differ."""
HALF = 2.0**-11
"""The step of half precision below 1."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder: Path = metafunc.config.getoption("--parity-dir") / "tagclip"

    def cases(facts: Facts) -> list[str]:
        return [name for name, one in facts["cases"].items() if (folder / one["file"]).is_file()]

    choose(metafunc, "tagclip", {"case": cases})


@pytest.fixture(scope="module")
def recording(request: pytest.FixtureRequest) -> Recording:
    return Recording(find(request.config.getoption("--parity-dir"), "tagclip"))


@pytest.fixture(scope="module")
def clip_folder(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (recording.folder / recording.facts["weights"]["file"]).is_file():
        pytest.skip("the tower is not among these recordings")
    return recording.write_clip(tmp_path_factory.mktemp("tagclip") / "clip")


class GivenText(Stage, writes="text_features"):
    """Give the recorded vectors of the words."""

    texts: Any

    def run(self, image: Image) -> TextFeatures:
        """Return the vectors."""
        found: TextFeatures = self.texts
        return found


class GivenPresent(Stage, writes="present"):
    """Give the classes that the tagger found."""

    present: Any

    def run(self, image: Image) -> Present:
        """Return the classes."""
        found: Present = self.present
        return found


def run_recipe(
    recording: Recording, case: str, backbone: Clip, present: Present | None = None
) -> dict[str, Any]:
    """Run the recipe of a case, and return what each of its stages wrote."""
    kind = recording.facts["cases"][case]["kind"]
    stages = []
    for stage in load_recipe(RECIPES[kind], recording.settings(case)).plan.stages:
        if stage.writes == "text_features":
            which = {"tag_text": "tagger", "cam_text": "cam"}[stage.address]
            stage = GivenText(name=stage.address, texts=recording.texts(case, which))
        if stage.writes == "present" and present is not None:
            stage = GivenPresent(present=present)
        stages.append(stage)
    kept: dict[str, Any] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        kept[stage.address] = states[-1][stage.writes]

    pipeline = Pipeline.of(stages, {"backbone": backbone}, device="cpu")
    pipeline.run_many([recording.image(case)], recording.vocabulary(case), keep)
    return kept


def close(ours: Tensor, theirs: Tensor, limit: float) -> None:
    torch.testing.assert_close(ours.float(), theirs.float(), atol=limit, rtol=0)


def same(ours: Tensor, theirs: Tensor) -> None:
    assert ours.tolist() == theirs.to(ours.dtype).tolist()


def check_labels(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert int((ours != theirs).sum()) <= max(1, SHARE * theirs.numel())


def step(recorded: dict[str, Tensor], stem: str) -> tuple[Tensor, int]:
    """Return what was recorded of every so many rows and columns, and how many."""
    [name] = [one for one in recorded if one.startswith(f"{stem}_sub")]
    return recorded[name], int(name.rpartition("_sub")[2])


def mean_attention(backbone: Clip, hidden: Hidden, layer: int) -> Tensor:
    """Return the mean of the heads' attention between all tokens."""
    queries, keys, _ = backbone.project(hidden, layer)
    scores = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
    return torch.mean(scores.softmax(-1), 0)


def test_tagger(recording: Recording, clip_folder: Path, case: str) -> None:
    backbone, facts = recording.backbone(clip_folder, "half"), recording.facts["cases"][case]
    theirs, ours = recording.tensors(case), run_recipe(recording, case, backbone)
    count = backbone.block_count
    same(ours["stretch_image"].pixels, theirs["resized"])
    hidden: Hidden = ours["encode_hidden"]
    if "tagger.positions" in theirs:
        visual = backbone.visual
        same(
            vision.place_embeddings(
                visual.positional_embedding, visual.grid_size, hidden.grid, "half"
            ),
            theirs["tagger.positions"],
        )
    tokens = backbone.finish_tokens(
        hidden, ours["identity_attention"], residual=True, feed_forward=True
    )
    close(tokens, theirs["tagger.tokens"], 1e-4)
    close(ours["attend"].data.flatten(1).T, theirs["tagger.tokens"][1:], 1e-4)
    attention: PatchAttention = ours["patch_attention"]
    rows = facts["attention_rows"]
    for layer in range(1, count + 1):
        close(
            mean_attention(backbone, hidden, layer)[rows],
            theirs["tagger.attention_rows"][layer - 1],
            1e-5,
        )
    places = [place for place, row in enumerate(rows) if row]
    close(
        attention.data[:, [rows[place] - 1 for place in places]],
        theirs["tagger.attention_rows"][:, places, 1:],
        1e-5,
    )
    coarse: Probabilities = ours["softmax"]
    close(coarse.data.flatten(1).T, theirs["tagger.coarse"], 2e-5)
    same(count_votes(attention.data), theirs["tagger.votes"])
    check_second_look(recording, case, backbone, ours)
    present: Present = ours["presence_by_patches"]
    close(torch.tensor(present.scores), theirs["tagger.score"], 1e-5)
    assert [label - 1 for label in present.labels] == theirs["tagger.present"].tolist()


def tagger_of(recording: Recording, case: str) -> PresenceByPatches:
    """Return the stage of the recipe of a case."""
    kind = recording.facts["cases"][case]["kind"]
    stages = load_recipe(RECIPES[kind], recording.settings(case)).plan.stages
    [found] = [stage for stage in stages if isinstance(stage, PresenceByPatches)]
    return found


def check_second_look(
    recording: Recording, case: str, backbone: Clip, ours: dict[str, Any]
) -> None:
    """Compare what is looked at again, and what is seen there."""
    theirs, facts = recording.tensors(case), recording.facts["cases"][case]
    stage, coarse, image = tagger_of(recording, case), ours["softmax"], ours["stretch_image"]
    weights = vote(
        ours["patch_attention"].data, ours["patch_attention"].of(stage.layers).mean(0), stage.votes
    )
    close(weights[facts["matrix_rows"]], theirs["tagger.weight_rows"], 1e-5)
    first = spread(weights, coarse.data)
    close(first.flatten(1).T, theirs["tagger.first"], 1e-5)
    maps = stage.refine(coarse, ours["patch_attention"])
    check_refined(stage, first, maps, theirs)
    looks = stage.looks(image, maps, coarse.labels)
    looked_at = [look.text for look in looks]
    assert looked_at == theirs["second.candidates"].tolist()[: facts["second_looks"]]
    if not looks:
        return
    crops, step_ = step(theirs, "second.crop")
    regions = [backbone.region(look.crop, look.region) for look in looks]
    for (pixels, seen), crop, mask in zip(regions, crops, theirs["second.patch_mask"], strict=True):
        close(pixels[:, ::step_, ::step_], crop, 1e-4)
        same(seen.to(torch.uint8), mask)
    vectors = backbone.encode_regions(
        [look.crop for look in looks], [look.region for look in looks]
    )
    close(vectors, theirs["second.class_token"], 1e-4)
    texts = recording.texts(case, "tagger")
    for look, vector, recorded in zip(looks, vectors, theirs["second.probability"], strict=True):
        close(look.sure(vector, texts, stage.scale), recorded[look.text], 2e-5)
        logits = stage.scale * (texts.data @ torch.nn.functional.normalize(vector, dim=0))
        close(logits.softmax(0), recorded, 2e-5)
    check_class_rows(backbone, regions, theirs["second.attention_class_row"])


def check_refined(
    stage: PresenceByPatches, first: Tensor, maps: Tensor, theirs: dict[str, Tensor]
) -> None:
    """Compare boxes, refined scores, and which classes are looked at again."""
    close(scale(first).mean((1, 2)), theirs["tagger.box_threshold"], 1e-5)
    same(boxes_of(first).to(torch.uint8), theirs["tagger.box_mask"])
    close(maps.flatten(1).T, theirs["tagger.refined"], 1e-5)
    peaks = maps.amax((1, 2))
    close(peaks[: len(theirs["tagger.peak"])], theirs["tagger.peak"], 1e-5)
    least = above(maps, stage.fraction)
    close(least[None], theirs["second.threshold"], 1e-5)
    candidates = (peaks[: len(theirs["tagger.peak"])] > least).nonzero()[:, 0]
    same(candidates, theirs["second.candidates"])
    for text, box in zip(candidates.tolist(), theirs["second.boxes"].tolist(), strict=False):
        rows, columns = rectangle_of(scale(maps[text]) > 0.5)
        assert [rows.start, columns.start, rows.stop, columns.stop] == box


def check_class_rows(
    backbone: Clip, regions: Sequence[tuple[Tensor, Tensor]], theirs: Tensor
) -> None:
    """Compare what the class token looks at in the first, a middle and the last block."""
    pixels, seen = (torch.stack(some) for some in zip(*regions, strict=True))
    blocks = vision.blocks_of(backbone.visual)
    tokens, _ = vision.embed(backbone.visual, pixels, "size")
    mask, found = vision.hide_from_class_token(tokens, seen.flatten(1)), []
    with torch.no_grad():
        for block in blocks:
            projection = vision.project(block, tokens)
            scores = projection.queries[..., :1, :] @ projection.keys.transpose(-1, -2)
            scores = scores * projection.queries.shape[-1] ** -0.5
            found.append(scores.softmax(-1).mean(1)[:, 0])
            tokens = vision.attend_as_trained(block, tokens, projection, mask)
    middle, last = (len(blocks) - 1) // 2, len(blocks) - 1
    close(torch.stack([found[block] for block in (0, middle, last)], 1), theirs, 1e-5)


def test_segmenter(recording: Recording, clip_folder: Path, case: str) -> None:
    backbone, facts = recording.backbone(clip_folder, "half_always"), recording.facts["cases"][case]
    theirs = recording.tensors(case)
    present = Present(tuple(int(place) + 1 for place in theirs["tagger.present"]))
    ours = run_recipe(recording, case, backbone, present)
    hidden: Hidden = ours["encode_hidden"]
    visual, rows = backbone.visual, facts["matrix_rows"]
    places = vision.place_embeddings(
        visual.positional_embedding, visual.grid_size, hidden.grid, "half_always"
    )
    same(places, theirs["cam.positions"])
    close(hidden.entering(backbone.block_count), theirs["cam.tokens_before_last_block"], 2e-4)
    layers = [layer + 1 for layer in method(recording, case)["cam_layers"]]
    mean = ours["patch_attention"].of(tuple(layers)).mean(0)
    close(mean[rows], theirs["cam.attention_mean_rows"], 1e-5)
    close(affinity(mean, 3)[rows], theirs["cam.affinity_rows"], 1e-5)
    explanation: Explanation = ours["explain_queries"]
    close(explanation.activations, theirs["cam.activation"], 1e-4)
    weights = channel_weights(explanation)[: len(present.labels)]
    close(weights, theirs["cam.channel_weights"], 1e-6)
    apart = ExplainQueries(scale=recording_scale(recording), negatives="apart").run(
        hidden, recording.texts(case, "cam"), backbone, present
    )
    close(apart.logits.softmax(0), theirs["cam.probability"], 2e-5)
    close(channel_weights(apart)[: len(present.labels)], theirs["cam.channel_weights"], 1e-6)
    raw = torch.einsum("td,dhw->thw", weights, explanation.activations)
    close(raw, theirs["cam.raw"], 1e-5)
    close(ours["channel_cam"].data, theirs["cam.cam"], 2e-4)
    close(ours["spread_by_attention"].data, theirs["cam.refined"], 2e-4)
    check_maps(ours["upsample"].data, ours["rest_background"].data, theirs)
    refined: Probabilities = ours["dense_crf"]
    marginals, every = step(theirs, "crf.q")
    close(refined.data[:, ::every, ::every], marginals, 2e-2)
    check_labels(refined.data.argmax(0), theirs["label_rows_crf"])
    has_background = method(recording, case)["background"]
    check_ids(ours["label_map"].ids, present, theirs, "_crf", has_background=has_background)
    image, vocabulary = recording.image(case), recording.vocabulary(case)
    plain = LabelMap(align="edges").run(ours["rest_background"], vocabulary, image).ids
    check_ids(plain, present, theirs, "", has_background=has_background)


def check_ids(
    labels: Tensor, present: Present, theirs: dict[str, Tensor], end: str, *, has_background: bool
) -> None:
    """Compare numbers of classes; without a background theirs are those of coarse classes."""
    if not has_background:
        rows, coarse = theirs[f"label_rows{end}"].flatten(), theirs[f"labels{end}"].flatten()
        number_of = dict(zip(rows.tolist(), coarse.tolist(), strict=True))
        found = [number_of.get(present.labels.index(one), -1) for one in labels.flatten().tolist()]
        labels = torch.tensor(found).view(labels.shape)
    check_labels(labels, theirs[f"labels{end}"])


def check_maps(enlarged: Tensor, stacked: Tensor, theirs: dict[str, Tensor]) -> None:
    """Compare maps at the image's size, in half precision, and which is highest where."""
    maps, every = step(theirs, "cam.map")
    close(enlarged[:, ::every, ::every], maps, 2e-4)
    half, every = step(theirs, "cam.map_half")
    close(stacked[-len(half) :, ::every, ::every], half, 2e-4 + HALF)
    check_labels(stacked.argmax(0), theirs["label_rows"])


def method(recording: Recording, case: str) -> dict[str, Any]:
    """Return the settings of a case's kind."""
    kind = recording.facts["cases"][case]["kind"]
    found: dict[str, Any] = recording.facts["constants"]["settings"][kind]
    return found


def recording_scale(recording: Recording) -> float:
    """Return what cosines are multiplied by."""
    return float(torch.tensor(recording.facts["weights"]["logit_scale"]).exp())


@pytest.fixture
def on_grid(recording: Recording, case: str) -> Callable[[Tensor], Tensor]:
    """Return what lays a row for each patch on the grid, as one map for each column."""
    grid = recording.facts["cases"][case]["grid"]
    return lambda rows: rows.T.unflatten(1, grid)


def test_what_the_tagger_makes_of_the_network(
    recording: Recording, case: str, on_grid: Callable[[Tensor], Tensor]
) -> None:
    theirs, facts = recording.tensors(case), recording.facts["cases"][case]
    stage, rows = tagger_of(recording, case), facts["matrix_rows"]
    coarse, first = theirs["tagger.coarse"], theirs["tagger.first"]
    taken_in = theirs["tagger.weight_rows"] @ coarse
    close(taken_in, first[rows], 1e-5)
    boxes = boxes_of(on_grid(first)).flatten(1).T
    close(theirs["tagger.weight_rows"] @ (coarse * boxes), theirs["tagger.refined"][rows], 1e-5)
    check_refined(stage, on_grid(first), on_grid(theirs["tagger.refined"]), theirs)
    labels = tuple(range(1, facts["classes"] + 1))
    present = stage.choose(theirs["tagger.score"], labels, recording.vocabulary(case))
    assert [label - 1 for label in present.labels] == theirs["tagger.present"].tolist()


def test_what_the_segmenter_makes_of_the_network(
    recording: Recording, case: str, on_grid: Callable[[Tensor], Tensor]
) -> None:
    theirs, facts = recording.tensors(case), recording.facts["cases"][case]
    crf, background = recording.facts["constants"]["crf"], method(recording, case)["background"]
    raw = torch.einsum("td,dhw->thw", theirs["cam.channel_weights"], theirs["cam.activation"])
    close(raw, theirs["cam.raw"], 1e-5)
    cam = scale(scale(theirs["cam.raw"].clamp(min=0), 1e-7), 1e-7)
    close(cam, theirs["cam.cam"], 2e-4)
    cams = theirs["cam.cam"]
    boxes = inside_boxes(cams, [method(recording, case)["cam_box"]] * len(cams))
    same(boxes.to(torch.uint8), theirs["cam.box_mask"])
    rows, seen = facts["matrix_rows"], theirs["cam.cam"] * boxes
    if len(rows) == len(theirs["tagger.coarse"]):
        close(affinity(theirs["cam.attention_mean_rows"], 3), theirs["cam.affinity_rows"], 1e-5)
    spread_rows = theirs["cam.affinity_rows"] @ seen.flatten(1).T
    close(spread_rows, theirs["cam.refined"].flatten(1).T[rows], 2e-4)
    image, labels = recording.image(case), tuple(range(1, len(boxes) + 1))
    scaled = MinMax(constant="zero", epsilon=1e-7).run(Saliency(theirs["cam.refined"], labels))
    enlarged = Upsample(align="edges").run(scaled, image)
    when: Any = "always" if background else "never"
    stacked = RestBackground(when=when, precision="half").run(enlarged)
    check_maps(enlarged.data, stacked.data, theirs)
    field = DenseCrf(
        steps=crf["steps"],
        gaussian_sigma=crf["gaussian"]["sxy"],
        gaussian_weight=crf["gaussian"]["weight"],
        bilateral_sigma=crf["bilateral"]["sxy"],
        bilateral_colour_sigma=crf["bilateral"]["srgb"],
        bilateral_weight=crf["bilateral"]["weight"],
        channels="bgr_wrapped",
    )
    same(field._pixels(image, *image.size), theirs["crf.picture"])
    refined = field.run(image, stacked)
    marginals, every = step(theirs, "crf.q")
    close(refined.data[:, ::every, ::every], marginals, 2e-2)
    check_labels(refined.data.argmax(0), theirs["label_rows_crf"])


def test_what_is_recorded_is_compared(recording: Recording, case: str) -> None:
    stems = {name.partition("_sub")[0] for name in recording.tensors(case)}
    assert stems <= COMPARED
