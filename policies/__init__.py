"""Policies: who is next and where a gang goes. Pure; one idea per file; names in registry.py."""
