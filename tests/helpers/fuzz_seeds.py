"""Valid inputs of the fuzzed readers, to start from, and words that mutations put in."""

import io
import json
import struct

import numpy as np

from npgpt._config import Config, to_json
from npgpt.tokenizer._byte_alphabet import ALPHABET
from tests.helpers import gguf_making, llmc_making
from tests.helpers import tensorflow_making as tf
from tests.helpers.checkpoint_making import (
    FALSE,
    NONE,
    ORDERED_DICT,
    REBUILD_PARAMETER,
    TRUE,
    call,
    group,
    integer,
    integers,
    mapping,
    named,
    pickled,
    random_arrays,
    safetensors_bytes,
    state,
    storage,
    tensor,
    text,
    torch_bytes,
    zip_bytes,
)

TINY = Config(vocab_size=3, n_positions=2, n_embd=2, n_head=1, n_layer=1)
_ARRAYS = random_arrays(TINY)
_SEPARATOR = b"\n=\n"
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


def _header(arrays):
    entries, end = {"__metadata__": {"format": "pt"}}, 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        entries[name] = {
            "dtype": "F32", "shape": list(array.shape), "data_offsets": [begin, end]
        }  # fmt: skip
    return json.dumps(entries).encode()


def _numbers(arrays):
    return b"".join(array.tobytes() for array in arrays.values())


def _safetensors():
    one = {"a": np.ones((2, 1), np.float32)}
    return [
        b"f" + safetensors_bytes(_header(_ARRAYS), _numbers(_ARRAYS)),
        b"h" + _header(one) + _SEPARATOR + _numbers(one),
        b"h" + _header(_ARRAYS) + _SEPARATOR + _numbers(_ARRAYS),
        b'h{"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}' + _SEPARATOR + bytes(2),
    ]


def _stored(name, shape, *, key="0", count=8, strides=None, ending=()):
    place = group(text("storage"), named("torch", name), text(key), text("cpu"), integer(count),
                  *ending) + b"Q"  # fmt: skip
    steps = np.cumprod((1, *shape[:0:-1]))[::-1].tolist() if strides is None else strides
    return tensor(place, shape=integers(shape), strides=integers(steps if shape else ()))


def _pickles(ending=()):
    table = _stored("FloatStorage", (2, 4), ending=ending)
    whole = {
        name: _stored("FloatStorage", array.shape, key=str(i), count=array.size, ending=ending)
        for i, (name, array) in enumerate(_ARRAYS.items())
    }
    sizes = {"n_layer": 1, "n_head": 1, "n_embd": 2, "block_size": 2, "vocab_size": 3}
    arguments = mapping({**{k: integer(v) for k, v in sizes.items()}, "bias": FALSE})
    return [
        state(a=_stored("FloatStorage", (2, 4), ending=ending)),
        state(a=call(REBUILD_PARAMETER, table, TRUE, ORDERED_DICT), b=table),
        state(a=_stored("DoubleStorage", (2, 2), count=4, strides=(1, 2), ending=ending)),
        pickled(mapping({"a": table}, empty=ORDERED_DICT + b"q\x07")
                + mapping({"_metadata": ORDERED_DICT}) + b"b"),
        pickled(mapping({"model": mapping({"wte": table}), "model_args": arguments,
                         "optimizer": group(NONE, FALSE, b"]q\x01a" and b"]", b"G" + bytes(8)),
                         "iter": b"K\x07", "long": b"J" + bytes(4), "more": b"h\x00" and b"}"})),
        state(**whole),
    ]  # fmt: skip


def _protocol_4():
    """Frames, short texts, memoised names: what protocols 4 and 5 have and 2 has not."""
    body = b"}\x94(\x8c\x01a\x94K\x01\x85\x94\x8c\x01bh\x01h\x02\x86\x94u."
    names = b"\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94."
    return [b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body, b"\x80\x05" + names]


def _without_sums(archive):
    """The archive with 0 for each CRC, which says that none was computed."""
    data, at = bytearray(archive), -1
    while (at := data.find(b"PK\1\2", at + 1)) >= 0:
        data[at + 16 : at + 20] = bytes(4)
    return bytes(data)


def _torch_zip():
    *some, last = _pickles()
    records = {f"data/{i}": array.tobytes() for i, array in enumerate(_ARRAYS.values())}
    whole = torch_bytes(last, {**records, "byteorder": b"little"})
    small = [torch_bytes(pickle, {"data/0": bytes(32)}) for pickle in some[:2]]
    stored = state(a=tensor(storage()))
    file = io.BytesIO(zip_bytes({"it/data.pkl": stored, "it/data/0": bytes(8)}))
    return [
        b"f" + whole,
        *(b"f" + _without_sums(archive) for archive in (whole, *small, file.getvalue())),
        *(b"p" + pickle + _SEPARATOR + bytes(32) for pickle in some),
    ]


