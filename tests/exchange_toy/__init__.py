"""A toy runtime that exports and imports ONNX files, for `test_exchange.py`."""
