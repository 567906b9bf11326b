"""Recurrent layers in whole numbers as C: how the expressions of ``ship/int8`` are written down."""
