"""Our OFA and IFSeg against recordings of the released modules; every number comes from the
recording.

The released decoder computes one output more than there are patches, and drops it everywhere; ours
does not compute it, so rows and columns of that position are left out of comparisons.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from floor import MARGIN, Twice, check, check_alike, check_all, check_values
from ifseg_set import IfsegRecording
from sets import Facts, choose, find
from torch.nn.functional import interpolate

from ovsskit.backbones.ofa._encoder import padding_mask
from ovsskit.backbones.ofa._positions import grid_bias, text_bias, with_origin
from ovsskit.backbones.ofa._text import PROMPT, UNKNOWN_NAME, TextReader, full_rows
from ovsskit.engine.values import Image, Logits, PatchFeatures, Probabilities
from ovsskit.fit.artificial import enlarge
from ovsskit.fit.table import FitTable
from ovsskit.fit.tuning import Tuner
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.maps.label_map import LabelMap
from ovsskit.stages.maps.softmax import Softmax
from ovsskit.stages.maps.upsample import Upsample
from ovsskit.stages.refine.dense_crf import DenseCrf
from ovsskit.stages.refine.knn_smoothing import KnnSmoothing, nearest

TIE = 1e-5
"""Pixels whose two best scores are as near as this may have either label."""
CRF_LABELS = 0.999
RESIZED = 0.995
"""Share of pixels that must be equal after resizing; the others may differ by one level of 255."""
LOGITS, LOSS, PARAMETERS = 1.5e-5, 6e-7, 1e-6
"""The floors that the set states, for tuning: of logits, of the loss (relative), and of parameters
after the steps.
"""
close = torch.testing.assert_close


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = metafunc.config.getoption("--parity-dir") / "ifseg"
    choices = {
        "phrases": lambda facts: phrases(json.loads((folder / "text.json").read_text())),
        "encoder_layer": lambda facts: range(facts["config"]["encoder_layers"]),
        "decoder_layer": lambda facts: range(facts["config"]["decoder_layers"]),
    }
    choose(metafunc, "ifseg", choices)


def phrases(text: Facts) -> list[tuple[str, ...]]:
    """Return where the recorded tokens of texts are: lists of classes, and single phrases."""
    lists = [name for name, one in text.items() if isinstance(one, dict) and "classes" in one]
    return [(name,) for name in lists] + [("misc", str(i)) for i in range(len(text["misc"]))]


@pytest.fixture(scope="module")
def recording(parity_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> IfsegRecording:
    return IfsegRecording(find(parity_dir, "ifseg"), tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def full_reader() -> TextReader:
    return TextReader(full_rows(), 1024)


@pytest.fixture(scope="module")
def passes(recording: IfsegRecording) -> Twice:
    return Twice.of(lambda: run_cases(recording))


def run_cases(recording: IfsegRecording) -> dict[str, dict[str, torch.Tensor]]:
    """Run every recorded case once, and keep what the layers wrote under the recording's names,
    batch first.
    """
    network, found = recording.network(), {}
    for case, facts in recording.facts["cases"].items():
        wrote: dict[str, torch.Tensor] = {}
        encoder, decoder = network.encoder, network.decoder
        features = encoder.patches(recording.pixels(case))
        grid, ids = (features.shape[2], features.shape[3]), recording.ids(case)
        assert list(grid) == facts["grid"]
        hooks = [
            _keep(layer, f"encoder_state{number}", wrote)
            for number, layer in enumerate(encoder.layers, 1)
        ]
        hooks += [
            _keep(layer, f"decoder_state{number}", wrote)
            for number, layer in enumerate(decoder.layers, 1)
        ]
        hooks += [
            _keep(encoder.layer_norm, "encoder_out", wrote),
            _keep(decoder.layer_norm, "decoder_features", wrote),
        ]
        hooks += [_keep(decoder.layernorm_embedding, "decoder_state0", wrote)]
        for side, first in (("encoder", encoder.layers[0]), ("decoder", decoder.layers[0])):
            parts = (
                "self_attn",
                "attn_ln",
                "self_attn_ln",
                "encoder_attn",
                "cross_attn_ln",
                "ffn_layernorm",
                "fc2",
            )
            for name in parts:
                if hasattr(first, name):
                    hooks.append(_keep(getattr(first, name), f"{side}.layer0.{name}.out", wrote))
        tokens = encoder.project(features)
        biases = network.biases(grid, ids.shape[1])
        wrote |= {
            "image_embed_before_proj": features.flatten(2).transpose(1, 2),
            "image_embed_after_proj": tokens,
            "encoder_state0": encoder.embed(tokens, ids),
            "position_embeddings": biases.encoder.positions.expand(len(ids), -1, -1),
        }
        decoded = network(tokens, ids, biases)
        wrote["logits"] = decoded @ network.words(recording.facts["class_tokens"][:-1]).T
        for hook in hooks:
            hook.remove()
        found[case] = wrote
    return found


def _keep(module: torch.nn.Module, name: str, wrote: dict[str, torch.Tensor]) -> Any:
    def keep(module: torch.nn.Module, read: Any, written: torch.Tensor) -> None:
        wrote[name] = written

    return module.register_forward_hook(keep)


PARTS = {
    "": slice(None),
    ".head": slice(8),
    ".first128": slice(128),
    ".first64": slice(64),
    ".last40": slice(-40, None),
}
"""The rows that were recorded, by the end of a name."""


def test_every_recorded_state_of_encoder_and_decoder(
    recording: IfsegRecording, passes: Twice
) -> None:
    compared = defaultdict[str, list[tuple[Twice, torch.Tensor, str]]](list)
    for case in passes.single:
        found = list(recorded_states(recording, passes, case))
        assert len(found) >= 4
        for name, ours, theirs in found:
            compared[name].append((ours, theirs, f"{case}.{name}"))
    assert compared
    for alike in compared.values():
        check_alike(alike)


def recorded_states(
    recording: IfsegRecording, passes: Twice, case: str
) -> Iterator[tuple[str, Twice, torch.Tensor]]:
    """Yield what is recorded of a case: its name, ours and theirs."""
    sequence_first = ("_state", "encoder_out", ".layer0.")
    for name in passes.single[case]:
        for suffix, rows in PARTS.items():
            theirs = recording.golden.get(f"{case}.{name}{suffix}")
            if theirs is None:
                continue
            if suffix == ".last40" or any(one in name for one in sequence_first):
                theirs = theirs.transpose(0, 1)
            dropped = -1 if name == "logits" or name.startswith("decoder") else None
            mine = passes.map(lambda wrote, name=name, rows=rows: wrote[case][name][:, rows])
            yield f"{name}{suffix}", mine, theirs[:, :dropped]


def biases_of(recording: IfsegRecording, case: str) -> Twice:
    grid = tuple(recording.facts["cases"][case]["grid"])
    return Twice.of(lambda: recording.network().biases(grid, recording.ids(case).shape[1]))


def test_biases_of_the_encoder(recording: IfsegRecording, encoder_layer: int) -> None:
    name = f"encoder.layer{encoder_layer}.self_attn_bias"
    case = recording.case_with(name)
    mine = biases_of(recording, case).map(lambda biases: biases.encoder.layers[encoder_layer])
    check(mine, recording.golden[f"{case}.{name}"])


def test_biases_of_the_decoder(recording: IfsegRecording, decoder_layer: int) -> None:
    name = f"decoder.layer{decoder_layer}.self_attn_bias"
    case = recording.case_with(name)
    biases = biases_of(recording, case).map(lambda biases: biases.decoder)
    mine = biases.map(lambda decoder: decoder.layers[decoder_layer])
    count = mine.single.shape[-1]
    later = torch.ones(count, count, dtype=torch.bool).triu(1)
    assert mine.single[:, later].isinf().all()
    theirs = recording.golden[f"{case}.{name}"][:, :count, :count]
    check(mine.map(lambda one: one[:, ~later]), theirs[:, ~later])
    crossed = recording.golden[f"{case}.decoder.cross_attn_bias"][:, :count]
    check(biases.map(lambda decoder: decoder.cross), crossed)


def test_relative_biases_before_they_are_resized(
    recording: IfsegRecording, encoder_layer: int
) -> None:
    case = recording.case_with(f"encoder.token_rel_bias{encoder_layer}")
    length, side = recording.ids(case).shape[1], recording.facts["config"]["seg_bucket_size"]

    def tables() -> dict[str, torch.Tensor]:
        encoder, decoder = recording.network().encoder, recording.network().decoder
        table = decoder.seg_rel_pos_table_list[0].weight
        texts = encoder.token_rel_pos_table_list[encoder_layer].weight
        images = encoder.image_rel_pos_table_list[0].weight
        return {
            f"{case}.encoder.token_rel_bias{encoder_layer}": text_bias(texts, length)[None],
            f"{case}.encoder.image_rel_bias0.orig_rows0_2": grid_bias(images, side)[None, :, :3],
            f"{case}.decoder.seg_rel_bias0.orig_rows0_2": with_origin(
                grid_bias(table, side), table
            )[:, :3],
        }

    ours = Twice.of(tables)
    check_all(ours, {name: recording.golden[name] for name in ours.single})


def test_which_tokens_are_padding(recording: IfsegRecording) -> None:
    case = recording.case_with("encoder_padding_mask")
    ids, theirs = recording.ids(case), recording.golden[f"{case}.encoder_padding_mask"].bool()
    mask = padding_mask(ids, theirs.shape[1] - ids.shape[1])
    assert mask is not None
    assert torch.equal(mask[:, 0, 0].isinf(), theirs)


def test_tokens_of_lists_and_of_awkward_phrases(
    recording: IfsegRecording, full_reader: TextReader, phrases: tuple[str, ...]
) -> None:
    name, *index = phrases
    facts = recording.text[name]
    if index:
        facts = facts[int(index[0])]
        assert full_reader.pieces(facts["text"]) == facts["tokens"]
        return
    assert [full_reader.pieces(one) for one in (*facts["classes"], UNKNOWN_NAME)] == facts["tokens"]
    source = full_reader.read(facts["classes"])
    assert len(source) == facts["src_len"]
    assert hashlib.sha256(json.dumps(source).encode()).hexdigest() == facts["src_sha256"]


def test_tokens_of_the_prompt(recording: IfsegRecording, full_reader: TextReader) -> None:
    assert full_reader.pieces(PROMPT) == recording.text["prompt_tokens"]
    assert recording.text["prompt_prefix"] == PROMPT


def test_tokens_of_a_small_dictionary(recording: IfsegRecording, full_reader: TextReader) -> None:
    facts = recording.facts
    assert recording.reader().read(facts["classes"]) == facts["src_tokens"]
    assert full_reader.read(facts["classes"]) == facts["src_tokens_full_dictionary"]


def test_class_words_are_the_mean_of_their_pieces(recording: IfsegRecording) -> None:
    pieces = [recording.reader().pieces(name) for name in recording.facts["classes"]]
    stored = recording.backbone().checkpoint.tuned
    assert stored is not None
    check(Twice.of(lambda: recording.network().words(pieces)), stored.embeddings)


def post(recording: IfsegRecording) -> tuple[Logits, PatchFeatures, Image]:
    """Return logits, features and a picture of the original size of the recorded
    evaluation case.
    """
    network, facts, pixels = (
        recording.network(),
        recording.facts,
        recording.pixels("post"),
    )
    features = network.encoder.patches(pixels)
    grid, ids = (features.shape[2], features.shape[3]), torch.tensor([facts["src_tokens"]])
    decoded = network(network.encoder.project(features), ids, network.biases(grid, ids.shape[1]))
    logits = decoded[0] @ network.words(facts["class_tokens"][:-1]).T
    labels = tuple(range(1, 1 + logits.shape[1]))
    original = torch.zeros(3, facts["post"]["ori_height"], facts["post"]["ori_width"])
    return Logits(logits.T.unflatten(1, grid), labels), PatchFeatures(features[0]), Image(original)


@pytest.fixture(scope="module")
def posted(recording: IfsegRecording) -> Twice:
    return Twice.of(lambda: post(recording))


def same_labels(mine: torch.Tensor, theirs: torch.Tensor, maps: torch.Tensor) -> None:
    best = maps.topk(2, 0).values
    clear = best[0] - best[1] > TIE
    assert torch.equal(mine[clear], theirs.long()[clear])


def test_evaluation(recording: IfsegRecording, posted: Twice) -> None:
    golden, vocabulary = recording.golden, make_vocabulary(recording.facts["classes"])
    upsample, original = Upsample(align="edges"), posted.single[2]
    logits = posted.map(lambda made: made[0])
    raw = logits.map(lambda one: upsample.run(one, original))
    smooth = posted.map(lambda made: KnnSmoothing().run(Softmax().run(made[0]), made[1]))
    large = smooth.map(lambda one: upsample.run(one, original))
    check(logits.map(lambda one: one.data.flatten(1).T), golden["post.logits"][0, :-1])
    check(raw.map(lambda one: one.data), golden["post.upsampled_logits"].permute(2, 0, 1))
    check(smooth.map(lambda one: one.data.flatten(1).T), golden["post.prob_k3_i25"][0])
    check(large.map(lambda one: one.data), golden["post.upsampled_prob_k3"].permute(2, 0, 1))
    for maps, drawn, name in ((logits, raw, "raw"), (smooth, large, "k3")):
        found = LabelMap(align="edges").run(maps.single, vocabulary, original)
        same_labels(found.ids, golden[f"post.argmax_{name}"].long() + 1, drawn.single.data)


def test_neighbours(recording: IfsegRecording, posted: Twice) -> None:
    matches = [re.fullmatch(r"post\.topk(\d+)_idx", name) for name in recording.golden]
    counts = [int(match[1]) for match in matches if match]
    assert counts
    for count in counts:
        ours = nearest(posted.single[1].data, count)
        theirs = recording.golden[f"post.topk{count}_idx"][0].long()
        assert torch.equal(ours.sort(1).values, theirs.sort(1).values)


def test_the_notebook(recording: IfsegRecording, posted: Twice) -> None:
    golden, upsample, original = recording.golden, Upsample(align="edges"), posted.single[2]
    plain = posted.map(lambda made: upsample.run(Softmax().run(made[0]), original).data)
    check(plain, golden["post.prob_raw_upsampled"])
    smooth = posted.map(
        lambda made: KnnSmoothing(neighbours=5).run(Softmax().run(made[0]), made[1])
    )
    check(
        smooth.map(lambda one: upsample.run(one, original).data), golden["post.prob_k5_upsampled"]
    )
    [crf] = [
        stage for stage in load_recipe("ifseg_notebook").plan.stages if isinstance(stage, DenseCrf)
    ]
    picture = Image(golden["post.crf.in.bgr"].flip(2).permute(2, 0, 1).float() / 255)
    labels = posted.single[0].labels
    found = crf.run(picture, Probabilities(golden["post.prob_k5_upsampled"], labels))
    assert (found.data.argmax(0) == golden["post.crf.argmax"].long()).float().mean() >= CRF_LABELS
    close(found.data, golden["post.crf.Q"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["down", "up"])
def test_resizing(recording: IfsegRecording, name: str) -> None:
    source = recording.golden["post.crf.in.bgr" if name == "down" else "resize.up.in"]
    theirs = recording.golden[f"resize.{name}.out"].int()
    picture = Image(source.permute(2, 0, 1).float() / 255)
    backbone = recording.backbone(image_size=64, longer_side=256)
    mine = ((backbone.pixels(picture) * 0.5 + 0.5) * 255).round().int().permute(1, 2, 0)
    assert mine.shape == theirs.shape
    assert (mine - theirs).abs().max() <= 1
    assert (mine == theirs).float().mean() >= RESIZED


def test_the_loss_of_the_evaluation_case(recording: IfsegRecording, posted: Twice) -> None:
    """The recorded loss of upsampled logits, void pixels left out."""
    facts, truth = recording.facts["post"], recording.golden["post.in.gt"].long()
    logits, _, original = posted.single
    large = interpolate(logits.data[None], original.size, mode="bilinear")
    loss = torch.nn.functional.cross_entropy(large, truth[None], ignore_index=facts["void_id"])
    assert float(loss) == pytest.approx(facts["loss"], rel=MARGIN * LOSS)


@pytest.fixture(scope="module", params=[1, 2], ids=lambda count: f"{count} at once")
def tuning(recording: IfsegRecording, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Tune as recorded, and keep logits, losses and gradients of every step."""
    facts, golden = recording.facts["train"], recording.golden
    settings = FitTable(
        updates=facts["total_updates"],
        batch=facts["batch_size"],
        at_once=request.param,
        rate=facts["lr_max"],
        weight_decay=facts["weight_decay"],
        clip=facts["clip_norm"],
        dropout=facts["dropout"],
        drop_path=facts["drop_path"],
    )
    tuner = Tuner(
        recording.network(),
        recording.facts["class_tokens"][:-1],
        recording.facts["src_tokens"],
        settings,
    )
    side, steps = recording.facts["config"]["seg_bucket_size"], []
    for number in range(len(facts["steps"])):
        grids = [golden[f"train{number}.grid{item}"].long() for item in range(facts["batch_size"])]
        images = enlarge(grids, side)
        with torch.no_grad():
            biases = tuner.network.biases((side, side), len(recording.facts["src_tokens"]))
            logits = tuner.logits(images, biases)
        loss = tuner.gradients(images)
        gradients = {
            name: one.grad.clone() for name, one in tuner.tuned().items() if one.grad is not None
        }
        steps.append({"images": images, "logits": logits, "loss": loss, "gradients": gradients})
        tuner.update(number)
    return {"tuner": tuner, "steps": steps}


