"""A stage that kills its process once, where that is a worker of Ray."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, S


class DieOnce(Stage, writes="scores"):
    """Pass scores on, unless this is the first image of this name that a worker of Ray sees."""

    image: Annotated[str, Field(description="the name of the image")] = "3"
    mark: Annotated[str, Field(description="a file that says that it has happened")] = "died"

    def run(self, image: Image, scores: S) -> S:
        if sys.argv[0].endswith("default_worker.py") and image.name == self.image:
            try:
                Path(self.mark).touch(exist_ok=False)
            except FileExistsError:
                return scores
            os.kill(os.getpid(), signal.SIGKILL)
        return scores
