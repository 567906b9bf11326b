"""Trained models for other places: as ONNX, as C, and in the formats of audio plugins and small devices."""

from tidegate.ship.c import Source, c
from tidegate.ship.dnnw import dnnw
from tidegate.ship.flow import Flow
from tidegate.ship.kind import flows
from tidegate.ship.nam import nam
from tidegate.ship.onnx import onnx, selftest
from tidegate.ship.rtneural import rtneural
from tidegate.ship.safetensors import safetensors

__all__ = ["Flow", "Source", "c", "dnnw", "flows", "nam", "onnx", "rtneural", "safetensors", "selftest"]
