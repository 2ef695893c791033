"""`ovsskit expand`: have a language model write a text for each class into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ovsskit.cli.completion import complete_recipe
from ovsskit.cli.options import Classes, ClassesFile, Force, Plugins, Sets, load_plugins


def expand(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe whose classes to use: a file, or the name of a shipped one.",
            autocompletion=complete_recipe,
        ),
    ] = "",
    classes: Classes = None,
    classes_file: ClassesFile = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file to write, in TOML.", show_default="KIND.toml"),
    ] = None,
    kind: Annotated[
        Literal["definitions", "synonyms"], typer.Option("--kind", help="What to ask for.")
    ] = "definitions",
    model: Annotated[
        str,
        typer.Option(
            "--model", help="Model of the endpoint OPENAI_BASE_URL; the key is OPENAI_API_KEY."
        ),
    ] = "",
    local: Annotated[
        str, typer.Option("--local", help="Model on this machine: a hub id or a folder.")
    ] = "",
    prompt: Annotated[
        Path | None, typer.Option("--prompt", help="File with a prompt; {} stands for the class.")
    ] = None,
    tries: Annotated[
        int, typer.Option("--tries", min=1, help="How many times to ask for each class.")
    ] = 3,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Seconds to wait for the endpoint.")
    ] = 60.0,
    answers: Annotated[
        Path | None,
        typer.Option(
            "--answers", help="Folder to keep answers in.", show_default="~/.cache/ovsskit/answers"
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="For --local: auto, cpu, cuda, cuda:1, mps.")
    ] = "auto",
    force: Force = False,
    sets: Sets = [],  # noqa: B006 - typer reads the default, nothing changes it
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Have a language model write a definition or synonym of each class, for stage expand_text.

    Answers are kept as they arrive: after a failure, the same command resumes where it stopped.
    """
    from rich.markup import escape

    from ovsskit.cli.console import console, progress_bar, resumable, stderr
    from ovsskit.engine.devices import choose_device
    from ovsskit.engine.plan import NO_WORDS
    from ovsskit.errors import BadValue
    from ovsskit.files.writing import see_free
    from ovsskit.recipe.build import load_recipe
    from ovsskit.run.options import choose_named
    from ovsskit.texts.generate import Answers, answers_folder, ask, read_prompt, write_texts
    from ovsskit.texts.models import Endpoint, LanguageModel, LocalModel

    load_plugins(plugins)
    path = out or Path(f"{kind}.toml")
    see_free(path, force=force)
    if bool(model) == bool(local):
        what = "One model is needed." if not model else "Two models are named."
        fix = "Give --local (a hub id or folder) or --model (of the endpoint OPENAI_BASE_URL)."
        raise BadValue(what, fix=fix)
    own = load_recipe(recipe, sets).plan.vocabulary if recipe else NO_WORDS
    vocabulary = choose_named(classes, classes_file, own)
    text = read_prompt(kind, prompt)
    asked: LanguageModel = (
        Endpoint(model, tries=tries, timeout=timeout)
        if model
        else LocalModel(local, choose_device(device))
    )
    names, kept = vocabulary.names, Answers(answers or answers_folder())
    with resumable(), progress_bar(shown=stderr.is_terminal) as progress:
        task = progress.add_task("classes", total=len(names))
        texts = ask(names, text, kind, asked, kept, tries, lambda name: progress.advance(task))
    write_texts(path, texts, kind, asked.name, force=force)
    console.print(f"wrote {escape(str(path))}: {len(texts)} {kind}", highlight=False)
    then = f"--set expand_text.file={escape(str(path))}"
    console.print(f"read them, correct what is wrong, then: {then}", highlight=False)
