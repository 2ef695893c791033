"""Let `python -m ovsskit` do what `ovsskit` does."""

from ovsskit.cli.__main__ import main

main()
