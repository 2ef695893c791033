"""The recipes `car` and `car_context60` against what CaR's released code computed
(`car/README.md`).

Only the models are replaced, by the small towers of the recording, which know a vector for every
text, and the settings by those of a case. Limits are those of that file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from car_set import Recording, Tower, named
from sets import choose, find

from ovsskit.backbones.clip._vision import place_embeddings
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage, Wrapper
from ovsskit.engine.values import Explanation, Image
from ovsskit.ops.boxes import inside_boxes, scale
from ovsskit.ops.lines import draw_ellipse
from ovsskit.ops.marks import draw_marks
from ovsskit.recipe.build import load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.channel_cam import channel_weights
from ovsskit.stages.presence.presence_by_sentences import PresenceBySentences, merge_sentences
from ovsskit.stages.refine.dense_crf import wrap_bytes
from ovsskit.stages.refine.spread_by_attention import affinity

Tensor = torch.Tensor
LIMITS = {
    "tokens_before_last_block": 2e-4,
    "activation": 1e-4,
    "attention_mean_rows": 1e-5,
    "affinity_rows": 1e-5,
    "probability": 2e-5,
    "channel_weights": 1e-6,
    "cam": 2e-4,
    "refined": 2e-4,
    "maps_sub4": 5e-4,
    "text_scores": 1e-3,
    "crf.q_sub4": 2e-2,
    "scores": 1e-3,
}
"""By how much ours may differ; what is not named may not differ."""
SAME_IMAGE = {"judge_features": 1e-4, "judge_probability": 1e-4}
OTHER_IMAGE = {"judge_features": 5e-3, "judge_probability": 3e-3}
"""The same where the marked image is, to the byte, the recorded one, and where it is not."""
MARKED_BYTES = 60
CAM_EPSILON = 1e-15
LABELS = 2e-3
"""Share of pixels whose labels may differ, at least one."""


@dataclass
class Round:
    """Hold what ours computed in one round of one run."""

    texts: tuple[int, ...]
    explanation: Explanation
    written: dict[str, Tensor] = field(default_factory=dict)
    marked: list[Image] = field(default_factory=list)
    scores: list[tuple[float, ...]] = field(default_factory=list)
    kept: tuple[int, ...] = ()


@dataclass
class Computed:
    """Hold what ours computed of a case: the slots at the end, and the rounds of each run."""

    slots: State
    pipeline: Pipeline
    rounds: list[list[Round]]
    written: list[dict[str, Any]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests one run for each case whose tensors are there."""
    folder = metafunc.config.getoption("--parity-dir").resolve() / "car"
    choose(metafunc, "car", {"case": lambda facts: Recording(folder).cases})


@pytest.fixture(scope="module")
def car(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, "car"))


@pytest.fixture(scope="module")
def compute(car: Recording, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Computed]:
    """Return what runs the recipe on a case, once."""
    if not car.has_weights:
        pytest.skip("the towers are not among the recordings here")
    folder = tmp_path_factory.mktemp("towers")
    towers = {which: car.write_tower(which, folder / which) for which in ("proposer", "judge")}
    known: dict[str, Computed] = {}

    def run(case: str) -> Computed:
        if case not in known:
            known[case] = run_case(car, case, towers)
        return known[case]

    return run


def run_case(car: Recording, case: str, towers: dict[str, Path]) -> Computed:
    facts = car.facts["cases"][case]
    recipe = load_recipe("car" if len(facts["runs"]) == 1 else "car_context60")
    stages = changed(recipe.plan.stages, car.settings(case))
    models = {}
    for name, texts in zip(("proposer", "judge"), car.texts(case), strict=True):
        slot = {"proposer": "backbone", "judge": "classifier"}[name]
        weights = car.facts["weights"][name]
        kept = recipe.plan.models[slot].model_dump(exclude={"weights", "model", "epsilon"})
        kept |= {"epsilon": weights["layer_norm_eps"]}
        if "blocks_run" in weights:
            assert kept["skip_last_blocks"] == weights["blocks"] - weights["blocks_run"]
        models[slot] = Tower(weights=str(towers[name]), **kept).with_texts(texts)
    pipeline = Pipeline.of(stages, models, device="cpu")
    vocabulary = car.vocabulary(case)
    runs = [set(run["names"]) for run in facts["runs"]]
    rounds: list[list[Round]] = [[] for _ in runs]
    written: list[dict[str, Any]] = [{} for _ in runs]

    def watch(stage: Stage, states: Sequence[State], seconds: float) -> None:
        for state in states:
            place = (
                next(i for i, run in enumerate(runs) if run >= set(state["vocabulary"].names))
                if stage.address not in OUTSIDE
                else 0
            )
            see(stage, state, rounds[place], written[place])

    [slots] = pipeline.run_many([car.image(case)], vocabulary, watch)
    return Computed(slots, pipeline, rounds, written)


