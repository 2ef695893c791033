"""Draw the image of the README and the front page with the tool itself.

Run `python docs/make_images.py`.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import ovsskit
from ovsskit.embedded import sample_scenes
from ovsskit.run.output.heat import heat_tile

SCENE, NAME = 7, "car"
HEIGHT, GAP, CAPTION = 300, 12, 30
TARGET = Path(__file__).parent / "images" / "quickstart.png"


def panel(image: Image.Image, caption: str) -> Image.Image:
    """Return an image at the common height with a caption under it."""
    resized = image.resize(
        (round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.LANCZOS
    )
    framed = Image.new("RGB", (resized.width, HEIGHT + CAPTION), "white")
    framed.paste(resized)
    ImageDraw.Draw(framed).text((4, HEIGHT + 6), caption, "black", ImageFont.load_default(16))
    return framed


def main() -> None:
    """Segment one sample scene and draw what the stages wrote beside each other."""
    scene = sample_scenes()[SCENE - 1]
    result = ovsskit.load("quickstart")(scene.image, trace=True)
    names = result.vocabulary.labels
    position = result.at("merge_tokens").labels.index(names.index(NAME))
    first = result.trace["grad_cam"][0]
    token_maps = first.data[first.positions == position].mean(0)
    summed = result.at("merge_tokens").data[position]
    photo = Image.open(scene.image).convert("RGB")
    panels = [
        panel(photo, "the image"),
        panel(heat_tile(token_maps.numpy(), photo, NAME).image, f"GradCAM of “{NAME}”"),
        panel(heat_tile(summed.numpy(), photo, NAME).image, "with Salience DropOut"),
        panel(result.overlay(), "blurred, refined, labelled"),
    ]
    width = sum(one.width for one in panels) + GAP * (len(panels) - 1)
    row = Image.new("RGB", (width, HEIGHT + CAPTION), "white")
    left = 0
    for one in panels:
        row.paste(one, (left, 0))
        left += one.width + GAP
    TARGET.parent.mkdir(exist_ok=True)
    row.save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
