"""Damaged and malicious files of every format that ``tidegate.convert.read`` knows."""
