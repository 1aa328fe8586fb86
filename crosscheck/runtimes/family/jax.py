"""Libraries on JAX: files in ONNX."""

from __future__ import annotations

__all__ = ["write_onnx"]


def write_onnx(name: str, shape: str = '("B", *x.shape[1:])') -> str:
    """Writes the function of that name as ONNX, for any number of rows ("B") unless `shape` says otherwise.

    "web" is jax2onnx's word for a file that has all within.
    """
    return f"""\
import jax2onnx
jax2onnx.to_onnx({name}, [{shape}], return_mode="file", output_path="network.onnx", export_mode="web")
"""
