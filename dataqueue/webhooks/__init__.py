"""Handlers called over HTTP."""
