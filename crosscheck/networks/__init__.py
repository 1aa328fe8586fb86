"""Networks: load and check ONNX, lower it to a plain graph, write it in other forms."""

from crosscheck.networks.dialects import DIALECTS
from crosscheck.networks.forms import FORMS, Form, exposed_name, running_name, write
from crosscheck.networks.graph import OPERATORS, Graph, Node
from crosscheck.networks.load import is_file, load, names
from crosscheck.networks.network import BatchNorm, Network, fixed_cotangent
from crosscheck.networks.prepare import prepared
from crosscheck.networks.readout import readout
from crosscheck.onnx_models.file_options import FileOptions

__all__ = [
    "DIALECTS",
    "FORMS",
    "OPERATORS",
    "BatchNorm",
    "FileOptions",
    "Form",
    "Graph",
    "Network",
    "Node",
    "exposed_name",
    "fixed_cotangent",
    "is_file",
    "load",
    "names",
    "prepared",
    "readout",
    "running_name",
    "write",
]
