"""Derivatives made visible: traces of one evaluation as tables, graphs, pictures and a page."""
