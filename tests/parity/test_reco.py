"""ReCo's retrieval, its prototypes and its inference against recordings of the released code
(`reco/README.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_family_set import word_of, write_recipe
from reco_set import Recording, Tensor
from recording import Case, image_of
from sets import choose, find

from ovsskit.engine.driver import State
from ovsskit.engine.prototype_bank import Bank, write_bank
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image
from ovsskit.ops.co_segmentation import common_prototype, nearest, without_context
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.crop_image import CropImage
from ovsskit.stages.refine.dense_crf import cut_bytes

SET = "reco"
LIMITS = {
    "features": 1e-4,
    "dense_features": 2e-4,
    "attention": 1e-5,
    "weights": 1e-5,
    "grid": 1e-5,
    "reference": 1e-5,
    "scores": 1e-5,
    "crf_q": 2e-2,
    "input": 0.0,
    "first_input": 0.0,
}
LABELS = 2e-3
"""Share of pixels whose labels may differ, and at least one."""
SIDE = 224


def cases(facts: dict[str, Any]) -> list[str]:
    return [name for name in facts["cases"] if name != "archive"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"name": cases})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, SET))


def check(ours: Tensor, case: Case, name: str) -> None:
    """Hold numbers to a recording, by the limits of its notes."""
    theirs = case.tensors[name]
    assert ours.shape == theirs.shape, name
    last = name.rpartition(".")[2]
    limit = next(value for start, value in LIMITS.items() if last.startswith(start))
    found = float((ours - theirs).abs().max())
    assert found <= limit, f"{name}: {found:.2e} from the recording, {limit:.0e} allowed"


def test_archive_step(recording: Recording, tmp_path: Path) -> None:
    archive, facts = recording.archive, recording.archive.facts
    if "picture0" not in archive.tensors:
        pytest.skip("the archive's images are not in this set")
    deit, clip = recording.write_deit(tmp_path / "vit"), recording.write_clip(tmp_path / "clip")
    prepare, unit = (
        CropImage(short_side=SIDE, interpolation="bilinear"),
        torch.nn.functional.normalize,
    )
    found: dict[str, Tensor] = {}
    for word in facts["computed"]:
        row = facts["names"].index(word)
        query = archive.tensors["retrieval.text"][row]
        retrieved = nearest(archive.tensors["retrieval.embeddings"], query, facts["k"])
        assert retrieved == facts["retrieved"][word], word
        images = [
            prepare.run(image_of(archive.tensors[f"picture{index}"], f"picture{index}"))
            for index in retrieved
        ]
        if word == facts["context"][0]:
            seen = torch.stack([deit.pixels(image) for image in images])
            check(seen[:, :, ::8, ::8], archive, "first_input_sub8")
        features = torch.stack([one.data for one in deit.describe_patches(images)])
        dense = torch.stack([one.data for one in clip.describe_patches(images)])
        text = archive.tensors["text"][row]
        likeness = torch.einsum("idhw,d->ihw", unit(dense, dim=1), text)
        grid = features.shape[2:]
        where = torch.nn.functional.interpolate(
            (10 * likeness).sigmoid()[:, None], grid, mode="bilinear"
        )[:, 0]
        check(where, archive, f"{word}.attention")
        patches = features.flatten(2).transpose(1, 2)
        check(patches[:, ::14], archive, f"{word}.features_step14")
        before = [found[other] for other in facts["context"] if other in found]
        context = torch.stack(before) if before else patches[0, :0]
        weights = without_context(where.flatten(1), patches, context)
        check(weights.unflatten(1, grid), archive, f"{word}.weights")
        common = common_prototype(patches, weights, "released")
        check(common.support, archive, f"{word}.grid")
        assert torch.equal(common.seeds, archive.tensors[f"{word}.seeds"]), word
        check(common.prototype, archive, f"{word}.reference")
        mended = common_prototype(patches, weights)
        check(mended.prototype, archive, f"{word}.reference_fixed")
        found[word] = common.prototype
    same = {"vegetation": "tree"}
    together = torch.stack([found[same.get(one, one)] for one in facts["categories"]])
    check(together, archive, "references")


def test_inference(name: str, recording: Recording, tmp_path: Path) -> None:
    case = recording.case(name)
    deit, clip = recording.write_deit(tmp_path / "vit"), recording.write_clip(tmp_path / "clip")
    words = tuple(word_of(index) for index in range(len(recording.text)))
    write_bank(
        tmp_path / "bank.safetensors", Bank(words, recording.archive.tensors["references"], "")
    )
    values: dict[str, Any] = {
        "read_bank.file": str(tmp_path / "bank.safetensors"),
        "crop_image.short_side": case.facts.get("side", min(case.facts["input"])),
        "crop_image.crop": case.facts["kind"] == "crop",
        "label_map.reads": {"image": "resized"},
    }
    text = {address: value for address, value in values.items() if not isinstance(value, dict)}
    recipe = write_recipe(tmp_path, "reco", text)
    kept: dict[str, Any] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        kept[stage.address] = states[-1][stage.writes]

    stages = [
        stage.model_copy(update={"reads": values["label_map.reads"]})
        if stage.address == "label_map"
        else stage
        for stage in recipe.plan.stages
    ]
    models = {"backbone": clip.with_words(recording.text), "affinity": deit}
    pipeline = Pipeline.of(stages, models, device="cpu")
    pipeline.run_many([case.picture], recording.vocabulary, keep)
    seen: Image = kept["crop_image"]
    assert list(seen.size) == case.facts["input"]
    check(deit.pixels(seen)[:, ::4, ::4], case, "input_sub4")
    check(kept["affinity_patches"].data.flatten(1).T[::3], case, "features_step3")
    check(kept["describe_patches"].data, case, "dense_features")
    check(kept["text_upsample"].data[:, ::4, ::4], case, "attention_sub4")
    check(kept["mix"].data[:, ::4, ::4], case, "scores_sub4")
    same(kept["mix"].data.argmax(0), case.tensors["labels"])
    assert torch.equal(cut_bytes(seen.pixels).flip(-1), case.tensors["crf_picture"])
    check(kept["dense_crf"].data[:, ::4, ::4], case, "crf_q_sub4")
    same(kept["label_map"].ids - 1, case.tensors["labels_crf"])


def same(ours: Tensor, theirs: Tensor) -> None:
    """Hold labels to a recording."""
    differing = int((ours != theirs.long()).sum())
    assert differing <= max(1, LABELS * theirs.numel()), f"{differing} of {theirs.numel()} differ"
