from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.presence.all_classes import AllClasses


def test_every_class_is_present() -> None:
    assert AllClasses().run(make_vocabulary(["dog", "cat", "grass"])).labels == (1, 2, 3)