UNSEEN = ("k_proj.bias", "pos_k_linear.bias")
"""Parameters whose gradients are zero but for rounding: a softmax does not see what is the same for
all keys.
"""


def test_what_is_tuned(recording: IfsegRecording, tuning: dict[str, Any]) -> None:
    facts = recording.facts["train"]
    assert set(tuning["tuner"].tuned()) == set(facts["trainable"]) - set(
        facts["trainable_without_gradient"]
    )


def test_artificial_images_and_their_tokens(
    recording: IfsegRecording, tuning: dict[str, Any]
) -> None:
    golden, config = recording.golden, recording.facts["config"]
    side, large_side = config["seg_bucket_size"], config["patch_image_size"]
    for number, step in enumerate(tuning["steps"]):
        assert torch.equal(step["images"].patches, golden[f"train{number}.labels{side}"].long())
    large = golden[f"train0.labels{large_side}"].long()
    assert torch.equal(tuning["steps"][0]["images"].pixels[: len(large)], large)
    first = tuning["steps"][0]["images"].patches[0].flatten()[:64]
    words = golden["train0.word_image_tokens_item0.first64"]
    check_values(tuning["tuner"].words[first], words, PARAMETERS)
    pieces = recording.facts["class_tokens"]
    ends = torch.tensor(
        [len(pieces[label]) for label in tuning["steps"][0]["images"].patches[0].flatten()]
    ).cumsum(0)
    assert torch.equal(ends, golden["train0.word_offsets"][: len(ends)].long())
    written = torch.tensor(
        [
            piece
            for label in tuning["steps"][0]["images"].patches[0].flatten()
            for piece in pieces[label]
        ]
    )
    assert torch.equal(written, golden["train0.word_tokens"][0, : len(written)].long())


