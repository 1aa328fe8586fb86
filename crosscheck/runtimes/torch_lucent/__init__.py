"""Lucent: pictures that excite a torch module's layers."""
