"""Layers and models as ONNX files."""

from tidegate.ship.onnx.model import onnx
from tidegate.ship.onnx.selftest import selftest
from tidegate.ship.onnx.translation import onnx_translations

__all__ = ["onnx", "onnx_translations", "selftest"]
