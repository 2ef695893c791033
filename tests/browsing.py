"""Open pages in a real browser, where there is one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="there is no Chromium with its driver here"
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1400,950",
)
PATIENCE = 600
"""Seconds that an answer may take before a test gives up, on a machine that does other work."""


@contextmanager
def browsing(address: str) -> Iterator[Any]:
    """Open a page, and close the browser at the end."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        driver.command_executor.client_config.timeout = PATIENCE
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        try:
            driver.get(address)
            yield driver
        finally:
            driver.quit()


def wait(page: Any, condition: str) -> None:
    """Wait until an expression in the page is true."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(page, PATIENCE).until(lambda driver: driver.execute_script(f"return {condition}"))
