"""Texts about classes: the sentences that names are put into, and definitions and synonyms that go with them."""
