"""Fill in the pages that commands leave: each opens from disk, without a server or the network."""

from __future__ import annotations

from typing import Any


def render_page(package: str, template: str, **values: Any) -> str:
    """Return a page from a template beside a package's code; text in `values` is escaped.

    Templates may include `style.html`, the style that the pages share.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader

    folders = dict.fromkeys((package, "ovsskit.run.output"))
    loader = ChoiceLoader([PackageLoader(one, "") for one in folders])
    return Environment(loader=loader, autoescape=True).get_template(template).render(**values)
