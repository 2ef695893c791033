"""Provide texts about classes: sentences around names, definitions and synonyms."""
