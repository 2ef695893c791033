"""The workflow that runs elsewhere tests three systems, the docs and a wheel."""

from pathlib import Path

import yaml

WORKFLOW = Path(__file__).parent.parent / ".github" / "workflows" / "test.yml"


def test_the_workflow_tests_three_systems_the_docs_and_a_wheel() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    systems = {name.partition("-")[0] for name in jobs["tests"]["strategy"]["matrix"]["os"]}
    assert systems == {"ubuntu", "macos", "windows"}
    run = {name: " && ".join(step.get("run", "") for step in jobs[name]["steps"]) for name in jobs}
    assert run["tests"].endswith("python -m pytest -n auto")
    assert run["docs"].endswith("mkdocs build --strict")
    assert run["wheel"].endswith("ovsskit --help && ovsskit check quickstart")
