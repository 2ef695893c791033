"""Feed broken files to every reader, and check that each ends in a result or a helpful error.

    python benchmarks/fuzz.py --count 3000
    python benchmarks/fuzz.py --count 300 --seed 7 --only recipes presence

Every reader gets its share of `--count` files. A file is a good one with one to three changes: TOML
and JSON are changed as trees (a value of another type, a key left out, a list for a table...), and
every file also as text and as bytes. The same seed gives the same files. What ends in any other
error is printed, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import datetime
import json
import math
import random
import sys
import tempfile
import time
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from jaxtyping import TypeCheckError

from ovsskit.errors import OvsskitError

RECIPES = Path(__file__).parent.parent / "recipes"
Read = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """Name a reader, good files for it, the file's name, and how it is read."""

    name: str
    good: tuple[bytes, ...]
    file: str
    read: Read


@dataclass
class Outcome:
    """Count the results of a reader's files; `crashes` holds other errors, with one file each."""

    fine: int = 0
    explained: int = 0
    slowest: float = 0.0
    crashes: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    @property
    def crashed(self) -> int:
        """Return how many files ended in another error."""
        return sum(count for count, _ in self.crashes.values())


def feed(reader: Reader, count: int, seed: int) -> Outcome:
    """Read so many broken files and count what came of them."""
    outcome, chance = Outcome(), random.Random(f"{reader.name} {seed}")
    for _ in range(count):
        content = broken(chance.choice(reader.good), Path(reader.file).suffix, chance)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, reader.file)
            path.write_bytes(content)
            start = time.perf_counter()
            try:
                reader.read(path)
                outcome.fine += 1
            except Exception as error:
                if explanation := _explanation(error):
                    str(explanation)
                    outcome.explained += 1
                    continue
                key = f"{type(error).__name__}: {str(error)[:90]} ({_where(error)})"
                before, first = outcome.crashes.get(key, (0, content))
                outcome.crashes[key] = before + 1, first
            finally:
                outcome.slowest = max(outcome.slowest, time.perf_counter() - start)
    return outcome


def _explanation(error: BaseException) -> OvsskitError | None:
    """Return what explains an error to a person.

    Under a type checker, values are read when it looks into them; it wraps what that raises.
    """
    if isinstance(error, OvsskitError):
        return error
    if isinstance(error, TypeCheckError) and error.__cause__ is not None:
        return _explanation(error.__cause__)
    return None


def _where(error: BaseException) -> str:
    """Return the last line of ovsskit that an error went through."""
    at, place = error.__traceback__, "?"
    while at is not None:
        name = at.tb_frame.f_code.co_filename
        if "ovsskit/" in name:
            place = f"{name.rpartition('ovsskit/')[2]}:{at.tb_lineno}"
        at = at.tb_next
    return place


def broken(content: bytes, suffix: str, chance: random.Random) -> bytes:
    """Return a file's content with one to three changes."""
    for _ in range(chance.randint(1, 3)):
        tree = _tree(content, suffix) if chance.random() < 0.7 else None
        if tree is None:
            content = chance.choice((_change_bytes, _change_lines))(content, chance)
        else:
            write = write_toml if suffix == ".toml" else _write_json
            content = write(_change_tree(tree, chance)).encode("utf-8", "surrogatepass")
    return content


def _write_json(tree: Any) -> str:
    return json.dumps(tree, default=str)


def _tree(content: bytes, suffix: str) -> Any:
    try:
        if suffix == ".toml":
            return tomllib.loads(content.decode())
        return json.loads(content) if suffix == ".json" else None
    except (ValueError, RecursionError):
        return None


def _nested(levels: int, around: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = around(value)
    return value


def odd_value(chance: random.Random) -> Any:
    """Return a value that few places expect."""
    makers: list[Callable[[], Any]] = [
        lambda: chance.choice((0, 1, -1, 5, 255, 65536, 2**31, 2**63, 2**70, -(10**30), 10**300)),
        lambda: chance.choice((0.5, -0.0, 1e-300, 1e308, math.inf, -math.inf, math.nan)),
        lambda: chance.choice((True, False)),
        lambda: chance.choice(
            ("", " ", "x", "../../x", "a.b", "é😀", "on", "all", "\x1b[31m", "a\nb")
        ),
        lambda: "long" * chance.choice((10, 1000, 20_000)),
        lambda: chance.choice(([], [[]], [{}], [1, 2], [1.5], ["x"], ["x", "x"], [["x"]], [None])),
        lambda: chance.choice(({}, {"": 1}, {"use": 5}, {"x": {"x": {}}}, {"use": "softmax"})),
        lambda: [chance.choice((0, "x", {}))] * chance.choice((3, 1000)),
        lambda: datetime.date(2024, 2, 29),
        lambda: datetime.time(1, 2, 3),
        lambda: datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.UTC),
        lambda: _nested(chance.choice((3, 30, 90)), lambda value: [value]),
        lambda: _nested(chance.choice((3, 30, 90)), lambda value: {"inner": value}),
    ]
    return chance.choice(makers)()