def test_what_the_encoder_makes_of_an_artificial_image(recording: IfsegRecording) -> None:
    golden, side = recording.golden, recording.facts["config"]["seg_bucket_size"]
    ids, cells = golden["train0.src_tokens"][:1].long(), golden[f"train0.labels{side}"][0].long()

    def encode() -> dict[str, torch.Tensor]:
        network = recording.network()
        tokens = network.words(recording.facts["class_tokens"][:-1])[cells.flatten()][None]
        biases = network.biases((side, side), ids.shape[1]).encoder
        return {
            "train0.encoder_out_item0": network.encoder(
                network.encoder.embed(tokens, ids), biases, None
            )[0],
            "train0.position_embeddings_item0.last40": biases.positions[-40:],
        }

    ours = Twice.of(encode)
    check_all(ours, {name: golden[name] for name in ours.single})


def test_losses_and_logits_of_every_step(recording: IfsegRecording, tuning: dict[str, Any]) -> None:
    for number, (step, facts) in enumerate(
        zip(tuning["steps"], recording.facts["train"]["steps"], strict=True)
    ):
        theirs = recording.golden[f"train{number}.logits"][:, :-1]
        check_values(step["logits"].flatten(2).transpose(1, 2), theirs, LOGITS, f"step {number}")
        assert step["loss"] == pytest.approx(facts["loss"], rel=MARGIN * LOSS)


