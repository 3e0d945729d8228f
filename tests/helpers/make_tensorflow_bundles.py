"""Write the checkpoints in tests/npgpt/checkpoints/tensorflow/samples/ with TensorFlow.

From the repository root: pip install tensorflow-cpu==2.21.0
                          python -m tests.helpers.make_tensorflow_bundles

What they hold is what `gpt2`, `kinds` and `one_by_one` compute, which tests do without TensorFlow.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

SAMPLES = Path("tests", "npgpt", "checkpoints", "tensorflow", "samples")
HPARAMS = {"n_vocab": 11, "n_ctx": 6, "n_embd": 4, "n_head": 2, "n_layer": 2}
KINDS = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")
MANY = 300  # tensors, whose index keeps starting afresh

Arrays = dict[str, npt.NDArray[np.generic]]


def numbers(first: int, *shape: int) -> npt.NDArray[np.float32]:
    """Numbers with a sign and seven bits, others for each `first`: exact in every float format."""
    count = np.arange(first, first + int(np.prod(shape)))
    return ((count * 37 % 251 - 125) / 64).astype(np.float32).reshape(shape)


def gpt2() -> Arrays:
    """A tiny GPT-2 by the names and in the shapes of OpenAI's release."""
    embd = HPARAMS["n_embd"]
    shapes: dict[str, tuple[int, ...]] = {
        "model/wte": (HPARAMS["n_vocab"], embd),
        "model/wpe": (HPARAMS["n_ctx"], embd),
    }
    for layer in range(HPARAMS["n_layer"]):
        for name, width, out in (
            ("attn/c_attn", embd, 3 * embd),
            ("attn/c_proj", embd, embd),
            ("mlp/c_fc", embd, 4 * embd),
            ("mlp/c_proj", 4 * embd, embd),
        ):
            shapes[f"model/h{layer}/{name}/w"] = (1, width, out)
            shapes[f"model/h{layer}/{name}/b"] = (out,)
    for norm in ("ln_f", *(f"h{n}/ln_{i}" for n in range(HPARAMS["n_layer"]) for i in (1, 2))):
        shapes[f"model/{norm}/g"] = shapes[f"model/{norm}/b"] = (embd,)
    return {name: numbers(7 * i, *shape) for i, (name, shape) in enumerate(shapes.items())}


def kinds() -> Arrays:
    """A tensor of each number format, scalars, empty tensors, and what training leaves behind.

    The bits of bfloat16 are in a uint16.
    """
    arrays: Arrays = {}
    for kind in KINDS:
        if kind == "bfloat16":
            bits = numbers(0, 2, 3).view(np.uint32) >> np.uint32(16)
            arrays[kind] = bits.astype(np.uint16)
        elif kind.startswith("float"):
            arrays[kind] = numbers(0, 2, 3).astype(kind)
        else:
            arrays[kind] = (64 * numbers(0, 2, 3)).astype(np.int64).astype(kind)
    arrays["bool"] = np.array([True, False, True])
    arrays["global_step"] = np.array(1_000_000_007, np.int64)
    arrays["beta1_power"] = np.array(0.875, np.float32)
    arrays["model/wte/Adam"] = numbers(5, 3, 2)
    arrays["empty"] = np.zeros((2, 0, 3), np.float32)
    return arrays


def one_by_one() -> Arrays:
    """Many scalars."""
    return {f"model/h{i}/scalar": numbers(i) for i in range(MANY)}


def main() -> None:
    """Write all samples anew."""
    import tensorflow as tf

    def tensor(name: str, array: npt.NDArray[np.generic]) -> tf.Tensor:
        if name == "bfloat16":
            return tf.bitcast(tf.constant(array), tf.bfloat16)
        return tf.constant(array)

    def save(prefix: str, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=[tensor(name, array) for name, array in arrays.items()],
        )

    shutil.rmtree(SAMPLES, ignore_errors=True)
    for name in ("gpt2", "shards", "kinds", "one_by_one"):
        (SAMPLES / name).mkdir(parents=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [
            tf.compat.v1.get_variable(name, initializer=tf.constant(array))
            for name, array in gpt2().items()
        ]
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(variables)
        saver.save(session, str(SAMPLES / "gpt2" / "model.ckpt"), write_meta_graph=False)
    (SAMPLES / "gpt2" / "hparams.json").write_text(json.dumps(HPARAMS) + "\n")
    names = sorted(gpt2())
    parts = [str(SAMPLES / "shards" / f"part-{i}") for i in range(2)]
    for i, part in enumerate(parts):
        save(part, {name: gpt2()[name] for name in names[i::2]})
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=parts, destination_prefix=str(SAMPLES / "shards" / "model.ckpt")
    )
    save(str(SAMPLES / "kinds" / "model.ckpt"), kinds())
    save(str(SAMPLES / "one_by_one" / "model.ckpt"), one_by_one())


if __name__ == "__main__":
    main()
