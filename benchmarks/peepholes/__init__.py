"""Do peepholes help? LSTM against peephole LSTM: ``python -m benchmarks.peepholes``."""
