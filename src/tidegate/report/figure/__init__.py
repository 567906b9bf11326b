"""Figures: records to static SVG, one file per figure."""
