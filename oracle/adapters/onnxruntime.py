"""ONNX Runtime: GPT-2 as a graph of ONNX's operators, made with onnx.helper and run on the CPU."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from oracle.adapters.claims import Claims
from oracle.adapters.loads_files import FileEngine, loads_files
from oracle.checkpoints import ModelFiles, read_folder

OPSET = 20  # the first with Gelu
GELUS = {"gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu": "none"}


def graph(files: ModelFiles) -> bytes:
    """The model from "tokens" (batch, query) to "logits"."""
    c, nodes = files.config, list[Any]()
    constants = {name: np.asarray(array) for name, array in files.weights.items()}
    width, heads = c["n_embd"], c["n_head"]

    def op(kind: str, *inputs: Any, **attributes: Any) -> str:
        names = [_named(value, constants) for value in inputs]
        nodes.append(helper.make_node(kind, names, [f"x{len(nodes)}"], **attributes))
        return f"x{len(nodes) - 1}"

    def norm(x: str, name: str) -> str:
        epsilon = c["layer_norm_epsilon"]
        return op("LayerNormalization", x, f"{name}.weight", f"{name}.bias", epsilon=epsilon)

    def dense(x: str, name: str) -> str:
        return op("Add", op("MatMul", x, f"{name}.weight"), f"{name}.bias")

    query = op("Gather", op("Shape", "tokens"), 1)
    row = op("Range", 0, query, 1)
    x = op("Add", op("Gather", "wte.weight", "tokens"), op("Gather", "wpe.weight", row))
    after = op("Less", op("Unsqueeze", row, [1]), op("Unsqueeze", row, [0]))
    mask = op("Where", after, np.float32(-np.inf), np.float32(0))
    for i in range(c["n_layer"]):
        h = f"h.{i}"
        qkv = dense(norm(x, f"{h}.ln_1"), f"{h}.attn.c_attn")
        parts = op("Transpose", op("Reshape", qkv, [0, 0, 3, heads, -1]), perm=[2, 0, 3, 1, 4])
        q, k, v = (op("Gather", parts, n) for n in range(3))
        scores = op("MatMul", q, op("Transpose", k, perm=[0, 1, 3, 2]))
        scale = np.float32((width // heads) ** -0.5)
        shares = op("Softmax", op("Add", op("Mul", scores, scale), mask), axis=-1)
        mixed = op("Transpose", op("MatMul", shares, v), perm=[0, 2, 1, 3])
        mixed = op("Reshape", mixed, [0, 0, width])
        x = op("Add", x, dense(mixed, f"{h}.attn.c_proj"))
        inner = dense(norm(x, f"{h}.ln_2"), f"{h}.mlp.c_fc")
        inner = op("Gelu", inner, approximate=GELUS[c["activation_function"]])
        x = op("Add", x, dense(inner, f"{h}.mlp.c_proj"))
    head = "wte.weight" if c["tie_word_embeddings"] else "lm_head.weight"
    op("Identity", op("MatMul", norm(x, "ln_f"), op("Transpose", head, perm=[1, 0])))
    nodes[-1].output[0] = "logits"
    shape = ["batch", "query"]
    made = helper.make_graph(
        nodes,
        "gpt2",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*shape, c["vocab_size"]])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    return bytes(helper.make_model(made, opset_imports=opset, ir_version=10).SerializeToString())


def _named(value: Any, constants: dict[str, Any]) -> str:
    """The name of an input; what is no name becomes a constant."""
    if isinstance(value, str):
        return value
    name = f"constant{len(constants)}"
    constants[name] = np.asarray(value)
    return name


def load(path: Path) -> dict[str, Any]:
    """A session of the folder's model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    model = graph(read_folder(path))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return {"logits": lambda tokens: session.run(None, {"tokens": np.asarray(tokens)})[0]}


def subject() -> FileEngine:
    """ONNX Runtime in float32; the graph has GELU, and no switch but the released models'."""
    claims = Claims(activation_functions=list(GELUS), flags=["n_inner", "reorder_and_upcast_attn"])
    name = f"ONNX Runtime {onnxruntime.__version__}"
    return loads_files("safetensors", load, name=name, claims=claims)