def _change_tree(tree: Any, chance: random.Random) -> Any:
    """Return a tree with one change at a random place."""
    holder: Any = {"": copy.deepcopy(tree)}
    places = list(_places(holder))
    parent, key = chance.choice(places)
    change = chance.randrange(8)
    if change < 3 or parent is holder:
        parent[key] = odd_value(chance)
    elif change == 3:
        del parent[key]
    elif change == 4:
        parent[key] = [parent[key]]
    elif change == 5:
        parent[key] = {chance.choice(("x", "use", "", "at", "ü")): parent[key]}
    elif change == 6 and isinstance(parent, dict):
        parent[chance.choice(("x", "", "use", "name", "inner", "reads", "é", "a.b", "set"))] = (
            parent.pop(key)
        )
    elif isinstance(parent[key], list) and parent[key]:
        parent[key] = parent[key][0]
    else:
        other, name = chance.choice(places)
        parent[key] = copy.deepcopy(other[name]) if other is not holder else 5
    return holder[""]


def _places(value: Any) -> list[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in list(items):
        found.append((value, key))
        if isinstance(item, dict | list):
            found += _places(item)
    return found


def write_toml(tree: Any) -> str:
    """Write a tree as TOML: tables at the top under headers, the others on one line."""
    if not isinstance(tree, dict):
        return f"x = {_inline(tree)}\n"
    plain, headed = [], []
    for key, value in tree.items():
        name = json.dumps(key)
        if isinstance(value, dict):
            headed += [f"[{name}]", *(f"{json.dumps(k)} = {_inline(v)}" for k, v in value.items())]
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for one in value:
                headed += [
                    f"[[{name}]]",
                    *(f"{json.dumps(k)} = {_inline(v)}" for k, v in one.items()),
                ]
        else:
            plain.append(f"{name} = {_inline(value)}")
    return "\n".join([*plain, *headed, ""])


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(k)} = {_inline(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value) if value is not None else '"none"'


def _change_bytes(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    junk = chance.choice(
        (
            b"\0",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b"\xed\xa0\x80",
            b"\r",
            b"\x1b[2J",
            b"[" * 300,
            b"{" * 300,
        )
    )
    change = chance.randrange(4)
    if change == 0:
        return content[:at] + junk + content[at:]
    if change == 1:
        return content[:at]
    if change == 2:
        return content[:at] + content[at + chance.randint(1, 40) :]
    return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]


def _change_lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    change = chance.randrange(5)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(at, lines[other])
    elif change == 2:
        lines[at] = lines[at].replace(b"[[", b"[").replace(b"]]", b"]")
    elif change == 3:
        lines[at] = lines[at].replace(b"[", b"[[").replace(b"]", b"]]")
    else:
        lines[at] = lines[at].split(b"=")[0] + b"= " + _inline(odd_value(chance)).encode()
    return b"\n".join(lines)


def _recipes() -> Reader:
    from ovsskit.study.spec.check_file import check_file

    good = [path.read_bytes() for path in sorted(RECIPES.glob("*.toml"))]
    return Reader(
        "recipes", (*good, VARIANT, STUDIED), "mine.toml", lambda path: check_file(str(path))
    )


def _studies() -> Reader:
    from ovsskit.study.spec.check_file import check_file

    return Reader("studies", (STUDY, GOALS), "study.toml", lambda path: check_file(str(path)))


def _settings() -> Reader:
    from ovsskit.recipe.build import load_recipe

    def read(path: Path) -> object:
        return load_recipe("quickstart", [path.read_text("utf-8", "replace")])

    return Reader(
        "--set", (b"threshold.at=0.3", b"softmax.scale=5", b"backbone.weights=x"), "set.txt", read
    )


def _classes() -> Reader:
    from ovsskit.recipe.vocabulary import make_vocabulary, read_classes

    good = (b"dog\ncat, kitten\ngrass\n", "\ufeffsky\nöl\n".encode())
    return Reader("classes", good, "classes.txt", lambda path: make_vocabulary(read_classes(path)))


def _images() -> Reader:
    from ovsskit.files.image_names import name_images
    from ovsskit.files.inputs import find_images

    def read(path: Path) -> object:
        return name_images(find_images([str(path)]), lambda _: None, ())

    return Reader(
        "lists", (b"a.jpg\n# no\nb/*.png\nb\n", b"../x.png\n/tmp/y.png\n"), "list.txt", read
    )


def _presence() -> Reader:
    from ovsskit.engine.values import Image
    from ovsskit.recipe.registry import find_stage
    from ovsskit.recipe.vocabulary import make_vocabulary
    from ovsskit.testing import example

    words = make_vocabulary(["dog", "cat"])
    image = dataclasses.replace(example(Image), name="a.jpg")
    name = image.name
    plain = {name: ["dog"], "b": ["cat", "dog"], "c": "[1: dog, 2: cat], [90%, 80%]"}
    answer = {name: "[1: dog, 2: cat], [90%, 80%]"}
    stage: Any = find_stage("presence_from_file")

    def read(path: Path) -> object:
        return stage(file=str(path)).run(image, words)

    good = (json.dumps(plain).encode(), json.dumps(answer).encode())
    return Reader("presence", good, "present.json", read)


def _texts(file: str) -> Reader:
    from ovsskit.recipe.vocabulary import make_vocabulary
    from ovsskit.texts.read import texts_of_classes

    words = make_vocabulary(["dog", "cat"])
    good = (
        b'"dog" = "a hound"\n"cat" = "a small animal"\n'
        if file == "texts.toml"
        else b"dog >= a hound\ncat >= a small one\n"
    )
    return Reader(file, (good,), file, lambda path: texts_of_classes(path, words))


def _synonyms(file: str) -> Reader:
    from ovsskit.recipe.vocabulary import make_vocabulary
    from ovsskit.words.synonyms import read_synonyms

    words = make_vocabulary(["dog", "cat"])
    good = b'"dog" = "hound"\n' if file == "synonyms.toml" else b"# mine\ndog: hound, cur\n"
    return Reader(file, (good,), file, lambda path: read_synonyms([path], words))


def _templates() -> Reader:
    from ovsskit.texts.templates import sentences

    return Reader(
        "templates",
        (b"a photo of a {}.\nthe {}.\n",),
        "templates.txt",
        lambda path: sentences("name", str(path)),
    )


def _answers() -> Reader:
    from ovsskit.texts.generate import Answers

    def read(path: Path) -> object:
        answers = Answers(path.parent)
        return answers.find("m", "p")

    from ovsskit.files.digests import digest_texts

    good = json.dumps({"model": "m", "prompt": "p", "answer": "a hound"}).encode()
    return Reader("answers", (good,), f"{digest_texts(['m', 'p'])}.json", read)


def _records(file: str) -> Reader:
    from ovsskit.run.output.folder import OutputFolder
    from ovsskit.run.output.record import Costs, ImageRecord

    identity = {
        "stages": [{"address": "softmax", "scale": 1.0}],
        "models": {},
        "classes": {"names": ["dog"]},
    }
    record = ImageRecord(
        "a", "/a.jpg", "done", "", (1, 2), (3, 4), ("scores",), ((1, 0.5),), (0.1, 0.9)
    )
    with tempfile.TemporaryDirectory() as folder:
        mine = OutputFolder(Path(folder, "out"), identity)
        mine.records["a"] = record
        mine.save(Costs(1.0, {"softmax": 0.5}, 100))
        mine.close()
        whole = Path(folder, "out", "run.json").read_bytes()
        images = Path(folder, "out", "images.sqlite").read_bytes()
    older = json.dumps({**json.loads(whole), "images": [dataclasses.asdict(record)]}).encode()

    def read(path: Path) -> object:
        if file != "run.json":
            path.with_name("run.json").write_bytes(whole)
        mine = OutputFolder(path.parent, identity)
        try:
            mine.add([Path("/a.jpg"), Path("/b.jpg")], frozenset(), [])
            mine.save(Costs())
            return list(mine.records.values())
        finally:
            mine.close()

    line = f"{record.to_line()}\n".encode()
    good = {"run.json": (whole, older), "images.sqlite": (images,)}.get(file, (line, line * 3))
    return Reader(file, good, file, read)


def _tuned() -> Reader:
    from ovsskit.fit.folder import TunedFolder

    identity: dict[str, Any] = {"classes": ["dog"], "settings": {"updates": 5}}
    with tempfile.TemporaryDirectory() as folder:
        mine = TunedFolder(Path(folder, "out"), identity, {"name": "x"})
        mine.progress.losses = [1.0, 0.5]
        mine.note()
        good = Path(folder, "out", "fit.json").read_bytes()
        mine.close()

    def read(path: Path) -> object:
        mine = TunedFolder(path.parent, identity, {"name": "x"})
        mine.note()
        mine.close()
        return mine

    return Reader("fit.json", (good,), "fit.json", read)


def _trials() -> Reader:
    from ovsskit.study.report.compare import compare
    from ovsskit.study.search.trials import Row

    rows = [
        Row(turn, turn, "done", {"threshold.at": 0.1}, [0.5 + turn], 1.0, 1.0 + turn).plain()
        for turn in range(3)
    ]
    content = {
        "study": "x",
        "sampler": "tpe",
        "seed": 0,
        "objectives": [{"name": "miou", "direction": "maximize"}],
        "default": {"values": [0.4]},
        "trials": rows,
    }

    def read(path: Path) -> object:
        from ovsskit.cli.study_report import comparison_tables

        other = path.with_name("other.json")
        other.write_text(json.dumps(content))
        return comparison_tables(compare([path, other]))

    return Reader("trials.json", (json.dumps(content).encode(),), "trials.json", read)


def _journals() -> Reader:
    import optuna

    from ovsskit.study.search.queue import TrialQueue
    from ovsskit.study.search.storage import JOURNAL, Journal
    from ovsskit.study.spec.plan import StudyOptions, read_search

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "study.toml")
        file.write_bytes(STUDY)
        search = read_search(StudyOptions(str(file)))
        trial_storage = Journal(Path(folder))
        queue = TrialQueue(search, trial_storage, {"a": 1})
        for _ in range(2):
            queue.take(lambda trial, values: [0.5])
        trial_storage.close()
        good = Path(folder, JOURNAL).read_bytes()

    def read(path: Path) -> object:
        from ovsskit.study.search.trials import read_rows

        trial_storage = Journal(path.parent)
        try:
            queue = TrialQueue(search, trial_storage, {"a": 1})
            queue.take(lambda trial, values: [0.5])
            return read_rows(queue.study, search)
        finally:
            trial_storage.close()

    return Reader("journals", (good,), JOURNAL, read)


