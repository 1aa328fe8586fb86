"""The adapter of the runtimes that exchange files in `test_exchange.py`."""
