"""Trained models for other places: as ONNX, as C, and in the formats of audio plugins and small devices."""

from tidegate.ship.flow import Flow

__all__ = ["Flow"]
