"""onnx2pytorch: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from crosscheck.probe.converted import ConvertedAdapter, name_torchvision


class ONNX2PyTorch(ConvertedAdapter):
    """`onnx2pytorch.ConvertModel`, and torch's autograd over it."""

    def load(self) -> str:
        """Import the converter and torch; torchvision is only named."""
        import importlib.metadata

        operators = ["deform_conv2d", "roi_align", "roi_pool"]
        name_torchvision({"io": ["decode_image", "ImageReadMode"], "ops": operators})
        import torch
        from onnx2pytorch import ConvertModel  # noqa: F401 - so that no trial has to import it

        self.torch = torch
        return importlib.metadata.version("onnx2pytorch")
