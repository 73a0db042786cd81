"""Simulator: traces and synthetic load through the code that decides, in virtual time."""
