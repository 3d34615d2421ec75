"""Ragbus in Python: models and functions for a JVM that embeds CPython. Java calls `ragbus.bridge` alone."""

__version__ = "0.1.0"
