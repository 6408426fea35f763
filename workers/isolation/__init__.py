"""Handlers in processes of their own: what runs there (`isolated` and what it uses), and how the worker holds it."""

from workers.isolation.dispatch import CORES, Isolation

__all__ = ["CORES", "Isolation"]
