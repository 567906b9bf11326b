"""Trained models for other places: as ONNX, as C, and in the formats of audio plugins and small devices."""

from tidegate.ship.c import Source, c
from tidegate.ship.check import Checked, check
from tidegate.ship.dnnw import dnnw
from tidegate.ship.flow import Flow
from tidegate.ship.inspect import Inspection, inspect, inspected
from tidegate.ship.int8.stack import Quantised
from tidegate.ship.kind import flows
from tidegate.ship.nam import nam
from tidegate.ship.onnx import onnx, onnx_translations, selftest
from tidegate.ship.quantise import quantise
from tidegate.ship.rtneural import rtneural
from tidegate.ship.safetensors import safetensors
from tidegate.ship.ship import Shipped, ship
from tidegate.ship.target import FORMATS, Format

__all__ = [
    "FORMATS",
    "Checked",
    "Flow",
    "Format",
    "Inspection",
    "Quantised",
    "Shipped",
    "Source",
    "c",
    "check",
    "dnnw",
    "flows",
    "inspect",
    "inspected",
    "nam",
    "onnx",
    "onnx_translations",
    "quantise",
    "rtneural",
    "safetensors",
    "selftest",
    "ship",
]
