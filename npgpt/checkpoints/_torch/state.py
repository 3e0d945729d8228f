"""State dicts, as the pickles of torch.save describe them: alone, or in a checkpoint of nanoGPT's.

A pickle says of each tensor in which storage it lies, and how; where the storages are is up to the
format. A checkpoint of nanoGPT's train.py is a dict: "model" is the state dict, "model_args" says
the sizes, and the rest (the optimizer's state, the settings of training) is not looked at.

Source: torch/_utils.py of torch 2.13; train.py of https://github.com/karpathy/nanoGPT.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from npgpt._quoting import kind, quoted
from npgpt.checkpoints._tensors import DTYPES, DType, Stored, check_shape
from npgpt.checkpoints._torch.inert_pickle import Global
from npgpt.checkpoints._torch.nanogpt import nanogpt_config
from npgpt.errors import CheckpointError

_ORDERED_DICT = Global("collections", "OrderedDict")
_TENSOR = Global("torch._utils", "_rebuild_tensor_v2")
_PARAMETER = Global("torch._utils", "_rebuild_parameter")
_STORAGES = {Global("torch", dtype.storage): dtype for dtype in DTYPES}
ALLOWED = {_ORDERED_DICT, _TENSOR, _PARAMETER, *_STORAGES}
RESAVE = "save model.state_dict() with torch.save"

# Tensors that overlap in the file need memory of their own once converted, so without a bound a
# small file could ask for any amount. Real checkpoints share whole tensors, which count once.
_OVERLAP = 2**26


@dataclass(frozen=True)
class Storage:
    """The numbers that tensors share, as the pickle announces them."""

    key: str
    dtype: DType
    count: int


@dataclass(frozen=True)
class Tensor:
    """A tensor as the pickle describes it: `geometry`, its offset, shape and strides, unchecked."""

    storage: Storage
    geometry: tuple[Any, ...]


@dataclass
class Builder:
    """What answers a pickle's calls and references, and the storages it has referred to.

    `name` is that of the pickle; a persistent id ends with `ending`.
    """

    path: Path
    name: str
    ending: tuple[object, ...] = ()
    storages: dict[str, Storage] = field(default_factory=dict)

    def refuse(self, reason: str) -> NoReturn:
        """Raise CheckpointError, naming the file."""
        raise CheckpointError(f"{self.path}: {reason}")

    def reduce(self, function: Global, arguments: tuple[Any, ...]) -> object:
        """What a call of one of the ALLOWED names gives."""
        if (function, len(arguments)) not in ((_ORDERED_DICT, 0), (_TENSOR, 6), (_PARAMETER, 3)):
            self.refuse(
                f"{self.name}: calls {function.name} with {len(arguments)} arguments; {RESAVE}"
            )
        if function == _ORDERED_DICT:
            return OrderedDict()
        *rest, requires_grad, hooks = arguments
        if not isinstance(requires_grad, bool) or type(hooks) is not OrderedDict or hooks:
            self.refuse(f"{self.name}: a tensor with hooks, or without its requires_grad")
        if function == _TENSOR:
            storage, *geometry = rest
            if not isinstance(storage, Storage):
                self.refuse(f"{self.name}: a tensor in {_kind(storage)}; expected a storage")
            return Tensor(storage, tuple(geometry))
        (tensor,) = rest
        if not isinstance(tensor, Tensor):
            self.refuse(f"{self.name}: a parameter of {_kind(tensor)}; expected a tensor")
        return tensor

    def persistent(self, reference: object) -> Storage:
        """The storage of a persistent id, ("storage", type, key, location, count, …)."""
        match reference:
            case ("storage", Global() as form, str(key), str(), int(count), *rest) if (
                form in _STORAGES and type(count) is int and tuple(rest) == self.ending
            ):
                announced = Storage(key, _STORAGES[form], count)
            case _:
                self.refuse(f"{self.name}: refers to {_kind(reference)}; expected a storage")
        if self.storages.setdefault(key, announced) != announced:
            self.refuse(f"{self.name}: storage {quoted(key)} is described in two ways")
        return announced

    def select(self, value: object) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
        """The tensors of the model by name, and the fields of config.json where they are said."""
        if not isinstance(value, dict) or not isinstance(value.get("model"), dict):
            return self._state(value), None
        tensors = self._state(value["model"])
        arguments = value.get("model_args")
        if arguments is None:
            return tensors, None
        if not isinstance(arguments, dict):
            self.refuse(f"model_args is {_kind(arguments)}; nanoGPT saves a dict there")
        return tensors, nanogpt_config(arguments, tensors, str(self.path))

    def _state(self, value: object) -> dict[str, Tensor]:
        if not isinstance(value, dict):
            self.refuse(f"holds {_kind(value)}; expected a state dict: {RESAVE}")
        for name, tensor in value.items():
            if not isinstance(name, str):
                self.refuse(f"{kind(name)} for the name of a tensor; expected a text: {RESAVE}")
            if not isinstance(tensor, Tensor):
                self.refuse(f"{quoted(name)} is {_kind(tensor)}; expected a tensor: {RESAVE}")
        return dict(value)


def place_tensors(
    tensors: Mapping[str, Tensor],
    numbers: Callable[[Storage], npt.NDArray[Any]],
    path: Path,
    size: int,
) -> dict[str, Stored]:
    """The tensors in their storages, whose values `numbers` gives, in a file of `size` bytes.

    The same view under two names is the same `Stored`. Raises CheckpointError for one that reaches
    outside its storage, and where together they are far larger than the file.
    """
    values: dict[str, npt.NDArray[Any]] = {}
    views: dict[tuple[object, ...], Stored] = {}
    placed: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        storage = tensor.storage
        if storage.key not in values:
            values[storage.key] = numbers(storage)
        where = f"{path}: tensor {quoted(name)} in storage {quoted(storage.key)}"
        data = strided_view(values[storage.key], storage.dtype, tensor.geometry, where)
        # By now all three are known to be whole numbers and tuples of them.
        placed[name] = views.setdefault(
            (storage.key, *tensor.geometry), Stored(storage.dtype, data, path)
        )
    total = sum(view.data.nbytes for view in views.values())
    if total > size + _OVERLAP:
        raise CheckpointError(
            f"{path}: its tensors overlap so much that {size} bytes become {total}"
        )
    return placed


def _kind(value: object) -> str:
    kinds = {Tensor: "a tensor", Storage: "a storage", Global: "a function"}
    return kinds.get(type(value)) or kind(value)


def strided_view(
    values: npt.NDArray[Any], dtype: DType, geometry: tuple[Any, ...], where: str
) -> npt.NDArray[Any]:
    """The array whose element (i, j, …) is `values[offset + i * strides[0] + j * strides[1] + …]`.

    `geometry` is (offset, shape, strides), as torch pickles them: strides count elements. The
    result is a view. Raises CheckpointError, starting with `where`, unless the three are whole
    numbers of 0 or more that stay inside `values`.

    >>> from npgpt.checkpoints._tensors import FLOAT32
    >>> strided_view(np.arange(6, dtype=np.float32), FLOAT32, (1, (2, 2), (1, 3)), "an example")
    array([[1., 4.],
           [2., 5.]], dtype=float32)
    """
    offset, shape, strides = geometry
    if type(shape) is not tuple or type(strides) is not tuple or len(shape) != len(strides):
        raise CheckpointError(f"{where}: shape and strides are not two tuples of one length")
    sizes = check_shape(shape, dtype, where)
    start, *steps = (_whole(number, where) for number in (offset, *strides))
    if 0 in sizes:
        return np.empty(sizes, values.dtype)  # wherever it starts, as in torch
    reach = start + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if reach >= values.size:
        raise CheckpointError(
            f"{where}: offset {start}, shape {sizes} and strides {tuple(steps)} reach outside "
            f"its {values.size} numbers"
        )
    # The stride of a dimension of size 1 means nothing, and might overflow.
    jumps = [
        step * dtype.itemsize if size > 1 else 0 for size, step in zip(sizes, steps, strict=True)
    ]
    return np.lib.stride_tricks.as_strided(values[start:], sizes, jumps, writeable=False)


def _whole(number: object, where: str) -> int:
    if type(number) is not int or number < 0:
        raise CheckpointError(
            f"{where}: {kind(number)} for an offset or stride; expected 0 or more"
        )
    return number