def _legacy():
    facts = pickled(mapping({"protocol_version": integer(1001), "little_endian": TRUE}))
    head = _LEGACY + pickled(integer(1001)) + facts

    def file(pickle, arrays):
        keys = b"](" + b"".join(text(str(i)) for i in range(len(arrays))) + b"e"
        numbers = [struct.pack("<q", a.size) + a.tobytes() for a in arrays]
        return head + pickle + pickled(keys) + b"".join(numbers)

    *some, last = _pickles(ending=(NONE,))
    eight, four = [np.ones(8, np.float32)], [np.ones(4)]
    files = [file(pickle, four if b"Double" in pickle else eight) for pickle in some]
    return [*files, file(last, [*_ARRAYS.values()])]


def _npy(array, version=(1, 0)):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=False)
    return file.getvalue()


def _npz():
    text_ = np.frombuffer(json.dumps(to_json(TINY)).encode(), np.uint8)
    arrays = {f"{n}.npy": _npy(a) for n, a in {**_ARRAYS, "config.json": text_}.items()}
    two = {"a.npy": _npy(np.ones((2, 3))), "b.npy": _npy(np.array(True))}
    return [
        b"f" + _without_sums(zip_bytes(arrays)),
        b"f" + _without_sums(zip_bytes(two)),
        b"f" + zip_bytes(two, compression=8),
        b"a" + _npy(np.ones((2, 3), "<f2")),
        b"a" + _npy(np.asfortranarray(np.ones((2, 3)))),
        b"a" + _npy(np.ones(3, "<i4"), (2, 0)),
        b"d" + _npy(np.ones(300, "<f4"), (3, 0)),
    ]


