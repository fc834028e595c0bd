"""Arrays from files for a model's inputs other than the image (``--input NAME=FILE.npy``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy.typing as npt

    from onnxcam.explainer import Explainer


def split_inputs(texts: Sequence[str]) -> dict[str, str]:
    """Return files by the name of the input that they are for.

    Raises:
        UsageError: a text is not NAME=FILE, or two name one input.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, file = text.partition("=")
        if not name or not file:
            raise click.UsageError(f"--input takes NAME=FILE.npy, not '{text}'")
        if name in found:
            raise click.UsageError(f"--input gives '{name}' twice")
        found[name] = file
    return found


class ExtraInputs:
    """Arrays for the inputs other than the image, with a row for every image."""

    def __init__(self, explainer: Explainer, files: Mapping[str, str], images: Sequence[Any]) -> None:
        """Read the files.

        Args:
            explainer: of the model.
            files: by the input's name.
            images: paths of all images, in order.

        Raises:
            InputError: a file holds no numbers, the model has no such input, takes no such array, or lacks one.
        """
        from onnxcam.errors import InputError
        from onnxcam.network.feeds import check_names, extra_inputs

        if explainer.image.name in files:
            raise InputError(
                f"input '{explainer.image.name}' is the image, which is read from the photographs; --input is for the "
                "other inputs"
            )
        network = explainer.network
        check_names(network, [explainer.image.name, *files])
        arrays = {name: _read(file) for name, file in files.items()}
        self._network = network
        self._arrays = extra_inputs(network.inputs, arrays, max(len(images), 1))
        self._positions = {str(path): position for position, path in enumerate(images)}

    def of(self, images: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Return the rows of some images, by their names."""
        import numpy as np

        return self._network.rows(self._arrays, np.array([self._positions[name] for name in images], np.int64))


def _read(file: str) -> npt.NDArray[Any]:
    import numpy as np

    from onnxcam.errors import InputError

    try:
        array = np.load(file, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}; check the path") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{file}: not a NumPy file of numbers; write it with numpy.save(FILE, array)") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{file}: holds several arrays; write one with numpy.save(FILE, array)")
    return array
