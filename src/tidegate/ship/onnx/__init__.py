"""Layers and models as ONNX files."""

from tidegate.ship.onnx.model import onnx

__all__ = ["onnx"]
