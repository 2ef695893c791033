from __future__ import annotations

import inspect

import pytest

from ovsskit.cli.app import COMMANDS

READ_IMAGES = [one for one in COMMANDS if "images" in inspect.signature(one).parameters]


@pytest.mark.parametrize("command", READ_IMAGES, ids=lambda one: str(one.__name__))
def test_every_command_that_reads_images_can_be_told_how(command: object) -> None:
    names = inspect.signature(command).parameters  # type: ignore[arg-type]
    assert {"max_pixels", "stretch", "bands"} <= {*names}


def test_there_are_such_commands() -> None:
    names = {one.__name__ for one in READ_IMAGES}
    assert {"run", "eval", "study", "words", "sentences", "serve"} <= names
