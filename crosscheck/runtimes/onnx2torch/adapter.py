"""onnx2torch: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from crosscheck.probe.converted import ConvertedAdapter, name_torchvision


class ONNX2Torch(ConvertedAdapter):
    """`onnx2torch.convert`, and torch's autograd over what it returns."""

    def load(self) -> str:
        """Import the converter and torch; torchvision is only named."""
        import importlib.metadata

        name_torchvision({"ops": ["roi_align"]})
        import torch
        from onnx2torch.converter import convert  # noqa: F401 - so that no trial has to import it

        self.torch = torch
        return importlib.metadata.version("onnx2torch")