OUTSIDE = ("stretch_image", "encode_hidden", "patch_attention", "things_over_stuff")


def see(stage: Stage, state: State, rounds: list[Round], written: dict[str, Any]) -> None:
    """Note what a stage wrote."""
    value = state[stage.writes]
    if stage.address == "channel_cam":
        rounds.append(Round(state["present"].labels, state["explanation"]))
    if stage.address in ("channel_cam", "spread_by_attention", "min_max"):
        rounds[-1].written[stage.address] = value.data
    elif stage.address == "presence_by_sentences":
        rounds[-1].marked.append(state["image"])
        rounds[-1].scores.append(value.scores)
    elif stage.address == "visual_prompts":
        rounds[-1].kept = value.labels
    else:
        written[stage.address] = value


def changed(stages: Sequence[Stage], settings: dict[str, dict[str, Any]]) -> list[Stage]:
    """Return stages with a case's settings."""
    found = []
    for stage in stages:
        update = dict(settings.get(stage.address, {}))
        if isinstance(stage, Wrapper):
            update["inner"] = tuple(changed(stage.inner, settings))
        found.append(type(stage).model_validate({**fields_of(stage), **update}))
    return found


def fields_of(stage: Stage) -> dict[str, Any]:
    return {name: getattr(stage, name) for name in type(stage).model_fields}


def test_marks(car: Recording) -> None:
    tensors, kinds = car.marks(), car.facts["marks"]["kinds"]
    masks = tensors["masks"].bool().numpy()
    for number, marks in enumerate(kinds):
        found = draw_marks(tensors["picture"].numpy(), masks, named(marks))  # type: ignore[arg-type]
        assert (found == tensors[f"kind{number}"].numpy()).all(), marks


def test_ellipses(car: Recording) -> None:
    tensors = car.marks()
    height, width = car.facts["marks"]["ellipse_canvas"]
    bits = tensors["ellipse_bits"][..., None].int().bitwise_right_shift(torch.arange(7, -1, -1))
    drawn = (bits & 1).bool().flatten(2)[:, :, :width].numpy()
    for (row, column, tall, wide), expected in zip(
        tensors["ellipses"].tolist(), drawn, strict=True
    ):
        canvas = torch.zeros(height, width, dtype=torch.bool).numpy()
        draw_ellipse(canvas, (row, column), (tall, wide))
        assert (canvas == expected).all()


def test_scores_follow_from_recorded_features(car: Recording, case: str) -> None:
    tensors, scale_ = car.tensors(case), car.settings(case)["presence_by_sentences"]["scale"]
    unit = torch.nn.functional.normalize
    for front, run in runs_of(car, case):
        texts = unit(tensors["text.stuff_judge" if front else "text.judge"], dim=-1)
        for number, facts in enumerate(run["rounds"]):
            name = f"{front}round{number}."
            rows, kept = tensors[f"{name}texts"].tolist(), tensors[f"{name}kept"].tolist()
            logits = scale_ * texts[:, rows] @ unit(tensors[f"{name}judge_features"], dim=-1).T
            close(logits.softmax(1).transpose(1, 2), tensors, f"{name}judge_probability", 1e-4)
            ours = torch.stack(
                [merge_sentences(logits[..., i], "softmax_of_sum") for i in range(len(rows))]
            )
            close(ours, tensors, f"{name}text_scores", LIMITS["text_scores"])
            own, above = ours.diagonal(), car.settings(case)["presence_by_sentences"]["above"]
            taken = (own > above).nonzero()[:, 0].tolist() or [int(own.argmax())]
            assert taken == kept == facts["kept"]


