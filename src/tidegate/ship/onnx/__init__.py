"""Layers and models as ONNX files."""

from tidegate.ship.onnx.model import onnx
from tidegate.ship.onnx.selftest import selftest

__all__ = ["onnx", "selftest"]
