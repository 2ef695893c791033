"""Let scores spread between neighbours, and stop at edges of the image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.stage import S, Stage
from ovsskit.engine.values import Image, TextFeatures
from ovsskit.ops.conjugate_gradient import conjugate_gradient

Byte = Annotated[float, Field(gt=0, le=255)]
GREY = (0.299, 0.587, 0.114)
OWN = 10.0
"""What is added to how alike a text is to itself."""
EPSILON, GUARD = 1e-6, 1e-12


class EdgeGraph(Stage, writes="scores"):
    """Solve for maps that stay near the scores where these are sure, and are smooth elsewhere.

    Scores and image are averaged in cells. Neighbouring cells are tied, less where their greys
    differ more than neighbours do in the mean, and a little more where their probabilities agree.
    The sum of what maps differ from the scores, weighed by how sure these are, and of what
    neighbours differ from each other, is made small by conjugate gradients, which start from the
    scores. Source: PEARL (arXiv 2603.21528), text-aware Laplacian propagation, released code.

    The released code means to let probabilities of like texts agree (`gate = "full"`), and by its
    index notation takes the diagonal of the texts' similarities alone, which is much the same for
    all texts. It takes its probabilities from cosines without a scale, so that with more than 20
    texts nothing is sure, and everything is smoothed alike: `scale` mends that.

    Example:
        [[stage]]
        use = "edge_graph"
        reads = { image = "resized" }
        cells = 80
    """

    cells: Annotated[
        int, Field(ge=1, description="about how many cells there are along each side")
    ] = 80
    iterations: Annotated[int, Field(ge=0, description="steps of conjugate gradients")] = 25
    contrast: Annotated[
        float, Field(ge=0, description="how much an edge of mean height parts; 0: not at all")
    ] = 5.0
    least: Annotated[
        float, Field(gt=0, le=1, description="how sure a cell counts at least, whatever its scores")
    ] = 0.05
    scale: Annotated[
        float, Field(gt=0, description="scores are multiplied by this for their probabilities")
    ] = 1.0
    gate: Annotated[
        Literal["diagonal", "full"],
        Field(
            description="which texts' probabilities agree: the same text's, as released, or also "
            "those of like texts"
        ),
    ] = "diagonal"
    temperature: Annotated[
        float, Field(gt=0, description="how alike texts must be to agree; low is strict")
    ] = 0.5
    deviation: Annotated[
        tuple[Byte, Byte, Byte],
        Field(description="red, green and blue that the network divides by, to 255"),
    ] = (68.501, 66.632, 70.323)

    def run(self, scores: S, image: Image, text_features: TextFeatures) -> S:
        """Return the maps, on as many places as before."""
        size = scores.data.shape[1:]
        maps = (scores.data.float(), self.grey(image, size))
        logits, grey = (average_cells(one, self.cells) for one in maps)
        weights, right, down = self.weigh(logits, grey[0], texts_of(scores, text_features))
        solved = self.solve(logits, weights, right, down)
        smooth = torch.nn.functional.interpolate(solved[None], size, mode="bilinear")[0]
        return scores.with_data(smooth)

    def solve(
        self,
        logits: Float[torch.Tensor, "text rows cols"],
        weights: Float[torch.Tensor, "rows cols"],
        right: Float[torch.Tensor, "rows cols_between"],
        down: Float[torch.Tensor, "rows_between cols"],
    ) -> Float[torch.Tensor, "text rows cols"]:
        """Return the smooth maps of cells."""
        return conjugate_gradient(
            lambda maps: weights * maps + differences(maps, right, down),
            weights * logits,
            logits,
            iterations=self.iterations,
            steps="shared",
            guard=GUARD,
        )

    def grey(self, image: Image, size: torch.Size) -> Float[torch.Tensor, "1 h w"]:
        """Return the grey of the colours that the network sees, but for a constant."""
        deviation = send_numbers(self.deviation, image.data) / 255
        channels = send_numbers(GREY, image.data) / deviation
        grey = (channels[:, None, None] * image.data).sum(0)[None, None]
        return torch.nn.functional.interpolate(grey, size, mode="bilinear")[0]

    def weigh(
        self,
        logits: Float[torch.Tensor, "text rows cols"],
        grey: Float[torch.Tensor, "rows cols"],
        texts: Float[torch.Tensor, "text width"],
    ) -> tuple[
        Float[torch.Tensor, "rows cols"],
        Float[torch.Tensor, "rows cols_between"],
        Float[torch.Tensor, "rows_between cols"],
    ]:
        """Return how sure cells are, and how strongly they are tied to the right and below."""
        share = (logits * self.scale).softmax(0)
        gated = self.gate_by_text(share, texts)
        agreement = (share * gated).sum(0).clamp(0, 1)
        weights = share.amax(0).clamp_min(self.least) ** 2 * (1 + agreement)
        ties = []
        for axis in (2, 1):
            length = share.shape[axis] - 1
            agree = (share.narrow(axis, 1, length) * gated.narrow(axis, 0, length)).sum(0)
            step = grey.diff(dim=axis - 1).abs()
            plain = (-self.contrast * step / (step.mean() + EPSILON)).exp()
            ties.append((plain * (1 + agree.clamp(0, 1))).clamp_max(1))
        return weights, ties[0], ties[1]

    def gate_by_text(
        self, share: Float[torch.Tensor, "text rows cols"], texts: Float[torch.Tensor, "text width"]
    ) -> Float[torch.Tensor, "text rows cols"]:
        """Return probabilities, weighed by how alike the texts are."""
        unit = torch.nn.functional.normalize(texts, dim=1)
        alike = (unit @ unit.T / self.temperature).softmax(1)
        alike += OWN * torch.eye(len(alike), device=alike.device)
        alike /= alike.sum(1, keepdim=True) + EPSILON
        if self.gate == "diagonal":
            return alike.diagonal()[:, None, None] * share
        both = (alike + alike.T) / 2  # two cells agree as much in either order
        return torch.einsum("ij,jhw->ihw", both, share)


def texts_of(scores: S, texts: TextFeatures) -> Float[torch.Tensor, "map width"]:
    """Return a vector for every map: its text's, or the mean of its class's; 0 if it has none."""
    vectors = texts.data.float()
    if scores.labels == texts.labels:
        return vectors
    maps, rows = (
        send_numbers(tuple(map(float, one)), vectors) for one in (scores.labels, texts.labels)
    )
    is_of = (maps[:, None] == rows).to(vectors)
    mean: torch.Tensor = is_of @ vectors / is_of.sum(1, keepdim=True).clamp_min(1)
    return mean


def average_cells(
    maps: Float[torch.Tensor, "map h w"], cells: int
) -> Float[torch.Tensor, "map rows cols"]:
    """Return the means of cells; rows and columns that fill no cell are left out."""
    sides = tuple(max(1, round(side / cells)) for side in maps.shape[1:])
    return torch.nn.functional.avg_pool2d(maps[None], sides)[0]


def differences(
    maps: Float[torch.Tensor, "map rows cols"],
    right: Float[torch.Tensor, "rows cols_between"],
    down: Float[torch.Tensor, "rows_between cols"],
) -> Float[torch.Tensor, "map rows cols"]:
    """Return the sum of what every cell differs from its neighbours, times how they are tied."""
    total = torch.zeros_like(maps)
    for axis, tie in ((2, right), (1, down)):
        pull = tie * maps.diff(dim=axis)
        length = maps.shape[axis] - 1
        total.narrow(axis, 1, length).add_(pull)
        total.narrow(axis, 0, length).sub_(pull)
    return total