def test_maps_follow_from_recorded_weights(car: Recording, case: str) -> None:
    tensors, box = car.tensors(case), car.facts["cases"][case]["settings"]["box"]
    for front, run in runs_of(car, case):
        for number in range(len(run["rounds"])):
            name = f"{front}round{number}."
            weights, activation = tensors[f"{name}channel_weights"], tensors["activation"]
            cut = torch.einsum("td,dhw->thw", weights, activation).clamp(min=0)
            cam = scale(scale(cut, CAM_EPSILON), CAM_EPSILON)
            limited(cam, tensors, f"{name}cam")
            inside = inside_boxes(cam, [box] * len(cam))
            assert torch.equal(inside.byte(), tensors[f"{name}box_mask"])


def runs_of(car: Recording, case: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what stands before the names of a run's tensors, and what is said of the run."""
    yield from zip(("", "stuff."), car.facts["cases"][case]["runs"], strict=False)


def test_before_the_rounds(car: Recording, case: str, compute: Callable[[str], Computed]) -> None:
    tensors, ours, facts = car.tensors(case), compute(case), car.facts["cases"][case]
    found = ours.slots
    backbone: Any = ours.pipeline.models["backbone"]
    hidden, visual = found["hidden"], backbone.network.visual
    table = place_embeddings(
        visual.positional_embedding, visual.grid_size, hidden.grid, backbone.positions
    )
    assert list(hidden.grid) == facts["grid"]
    assert torch.equal(table.half(), tensors["positions"])
    if "resized" in tensors:
        assert torch.equal(found["resized"].pixels, tensors["resized"])
    last = backbone.block_count
    limited(hidden.entering(last), tensors, "tokens_before_last_block")
    for part in ours.written:
        limited(part["explain_queries"].activations, tensors, "activation")
    blocks = tuple(layer + 1 for layer in car.facts["constants"]["cam_layers"])
    rows, mean = facts["matrix_rows"], found["patch_attention"].of(blocks).mean(0)
    limited(mean[rows], tensors, "attention_mean_rows")
    limited(affinity(mean, 3)[rows], tensors, "affinity_rows")


def test_rounds(car: Recording, case: str, compute: Callable[[str], Computed]) -> None:
    tensors, computed = car.tensors(case), compute(case)
    for (front, run), ours in zip(runs_of(car, case), computed.rounds, strict=True):
        assert len(ours) == len(run["rounds"])
        for number, (one, facts) in enumerate(zip(ours, run["rounds"], strict=True)):
            name = f"{front}round{number}."
            check_maps(one, facts, tensors, name, car.facts["cases"][case]["settings"]["box"])
            check_marked(one, facts, tensors, name, computed.slots["image"])
            check_judge(one, tensors, name, computed.pipeline.models["classifier"], car, case)


def check_maps(
    ours: Round, facts: dict[str, Any], tensors: dict[str, Tensor], name: str, box: float
) -> None:
    assert [label - 1 for label in ours.texts] == tensors[f"{name}texts"].tolist()
    count = len(ours.texts)
    limited(ours.explanation.logits.softmax(0), tensors, f"{name}probability")
    weights = channel_weights(ours.explanation)[:count]
    again = [
        row
        for row, text in enumerate(tensors[f"{name}texts"].tolist())
        if text in facts["recomputed_without_negatives"]
    ]
    weights[again] = channel_weights(ours.explanation.pick(range(count)))[again]
    limited(weights, tensors, f"{name}channel_weights")
    cam = ours.written["channel_cam"]
    limited(cam, tensors, f"{name}cam")
    inside = inside_boxes(scale(cam), [box] * len(cam))
    assert torch.equal(inside.byte(), tensors[f"{name}box_mask"])
    limited(ours.written["spread_by_attention"], tensors, f"{name}refined")


def check_marked(
    ours: Round, facts: dict[str, Any], tensors: dict[str, Tensor], name: str, image: Image
) -> None:
    maps = torch.nn.functional.interpolate(
        ours.written["min_max"][None], image.size, mode="bilinear"
    )[0]
    limited(maps[:, ::4, ::4], tensors, f"{name}maps_sub4")
    shown = torch.stack([one.pixels for one in ours.marked])
    differing = shown[:, ::4, ::4] != tensors[f"{name}marked_sub4"]
    assert int(differing.sum()) <= MARKED_BYTES
    plain = [torch.equal(one.data, image.data) for one in ours.marked]
    assert [text for text, same in enumerate(plain) if same] == facts["plain"]
    if f"{name}marked0" in tensors:
        assert int((shown[0] != tensors[f"{name}marked0"]).sum()) <= MARKED_BYTES


def check_judge(
    ours: Round, tensors: dict[str, Tensor], name: str, judge: Any, car: Recording, case: str
) -> None:
    features = judge.encode_image(ours.marked)
    stage = PresenceBySentences(scale=car.settings(case)["presence_by_sentences"]["scale"])
    sums = [int(one.pixels.sum(dtype=torch.int64)) for one in ours.marked]
    same = torch.tensor(sums) == tensors[f"{name}marked_sum"]
    unit = torch.nn.functional.normalize
    front = "text.stuff_judge" if name.startswith("stuff.") else "text.judge"
    texts = unit(tensors[front], dim=-1)[:, tensors[f"{name}texts"].tolist()]
    probability = (stage.scale * unit(features, dim=-1) @ texts.transpose(1, 2)).softmax(-1)
    for kind, found, axis in (
        ("judge_features", features, 0),
        ("judge_probability", probability, 1),
    ):
        theirs = tensors[f"{name}{kind}"]
        for place, is_same in enumerate(same.tolist()):
            limit = (SAME_IMAGE if is_same else OTHER_IMAGE)[kind]
            far = (found.select(axis, place) - theirs.select(axis, place)).abs().max()
            assert float(far) <= limit, (name, kind, place, float(far))
    scores = torch.tensor(ours.scores)[:, [label - 1 for label in ours.texts]]
    limited(scores, tensors, f"{name}text_scores")
    kept = [ours.texts.index(label) for label in ours.kept]
    assert kept == tensors[f"{name}kept"].tolist()


def test_labels(car: Recording, case: str, compute: Callable[[str], Computed]) -> None:
    tensors, ours = car.tensors(case), compute(case)
    for (front, run), written in zip(runs_of(car, case), ours.written, strict=True):
        refined = written["dense_crf"]
        assert len(refined.labels) == run["planes_to_crf"] + 1
        limited(refined.data[:, ::4, ::4], tensors, f"{front}crf.q_sub4")
        nearly(refined.data.argmax(0), tensors[f"{front}label_rows_crf"])
    image = ours.slots["image"]
    if "crf.picture" in tensors:
        assert torch.equal(wrap_bytes(image.pixels.flip(-1)), tensors["crf.picture"])
    nearly(ours.slots["labels"].ids, tensors["labels"])


def nearly(ours: Tensor, theirs: Tensor) -> None:
    """Hold labels of pixels to recorded ones, of which few may differ."""
    assert ours.shape == theirs.shape
    differing = int((ours != theirs).sum())
    assert differing <= max(1, LABELS * theirs.numel()), differing


def limited(ours: Tensor, tensors: dict[str, Tensor], name: str) -> None:
    """Hold a tensor to the recorded one, within the limit of its kind."""
    kind = re.sub(r"^(stuff\.)?(round\d+\.)?", "", name)
    close(ours, tensors, name, LIMITS[kind])


def close(ours: Tensor, tensors: dict[str, Tensor], name: str, limit: float) -> None:
    theirs = tensors[name]
    assert ours.shape == theirs.shape, (name, tuple(ours.shape), tuple(theirs.shape))
    far = float((ours - theirs).abs().max()) if theirs.numel() else 0.0
    assert far <= limit, f"{name}: {far:.2e} from the recording, {limit:.0e} allowed"
