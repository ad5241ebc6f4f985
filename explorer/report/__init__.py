"""Texts for people: one embedding described in full."""
