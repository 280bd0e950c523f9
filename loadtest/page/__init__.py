"""A run as one HTML page that needs nothing else: plots are inline SVG, there is no script and no network."""

from loadtest.page.html import render

__all__ = ["render"]
