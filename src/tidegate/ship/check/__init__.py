"""Artefacts run inside their task: their errors, and the metric before and after."""