def test_gradients(recording: IfsegRecording, tuning: dict[str, Any]) -> None:
    norms, gradients = (
        recording.facts["train"]["steps"][0]["grad_norms"],
        tuning["steps"][0]["gradients"],
    )
    for name, gradient in gradients.items():
        if norms[name] > 1e-5:
            assert float(gradient.norm()) == pytest.approx(norms[name], rel=1e-3), name
        if not name.endswith(UNSEEN):
            theirs = recording.golden.get(f"train0.grad.{name}")
            theirs = recording.golden[f"train0.grad_rows.{name}"] if theirs is None else theirs
            close(gradient[: len(theirs)], theirs, atol=1e-5, rtol=1e-3)
    total = torch.stack([one.norm() for one in gradients.values()]).norm()
    assert float(total) == pytest.approx(
        recording.facts["train"]["steps"][0]["grad_norm_total"], rel=1e-4
    )


def test_parameters_after_the_steps(recording: IfsegRecording, tuning: dict[str, Any]) -> None:
    network, facts = tuning["tuner"].network, recording.facts["train"]
    mine, after = dict(network.named_parameters()), f"after{len(facts['steps'])}"
    [case] = [
        case for case in recording.facts["cases"] if f"{after}.{case}.logits" in recording.golden
    ]
    for key, theirs in recording.golden.items():
        name = key.removeprefix(f"{after}.")
        if name in mine and name != key and not name.endswith(UNSEEN):
            check_values(mine[name].detach()[: len(theirs)], theirs, PARAMETERS, name)
    for name, norm in facts[f"param_norms_{after}"].items():
        if name in mine and not name.endswith(UNSEEN):
            length = float(mine[name].detach().norm())
            assert length == pytest.approx(norm, rel=MARGIN * PARAMETERS, abs=1e-5), name
    network.eval()
    ids = recording.ids(case)
    with torch.no_grad():
        features = network.encoder.patches(recording.pixels(case))
        grid = (features.shape[2], features.shape[3])
        decoded = network(
            network.encoder.project(features), ids, network.biases(grid, ids.shape[1])
        )
    theirs = recording.golden[f"{after}.{case}.logits"][:, :-1]
    check_values(decoded @ tuning["tuner"].words.T, theirs, LOGITS)
    network.train()
