# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["ai-edge-litert==2.3.0", "numpy==2.2.6"]
# ///
"""LiteRT 2.3.0: a variable that nothing has assigned is read as what lies in memory, if XNNPACK reads it."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def tensor(name, kind, shape):
    """A tensor without a buffer."""
    made = schema.TensorT()
    made.name, made.type, made.shape, made.buffer = name, kind, shape, 0
    return made


def operator(index, inputs, outputs, kind=schema.BuiltinOptions.NONE, options=None):
    """A node; index: of its operator."""
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = index, inputs, outputs
    made.builtinOptionsType, made.builtinOptions = kind, options
    return made


def code(builtin):
    """An operator of version 1."""
    made = schema.OperatorCodeT()
    made.builtinCode, made.deprecatedBuiltinCode, made.version = builtin, min(builtin, 127), 1
    return made


named = schema.VarHandleOptionsT()
named.container, named.sharedName = "", "variable"
kinds, operators = schema.TensorType, schema.BuiltinOperator
graph = schema.SubGraphT()
graph.tensors = [tensor("x", kinds.FLOAT32, [1, 4]), tensor("handle", kinds.RESOURCE, [])]
graph.tensors += [tensor("value", kinds.FLOAT32, [1, 4]), tensor("y", kinds.FLOAT32, [1, 4])]
graph.inputs, graph.outputs = [0], [3]
graph.operators = [
    operator(0, [], [1], schema.BuiltinOptions.VarHandleOptions, named),
    operator(1, [1], [2]),
    operator(2, [0, 2], [3], schema.BuiltinOptions.AddOptions, schema.AddOptionsT()),
]
model = schema.ModelT()
model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
model.operatorCodes = [code(one) for one in (operators.VAR_HANDLE, operators.READ_VARIABLE, operators.ADD)]
builder = flatbuffers.Builder(0)
builder.Finish(model.Pack(builder), b"TFL3")

for resolver in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO):
    net = Interpreter(model_content=bytes(builder.Output()), experimental_op_resolver_type=resolver)
    net.allocate_tensors()
    net.set_tensor(0, np.zeros([1, 4], np.float32))
    try:
        net.invoke()
        found = f"y {net.get_tensor(3)[0]}"
    except RuntimeError as problem:
        found = str(problem).partition(".Node")[0]
    print(f"{resolver.name}: {found} | expected: an error")
print("no defect" if not found.startswith("y ") else "defect")