def _tokenizers(file: str) -> Reader:
    from ovsskit.backbones.matching._tokenizer import WORDPIECES, read_tokenizer
    from ovsskit.embedded import __file__ as embedded

    own = Path(embedded).parent
    if file == "dict.txt":
        from ovsskit.backbones.ofa._checkpoint import read_text

        good = (own / "ofa" / file).read_bytes()
        rows = 4 + len(good.splitlines())
        return Reader(file, (good,), file, lambda path: read_text(path, rows, 300).read(["dog"]))
    good = (own / "blip_itm" / "vocab.txt").read_bytes()
    rows = len(good.splitlines())
    read = partial(read_tokenizer, kind=WORDPIECES, rows=rows)
    if file == "tokenizer.json":
        good = read(own / "blip_itm").to_str().encode()
    return Reader(file, (good,), file, lambda path: read(path.parent).encode("a dog"))


def _weights(name: str, file: str, small: bytes = b"") -> Reader:
    from ovsskit.embedded import __file__ as embedded
    from ovsskit.recipe.registry import find_backbone

    folder = Path(embedded).parent / name
    beside = {
        one.name: one.read_bytes() for one in folder.iterdir() if one.is_file() and one.name != file
    }
    good = small or (folder / file).read_bytes()
    cls: Any = find_backbone(name)

    def read(path: Path) -> object:
        for other, content in beside.items():
            path.with_name(other).write_bytes(content)
        return cls(weights=str(path.parent)).check_weights()

    return Reader(f"{name}/{file}", (good,), file, read)


