"""Files: ONNX by jax2onnx, which converts any function in JAX."""

import os
from typing import Any

from crosscheck.probe.modes import INTENT, Call, Make, Table
from crosscheck.runtimes.haiku import contracts
from crosscheck.runtimes.haiku.transformed import Transformed

TABLE = Table()


def write_onnx(is_training: bool) -> Make:
    """`to_onnx` of a function of x alone, for any number of rows; the state that comes back is left out."""

    def make(hk: Any, jax: Any, model: Transformed) -> Call:
        def apply(x: Any) -> Any:
            return model.net.apply(model.kept["params"], model.kept["state"], None, x, is_training=is_training)[0]

        def ask(folder: str) -> None:
            import jax2onnx

            jax2onnx.to_onnx(
                apply,
                [("B", *model.shape[1:])],
                return_mode="file",
                output_path=os.path.join(folder, "network.onnx"),
                export_mode="web",  # its word for a file that has all within
            )

        return ask

    return make


CODE = (
    "def apply(x):\n    return net.apply(params, state, None, x, is_training={})[0]\n"
    "jax2onnx.to_onnx(apply, [('B', *x.shape[1:])], return_mode='file', output_path=file, export_mode='web')"
)
for half in ("eval", "train"):
    TABLE.mode("export.onnx." + half, INTENT[half], CODE.format(half == "train"), contracts.ONNX, "export", file=True)(
        write_onnx(half == "train")
    )
