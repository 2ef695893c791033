"""CLIP through open_clip: texts, whole images, and the patches inside its vision transformer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from weakref import WeakKeyDictionary

from pydantic import Field, PrivateAttr, field_validator

from ovsskit._lazy import Bool, Float, open_clip, torch
from ovsskit.backbones._checkpoint import has_marks
from ovsskit.backbones._sizes import run_by_size
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._explain import explain
from ovsskit.backbones.clip._published import CLIP
from ovsskit.backbones.clip._text import (
    TOKENIZER,
    TOKENIZER_FILES,
    TextReader,
    encode_texts,
    has_tokenizer,
    make_reader,
    tokenizer_folder,
)
from ovsskit.backbones.clip._weights import (
    HUB_FILES,
    Blueprint,
    architectures,
    build_network,
    fill_network,
    hub_repository,
    read_blueprint,
)
from ovsskit.engine.model import (
    EncodesImageAndText,
    EncodesRegions,
    ExplainsPatches,
    Facet,
    GuidesPatches,
    PretrainedBackbone,
)
from ovsskit.engine.model.explains_patches import Explained, Score
from ovsskit.engine.model.guides_patches import facet_of
from ovsskit.engine.readable import Reading
from ovsskit.engine.sending import pick, send, send_numbers
from ovsskit.engine.values import GuideFeatures, Hidden, Image
from ovsskit.engine.values.features import on_grid
from ovsskit.errors import BadValue, BadWeights, MissingWeights, did_you_mean, refusal
from ovsskit.hub.weights import HubFiles, Published, commit_of, fetch_weights, read_files

KEPT_CALLS = 64
"""How many calls of the text encoder are kept with what they gave."""
KEPT_BLOCKS = 4
"""Of how many blocks queries, keys and values are kept. They take three times the memory of the
tokens, and are soon computed again."""
REGIONS_AT_ONCE = 32
"""How many parts of images go through the image encoder in one pass."""
HALF_SCALE = 2.0**12
"""What scores are multiplied by on the way back in half precision, which would lose gradients."""

Colour = tuple[()] | tuple[float, float, float]


class Clip(PretrainedBackbone, EncodesImageAndText, EncodesRegions, ExplainsPatches, GuidesPatches):
    """Encode texts, images and (with vision transformers) patches with any CLIP of open_clip.

    Weights are a pretrained tag of open_clip (with `model`, such as ViT-B-16), a hub id or folder
    with an `open_clip_config.json`, or a checkpoint (with `model`, or with that file beside it).
    Images keep their size for patches; pixels left over at the right and bottom, less than a patch,
    are not seen.
    Source: Radford et al. 2021; open_clip.
    """

    waits: ClassVar[str] = "open_clip prepares whole images on the processor"
    compiles: ClassVar[str] = r"(visual\.)?transformer\.resblocks\.\d+\.mlp"
    embedded: ClassVar[Path] = Path(__file__).parents[2] / "embedded" / "clip"
    hub_files: ClassVar[HubFiles] = HUB_FILES
    published: ClassVar[Mapping[str, Published]] = CLIP

    weights: Annotated[
        str,
        Field(
            description=(
                "a tag of open_clip, a hub id, a local folder, a local checkpoint, or `embedded`"
            )
        ),
    ]
    model: Annotated[
        str,
        Field(
            description=(
                "architecture as open_clip names it; empty where a configuration lies with the "
                "weights"
            )
        ),
    ] = ""
    positions: Annotated[
        vision.Positions,
        Field(
            description=(
                "how position embeddings are resized to other grids: bicubic by scale, with 0.1 "
                "patches added (most methods), to the size (MaskCLIP), to the size also where as "
                "many patches lie otherwise (TCL), or to the size with "
                "antialiasing (GEM); bilinear and rounded to half precision (TagCLIP), to the grid "
                "of the training, too (CLIP-ES)"
            )
        ),
    ] = "scale"
    mean: Annotated[
        Colour,
        Field(
            description="red, green and blue to subtract, on a scale to 255; the model's if empty"
        ),
    ] = ()
    deviation: Annotated[
        Colour, Field(description="red, green and blue to divide by, to 255; the model's if empty")
    ] = ()
    activation: Annotated[
        Literal["trained", "gelu", "quick_gelu"],
        Field(description="of the feed-forward parts: as trained, or another"),
    ] = "trained"
    epsilon: Annotated[float, Field(gt=0, description="of the image encoder's layer norms")] = 1e-5
    skip_last_blocks: Annotated[
        int,
        Field(
            ge=0,
            description=(
                "how many blocks at the end are left out for whole images: 1 for CaR's judge, as "
                "released"
            ),
        ),
    ] = 0

    _projections: WeakKeyDictionary[Hidden, dict[int, vision.Projection]] = PrivateAttr(
        default_factory=WeakKeyDictionary
    )
    _texts: OrderedDict[tuple[str, ...], Any] = PrivateAttr(default_factory=OrderedDict)

    @field_validator("model")
    @classmethod
    def _is_an_architecture(cls, model: str) -> str:
        known = architectures()
        if model and model not in known:
            fix = did_you_mean(model, known) or "Those with patches are the ViTs, such as ViT-B-16."
            raise refusal("open_clip has no such architecture", fix)
        return model

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return CLIP's name if tensors of such names are one of it, else an empty text."""
        marks = (r"^(visual\.transformer\.resblocks|vision_model\.encoder)\.",)
        return "CLIP" if has_marks(names, marks, (r"crossattention\.",)) else ""

    @property
    def source(self) -> str:
        """Return where the weights come from: a hub id, a local path, or `embedded`.

        Raises:
            BadValue: open_clip knows no such architecture or tag.
        """
        return hub_repository(self.model, self.weights)

    @cached_property
    def blueprint(self) -> Blueprint:
        """Return the model's configuration and where its weights lie.

        Raises:
            MissingWeights, BadWeights: there are none, or nothing says what they are of.
        """
        found = read_blueprint(self.need_weights(), self.model, self.weights)
        if self.activation != "trained":
            found.config["quick_gelu"] = self.activation == "quick_gelu"
        return found

    @cached_property
    def network(self) -> Any:
        """Return the network, for evaluation and without gradients; layer norms stay in fp32."""
        return self.ready(self.load().to(self._device))

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        network = build_network(self.blueprint.config, self.number_format)
        fill_network(network, self.blueprint.file)
        for module in network.visual.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.eps = self.epsilon
        return network

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        fill_network(
            build_network(self.blueprint.config, "fp32", device="meta"), self.blueprint.file
        )

    def read_files(self) -> dict[str, Path]:
        """Return the model's files by name; of a tokenizer, only the files that are read.

        Raises:
            MissingWeights, BadWeights: there are none, or nothing says what they are of.
        """
        found = {name: file for name, file in super().read_files().items() if name not in TOKENIZER}
        folder, named = self._tokenizer, self.blueprint.config["text_cfg"].get("hf_tokenizer_name")
        if folder == self._folder:
            return found | {name: folder / name for name in TOKENIZER}
        other = {} if folder is None else read_files(folder, TOKENIZER_FILES)
        return found | {f"{named}/{name}": file for name, file in other.items()}

    @cached_property
    def reader(self) -> TextReader:
        """Return what turns texts into tokens."""
        is_of_weights = self._tokenizer == self._folder
        return make_reader(self._tokenizer, self.blueprint.config, is_of_weights=is_of_weights)

    @property
    def _folder(self) -> Path:
        path = self.need_weights()
        return path if path.is_dir() else path.parent

    @cached_property
    def _tokenizer(self) -> Path | None:
        """Return the folder of the tokenizer, unless it is CLIP's own."""
        config, folder = self.blueprint.config, self._folder
        named = config["text_cfg"].get("hf_tokenizer_name")
        if named and commit_of(folder) and not has_tokenizer(folder):
            # Other programs fetch less of a repository; its own tokenizer comes before another's.
            with suppress(MissingWeights):
                fetch_weights(self.source, self.pinned, self.hub_files)
        return tokenizer_folder(folder, config, self.pinned if named == self.source else "main")

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return self.reader.read_word(word)

    def encode_text(self, texts: str | Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, not normalised; what is too long is cut, and said.

        What the last calls gave is kept, since every image asks for the same. It is kept by call: a
        text's vector depends in its last bits on the texts beside it, and must not depend on what
        was asked before.
        """
        key = (texts,) if isinstance(texts, str) else tuple(texts)
        if key not in self._texts:
            different = {text: row for row, text in enumerate(dict.fromkeys(key))}
            with torch.no_grad():
                features = encode_texts(self.network, self.reader, list(different))
            self._texts[key] = pick(features, [different[text] for text in key])
            if len(self._texts) > KEPT_CALLS:
                self._texts.popitem(last=False)
        self._texts.move_to_end(key)
        kept: torch.Tensor = self._texts[key]
        return kept.clone()

    def encode_image(self, images: Sequence[Image]) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, not normalised; images are resized as in the training.

        Raises:
            BadValue: more blocks are to be left out than can be.
        """
        with torch.no_grad():
            features: torch.Tensor = self._encode_whole(self.prepare_whole(images)).float()
        return features

    def prepare_whole(self, images: Sequence[Image]) -> Float[torch.Tensor, "image 3 h w"]:
        """Return whole images as the network sees them, prepared as open_clip does."""
        from PIL import Image as Pillow

        prepared = [
            self.preprocess(Pillow.fromarray(image.pixels.cpu().numpy())) for image in images
        ]
        return send(torch.stack(prepared).to(self.dtype), self._device)

    def _encode_whole(
        self,
        pixels: Float[torch.Tensor, "image 3 h w"],
        region: Bool[torch.Tensor, "image patch"] | None = None,
    ) -> Float[torch.Tensor, "image width"]:
        visual, skipped = self.network.visual, self.skip_last_blocks
        if vision.has_class_token(visual):
            if skipped < len(vision.blocks_of(visual)):
                return vision.encode(visual, pixels, self.positions, skipped, region)
            there = f"It has {len(vision.blocks_of(visual))} blocks."
        else:
            there = f"It is a {type(visual).__name__} whose blocks cannot be run apart."
        if skipped:
            what = f"The image encoder cannot leave out {skipped} blocks."
            raise BadValue(what, there=there, fix="Set skip_last_blocks to 0.")
        if region is not None:
            what = "The image encoder cannot look at a part of an image."
            raise BadValue(what, there=there, fix="Use a plain ViT, such as ViT-B-16.")
        encoded: torch.Tensor = self.network.encode_image(pixels)
        return encoded

    def encode_regions(
        self, images: Sequence[Image], regions: Sequence[Bool[torch.Tensor, "_ _"]]
    ) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, of what it shows in a region, not normalised.

        Raises:
            BadValue: the image encoder is not a vision transformer with a class token, or more
                blocks are to be left out than can be.
        """
        parts = []
        for start in range(0, len(images), REGIONS_AT_ONCE):
            some = slice(start, start + REGIONS_AT_ONCE)
            pairs = zip(images[some], regions[some], strict=True)
            pixels, seen = zip(*(self.region(*pair) for pair in pairs), strict=True)
            with torch.no_grad():
                stack = torch.stack(pixels).to(self._device, self.dtype)
                found = self._encode_whole(stack, torch.stack(seen).flatten(1).to(self._device))
            parts.append(found.float())
        return torch.cat(parts)

    def region(
        self, image: Image, region: Bool[torch.Tensor, "_ _"]
    ) -> tuple[Float[torch.Tensor, "3 side side"], Bool[torch.Tensor, "rows cols"]]:
        """Return an image at the size of the training, and the patches of a region."""
        interpolate, visual = torch.nn.functional.interpolate, self.network.visual
        pixels = interpolate(self.pixels(image)[None], visual.image_size, mode="bilinear")[0]
        seen = interpolate(region[None, None].float(), visual.grid_size)[0, 0].bool()
        return pixels, seen

    @cached_property
    def preprocess(self) -> Any:
        """Return open_clip's own preparation of a whole image."""
        settings = open_clip.transform.PreprocessCfg(
            **{"size": self.network.visual.image_size, **self.blueprint.preprocessing}
        )
        return open_clip.transform.image_transform_v2(settings, is_train=False)

    @cached_property
    def visual(self) -> Any:
        """Return the image encoder.

        Raises:
            BadWeights: it is not the vision transformer of open_clip, whose blocks can be run
                apart.
        """
        visual = self.network.visual
        if not vision.has_plain_blocks(visual):
            what = f"The image encoder is a {type(visual).__name__} whose patches cannot be had."
            raise BadWeights(
                what,
                fix="Use a plain vision transformer, such as ViT-B-16, ViT-L-14 or ViT-L-14-336.",
            )
        return visual

    @property
    def block_count(self) -> int:
        """Return the number of blocks of the image encoder."""
        return len(vision.blocks_of(self.visual))

    def normalise(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image's colours less the mean, divided by the deviation, at its own size."""
        settings = self.blueprint.preprocessing
        constants = open_clip.constants
        mean = self.mean or [
            255 * value for value in settings.get("mean", constants.OPENAI_DATASET_MEAN)
        ]
        deviation = self.deviation or [
            255 * value for value in settings.get("std", constants.OPENAI_DATASET_STD)
        ]
        middle, width = (
            send_numbers(values, image.data)[:, None, None] for values in (mean, deviation)
        )
        return (image.data * 255 - middle) / width

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, own size, hidden patches at 0."""
        data = self.normalise(image)
        if image.hidden is not None:
            patch = self.visual.patch_size[0]
            hidden = image.hidden.repeat_interleave(patch, 0).repeat_interleave(patch, 1)
            data[:, : hidden.shape[0], : hidden.shape[1]] *= ~hidden[
                : data.shape[1], : data.shape[2]
            ]
        return data

    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Run the network up to the last of these blocks (numbers from 1); images keep their size.

        Raises:
            BadValue: an image is smaller than a patch, or the network has no such block.
        """
        wanted = tuple(sorted(set(layers)))
        if not wanted or min(wanted) < 1 or max(wanted) > self.block_count:
            raise BadValue(
                f"Layers {', '.join(map(str, wanted))} are asked for; the image encoder has "
                f"1 to {self.block_count}."
            )
        patch = self.visual.patch_size[0]
        for height, width in (image.size for image in images):
            if min(height, width) < patch:
                what = f"An image is {width} x {height} pixels, smaller than a patch of {patch}."
                raise BadValue(what, fix="Enlarge it first: resize_image.")
        return run_by_size(images, lambda alike: self._run(alike, wanted))

    def _run(self, images: Sequence[Image], wanted: tuple[int, ...]) -> list[Hidden]:
        """Run images of one size together; keep the wanted blocks' queries, keys and values too."""
        kept, projections = [], {}
        with torch.no_grad():
            tokens, grid = vision.embed(self.visual, self._stack(images), self.positions)
            for number, block in enumerate(vision.blocks_of(self.visual)[: wanted[-1]], 1):
                projection = vision.project(block, tokens)
                if number in wanted:
                    kept.append(tokens)
                if number in wanted[-KEPT_BLOCKS:]:
                    projections[number] = projection
                if number < wanted[-1]:
                    tokens = vision.attend_as_trained(block, tokens, projection)
        together = [Hidden(data, wanted, grid) for data in torch.stack(kept, 1)]
        for index, one in enumerate(together):
            self._projections[one] = {
                number: projection.of(index) for number, projection in projections.items()
            }
        return together

    def _stack(self, images: Sequence[Image]) -> Float[torch.Tensor, "image 3 h w"]:
        return torch.stack([self.pixels(image) for image in images]).to(self._device)

    def project(self, hidden: Hidden, layer: int) -> vision.Projection:
        """Return a block's queries, keys and values of the tokens that enter it."""
        known = self._projections.setdefault(hidden, {})
        if layer in known:
            return known[layer]
        with torch.no_grad():
            found = vision.project(vision.blocks_of(self.visual)[layer - 1], hidden.entering(layer))
        if len(known) < KEPT_BLOCKS:
            known[layer] = found
        return found

    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""
        with torch.no_grad():
            block = vision.blocks_of(self.visual)[layer - 1]
            return vision.join_heads(block, vectors.to(self.dtype))

    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of the tokens that enter a block, after its first normalisation."""
        with torch.no_grad():
            normalised = vision.blocks_of(self.visual)[layer - 1].ln_1(hidden.entering(layer))
            lengths: torch.Tensor = normalised.float().norm(dim=-1)
        return lengths

    def feed_forward(
        self, layer: int, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Return tokens with a block's second half added."""
        with torch.no_grad():
            block = vision.blocks_of(self.visual)[layer - 1]
            return vision.feed_forward(block, tokens.to(self.dtype))

    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Normalise tokens as the model does after its last block."""
        with torch.no_grad():
            normalised: torch.Tensor = self.visual.ln_post(tokens.to(self.dtype))
        return normalised

    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Project normalised tokens into the space of texts."""
        with torch.no_grad():
            projected: torch.Tensor = tokens.to(self.dtype) @ self.visual.proj
        return projected

    def guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        """Return the features of the patches of each image, by the model as it was trained.

        Raises:
            BadValue: an image is smaller than a patch.
        """
        last = self.block_count
        return [self._guide(hidden, last, facet) for hidden in self.hidden(images, [last])]

    def _guide(self, hidden: Hidden, last: int, facet: Facet) -> GuideFeatures:
        projection = self.project(hidden, last)
        if facet != "token":
            return GuideFeatures(on_grid(facet_of(projection, facet)[1:].float(), hidden.grid))
        with torch.no_grad():
            block, tokens = vision.blocks_of(self.visual)[last - 1], hidden.entering(last)
            left = self.normalise_tokens(vision.attend_as_trained(block, tokens, projection))
        return GuideFeatures(on_grid(left[1:].float(), hidden.grid))

    def explain(self, hidden: Hidden, layer: int, score: Score) -> Explained:
        """Score the mean of an image's patches among the texts, and derive that in a block."""
        precision = HALF_SCALE if self.dtype == torch.float16 else 1.0
        tokens = hidden.entering(layer)
        channels, scores, gradients = explain(self.visual, tokens, layer, score, precision)
        return Explained(channels[1:].T.unflatten(1, hidden.grid), scores, gradients)