def _pickles() -> Reader:
    import io

    import torch

    from ovsskit.recipe.registry import find_backbone

    content = io.BytesIO()
    torch.save({"model": {"visual_encoder.blocks.0.a": torch.zeros(2)}}, content)
    cls: Any = find_backbone("blip_itm")
    return Reader(
        "pickles",
        (content.getvalue(),),
        "w.pth",
        lambda path: cls(weights=str(path)).check_weights(),
    )


VARIANT = b"""name = "variant"
extends = "pnp_blip"
remove = ["dense_crf"]

[set]
"threshold.at" = 0.3
"salience_dropout.rounds" = 2

[vocabulary]
names = ["dog, hound", "cat"]
ids = [3, 7]
synonyms = { cat = ["kitten"] }

[[stage]]
use = "pamr"
after = "softmax"

[[stage]]
use = "sliding_window"
replaces = "upsample"
window = 0

  [[stage.inner]]
  use = "upsample"
  reads = { image = "image" }
"""
STUDIED = b"""extends = "quickstart"

[study]
trials = 20
sampler = "tpe"
classes = ["dog", "cat"]

[study.objective]
use = "clip_reward"

[study.models.judge]
use = "clip"
weights = "embedded"

[study.space]
"threshold.at" = { low = 0.1, high = 0.5 }
"""
STUDY = b"""recipe = "quickstart"
trials = 20
name = "mine"
images = ["a.jpg"]

[objective]
metric = "miou"

[constraints]
seconds_per_image = 2.0

[set]
"softmax.scale" = 2.0

[space]
"threshold.at" = { low = 0.1, high = 0.5, step = 0.1 }
"gaussian_blur" = { choices = ["on", "off"] }
"salience_dropout.rounds" = { low = 1, high = 4 }
"""
GOALS = b"""recipe = "quickstart"
sampler = "random"
groups = 2
pruner = "none"
split = "salience_dropout.rounds"

[[objective]]
use = "clip_reward"

[[objective]]
metric = "seconds"
direction = "minimize"

[models.judge]
use = "clip"
weights = "embedded"

[space]
"threshold.at" = { low = 0.1, high = 0.5, log = true }
"salience_dropout.rounds" = { choices = [1, 2, 3] }
"""
READERS: dict[str, Callable[[], Reader]] = {
    "recipes": _recipes,
    "studies": _studies,
    "set": _settings,
    "classes": _classes,
    "lists": _images,
    "presence": _presence,
    "texts.toml": lambda: _texts("texts.toml"),
    "texts.txt": lambda: _texts("texts.txt"),
    "synonyms.toml": lambda: _synonyms("synonyms.toml"),
    "synonyms.txt": lambda: _synonyms("synonyms.txt"),
    "templates": _templates,
    "answers": _answers,
    "run.json": lambda: _records("run.json"),
    "finished.jsonl": lambda: _records("finished.jsonl"),
    "images.sqlite": lambda: _records("images.sqlite"),
    "fit.json": _tuned,
    "trials.json": _trials,
    "journals": _journals,
    "vocab.txt": lambda: _tokenizers("vocab.txt"),
    "tokenizer.json": lambda: _tokenizers("tokenizer.json"),
    "dict.txt": lambda: _tokenizers("dict.txt"),
    "clip": lambda: _weights("clip", "open_clip_config.json"),
    "blip": lambda: _weights("blip_itm", "config.json"),
    "pickles": _pickles,
}
SHARES = collections.defaultdict(lambda: 1, {"recipes": 16, "studies": 5, "run.json": 2})
"""How many files a reader gets beside the others."""


def main() -> int:
    """Feed every reader, print what came of it, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--only", dest="readers", nargs="+", default=[], help=f"some of: {', '.join(READERS)}"
    )
    options.add_argument("--count", type=int, default=3000, help="files in all")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, help="a folder for the first file of every crash")
    given = options.parse_args()
    warnings.simplefilter("ignore")
    chosen = given.readers or list(READERS)
    whole = sum(SHARES[name] for name in chosen)
    crashed = files = 0
    for name in chosen:
        count = max(1, given.count * SHARES[name] // whole)
        outcome = feed(READERS[name](), count, given.seed)
        files, crashed = files + count, crashed + outcome.crashed
        print(
            f"{name:16} {count:5} files: {outcome.fine:5} read, {outcome.explained:5} explained, "
            f"{outcome.crashed:4} in other errors; the slowest took {outcome.slowest:.2f} s",
            flush=True,
        )
        for number, (key, (times, content)) in enumerate(sorted(outcome.crashes.items())):
            print(f"    {times} x {key}")
            if given.keep:
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / f"{name.replace('/', '_')}_{number}").write_bytes(content)
    print(f"{files} files, {crashed} in other errors")
    return int(crashed > 0)


if __name__ == "__main__":
    sys.exit(main())
