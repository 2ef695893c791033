"""What proposers of transformers have in common."""

from __future__ import annotations

from ovsskit.backbones._hub_model import HubModel
from ovsskit.engine.model import ProposesMasks


class Proposer(HubModel, ProposesMasks):
    """Propose masks by a network of transformers, which is read from a folder of the hub."""