def _gguf():
    tensors, data = [], b""
    shapes = {"token_embd.weight": (2, 4), "blk.0.attn_qkv.weight": (12, 4), "output.weight": (2,)}
    for name, shape in shapes.items():
        tensors.append((name, gguf_making.info(shape, gguf_making.F16, len(data))))
        size = 2 * int(np.prod(shape))
        data += bytes(-(-size // 32) * 32)
    q8 = ((gguf_making.TABLE, gguf_making.info((2, 32), gguf_making.Q8_0)),)
    return [
        gguf_making.of(),
        gguf_making.of(tensors=tensors, data=data),
        gguf_making.of(
            {"gpt2.embedding_length": gguf_making.uint32(32)}, tensors=q8, data=bytes(96)
        ),
        gguf_making.of({"general.alignment": gguf_making.uint32(8)}, alignment=8),
        gguf_making.with_tokens(),
    ]


def _llmc():
    small = (1, 2, 1, 1, 2, 3)
    return [
        llmc_making.bin_bytes(small),
        llmc_making.bin_bytes(small, version=5),
        llmc_making.bin_bytes((1, 1, 0, 1, 1, 1)),
    ]


def _tensorflow():
    empty = tf.entry(sizes=(0, 2), size=0, crc=tf.checksum(b""))
    entries = [(b"", tf.header()), (b"a", tf.entry()), (b"b", empty)]
    shared = [
        tf.item(b"", tf.header()),
        tf.item(b"model/a", tf.entry()),
        tf.item(b"model/b", empty, shared=6),
    ]
    one = tf.block(entries[:2])
    index = tf.block([(b"a", tf.place(0, len(one)))])
    hparams = {"n_vocab": 3, "n_ctx": 2, "n_embd": 2, "n_head": 1, "n_layer": 1}
    return [
        b"f" + tf.one_block(entries),
        b"f" + tf.table([tf.block(entries[:1]), tf.block(entries[1:])]),
        b"b" + one,
        b"b" + tf.packed(shared),
        b"i" + index + _SEPARATOR + one,
        b"e" + tf.entry(),
        b"e" + tf.entry(dtype=19, sizes=(1, 2), more=tf.part(7, b"")),
        b"s" + tf.header(),
        b'cmodel_checkpoint_path: "model.ckpt"\nall_model_checkpoint_paths: "model.ckpt"\n',
        b"h" + json.dumps(hparams).encode(),
    ]


def _config():
    return [
        json.dumps(to_json(TINY)).encode(),
        b'{"model_type": "gpt2", "eos_token_id": [1, 2], "n_inner": 7, "attn_pdrop": 1e-1}',
    ]


def _json():
    return [
        b'{"a": [1, 2.5e-3, true, null], "\\u00e9\\ud83d\\ude00": "\xc3\xa9"}',
        b"[[[]]]",
        b"-1",
    ]


def _tokenizer():
    model = b'"model":{"type":"BPE","vocab":{"@@":0},"merges":[]}'
    pre = b'"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}'
    merges = b"#version: 0.2\nt o\nb e\n"
    return [
        b'v,"to":256,"be":257',
        b'm"t o",["b","e"]',
        b'a{"id":256,"content":"<|endoftext|>","special":true,"lstrip":false}',
        b"w{" + pre + b"," + model + b"}",
        b'w{"version":"1.0","normalizer":null,"post_processor":{"type":"ByteLevel"},' + pre
        + b',"decoder":{"type":"ByteLevel"},"added_tokens":[{"id":256,"content":"<|x|>"}],'
        + model + b"}",
        b'p,"to":256,"be":257,"<|endoftext|>":258' + _SEPARATOR + merges,
        b'p,"to":257,"be":258,"<|x|>":256' + _SEPARATOR + merges + _SEPARATOR
        + b'{"<|x|>":256}' + _SEPARATOR + b'{"add_prefix_space":false}',
    ]  # fmt: skip


def _shards():
    places = {"a": "a.safetensors", "b": "b.safetensors"}
    return [json.dumps({"metadata": {"total_size": 8}, "weight_map": places}).encode()]


def valid():
    """A small valid file of each format, by the format's name."""
    return {
        "safetensors": _safetensors()[0][1:],
        "torch zip": _torch_zip()[1][1:],
        "torch legacy": _legacy()[0],
        "npz": _npz()[1][1:],
        "GGUF": _gguf()[0],
        "llm.c": _llmc()[0],
        "TensorFlow bundle": _tensorflow()[0][1:],
    }


def _any():
    ways = {"safetensors": b"s", "npz": b"n", "GGUF": b"g", "TensorFlow bundle": b"i"}
    files = [ways.get(name, b"b") + data for name, data in valid().items()]
    return [*files, b"p" + _pickles()[0]]


SEEDS = {
    "safetensors": _safetensors,
    "torch_zip": _torch_zip,
    "torch_legacy": _legacy,
    "pickle": lambda: [*_pickles(), *_protocol_4()],
    "npz": _npz,
    "gguf": _gguf,
    "llmc": _llmc,
    "tensorflow": _tensorflow,
    "config": _config,
    "json": _json,
    "tokenizer": _tokenizer,
    "shards": _shards,
    "any": _any,
}

_WHOLE = [struct.pack(f, n) for f in ("<I", "<Q") for n in (0, 1, 2**31, 2**32 - 1)]
_ENDLESS = [b"\xff" * 8, b"\xff" * 9 + b"\x01", struct.pack("<Q", 2**63), struct.pack("<i", -1)]
_OF_JSON = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"-1", b"1e999", b"NaN",
            b"9" * 20, b"0.5", b"\\ud800", b"\xff", b"\xef\xbb\xbf", b"[" * 99, b'""']  # fmt: skip
_OPCODES = [bytes([code]) for code in b"(.NGKMJXQRbceh0jlopqrstu}]a)Iid\x85\x86\x87\x88\x89\x8a"
            b"\x8b\x8c\x8d\x93\x94\x95\x81\x8f"]  # fmt: skip
_OF_PICKLES = [*_OPCODES, TRUE, FALSE, NONE, ORDERED_DICT, tensor(), storage(), text("a"),
               named("os", "system"), named("torch", "HalfStorage"), integer(2**62), integers([]),
               integer(-1), b"h\x00", b"q\x00"]  # fmt: skip
_OF_NAMES = [b"wte.weight", b"lm_head.weight", b"transformer.", b"h.0.attn.c_attn.weight",
             b"model/wte", b"blk.0.attn_qkv.weight", b"module.", b"../a", b"\0"]  # fmt: skip
_NUMBERS = [*_WHOLE, *_ENDLESS]
_OF_NPY = [b"'descr'", b"'shape'", b"'fortran_order'", b"True", b"'|O'", b"'<f4'", b"(3,)", b"()",
           b"\x93NUMPY\x03\x00", b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\7"]  # fmt: skip
_OF_TOKENS = [letter.encode() for letter in ALPHABET[:3]] + [b"<|endoftext|>", b" ", b"\n", b"to"]

WORDS = {
    "safetensors": [*_OF_JSON, *_OF_NAMES, b'"F16"', b'"shape"', b'"__metadata__"', *_NUMBERS],
    "torch_zip": [*_OF_PICKLES, *_NUMBERS, *_OF_NPY[-4:]],
    "torch_legacy": [*_OF_PICKLES, *_NUMBERS],
    "pickle": [*_OF_PICKLES, *_OF_NAMES],
    "npz": [*_OF_NPY, *_NUMBERS],
    "gguf": [*_NUMBERS, *_OF_NAMES, b"gpt2.", b"general.alignment", b"tokenizer.ggml.tokens"],
    "llmc": _NUMBERS,
    "tensorflow": [*_NUMBERS, *_OF_NAMES, *_OF_JSON],
    "config": [*_OF_JSON, *(f'"{name}"'.encode() for name in to_json(TINY))],
    "json": _OF_JSON,
    "tokenizer": [*_OF_JSON, *_OF_TOKENS],
    "shards": [*_OF_JSON, b'"a.safetensors"', b'"../a"', b'"/"'],
    "any": [*_NUMBERS, *_OF_JSON],
}


def mutated(seeds, words, rng):
    """A seed with one to four bytes, words or stretches changed."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 4)):
        place = rng.randint(1, max(len(data), 1))  # the first byte says how the rest is meant
        end = place + rng.choice((0, 1, 1, 4, 8, 30))
        other = rng.choice(seeds)
        cut = rng.randrange(len(other))
        data[place:end] = rng.choice(
            (bytes([rng.randrange(256)]), rng.choice(words), b"", data[place:end] * 2,
             other[cut : cut + 30])
        )  # fmt: skip
    return bytes(data)
