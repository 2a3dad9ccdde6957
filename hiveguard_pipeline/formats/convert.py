"""One format into another: what FormatConverter does, and `hiveguard convert` with it.

The output is put together under a hidden name beside its place and renamed at the end, so that an error or
a refused loss leaves nothing behind.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.formats.features import FeatureCounter
from hiveguard_pipeline.formats.format import Format, Options
from hiveguard_pipeline.formats.images.sizes import ImageFolder
from hiveguard_pipeline.formats.losses import Loss, Losses
from hiveguard_pipeline.formats.model import Item, Source
from hiveguard_pipeline.formats.partial import in_place, refuse_taken
from hiveguard_pipeline.formats.registry import open_format

SIDE_CAR_IGNORED = "side_car_ignored"
"""The code for a side-car that is not trusted: the folder is read as if it had none."""

Progress = Callable[[int], None]


@dataclass(slots=True)
class Conversion:
    """What a conversion did.

    kept: what the files cannot hold and the side-car beside them restores; lost: what nothing does. notes:
    what of the input is no annotation, as answers that people withdrew.
    """

    items: int = 0
    annotations: int = 0
    kept: list[Loss] = field(default_factory=list)
    lost: list[Loss] = field(default_factory=list)
    notes: list[Loss] = field(default_factory=list)


@dataclass(slots=True)
class _Opened:
    source: Source
    rebased: bool
    notes: Losses


class FormatConverter:
    """Converts annotations between the formats of `hiveguard_pipeline.formats.FORMATS`."""

    def convert(
        self,
        *,
        input_path: str | Path,
        input_format: str,
        output_path: str | Path,
        output_format: str,
        image_dir: str | Path | None = None,
        options: Options | None = None,
        progress: Progress | None = None,
    ) -> Conversion:
        """Convert a file or folder. image_dir: where image files lie, for their sizes.

        progress is called with the number of items so far. Raises BadInputError for input that cannot be
        taken, for an output that is there already, and for losses that nothing restores, unless
        options.allow_lossy; then nothing was written.
        """
        chosen = options or Options()
        if image_dir is not None:
            chosen = replace(chosen, image_dir=Path(image_dir))
        given, target = Path(input_path), Path(output_path)
        reader, writer = open_format(input_format), open_format(output_format)
        if not given.exists():
            raise BadInputError(f"{given}: there is no such file or folder.")
        refuse_taken(target)
        lost, found = Losses(), Losses()
        opened = _open(reader, given, chosen, lost)
        # A server shows what has an address, whatever the input called it.
        if opened.rebased and writer.name != "label-studio":
            chosen = replace(chosen, rebase_paths=None)
        with in_place(target, folder=writer.has_side_car) as partial:
            done = _write(writer, opened.source, partial, chosen, found, progress)
            done.notes = opened.notes.rows()
            if writer.has_side_car:
                done.kept, done.lost = found.rows(), lost.rows()
            else:
                done.lost = _sum(lost, found).rows()
            if done.lost and not chosen.allow_lossy:
                raise BadInputError(_refusal(input_format, output_format, done.lost))
        return done

    def to_huggingface(
        self, *, annotations_path: str | Path, output_dir: str | Path, push_to_hub: bool | str = False
    ) -> Any:
        """Write a file or folder in any of the formats, told by its look, as a Hugging Face DatasetDict.

        push_to_hub: also push it, under the name given or, for True, that of output_dir; this asks the Hub as
        the user whose token the library finds. Returns the dataset as it was saved. Raises BadInputError as
        `convert` does, and where the Hub refuses.
        """
        from hiveguard_pipeline.formats.huggingface.hub import load_saved
        from hiveguard_pipeline.formats.recognise import format_of

        source, target = Path(annotations_path), Path(output_dir)
        self.convert(
            input_path=source, input_format=format_of(source), output_path=target, output_format="huggingface"
        )
        return load_saved(target, push_to_hub)


def open_source(name: str, path: Path, options: Options, lost: Losses) -> Source:
    """A file or folder in a format as a source, restored from its side-car where it has one.

    lost: gets what the model has no place for, while items are read, and a side-car that is not trusted.
    """
    return _open(open_format(name), path, options, lost).source


def write_source(
    source: Source, output_format: str, output_path: Path, options: Options, progress: Progress | None = None
) -> Conversion:
    """Write what no file was read for: a source that is there already.

    Raises BadInputError as FormatConverter.convert does; then nothing was written.
    """
    writer, found = open_format(output_format), Losses()
    refuse_taken(output_path)
    with in_place(output_path, folder=writer.has_side_car) as partial:
        done = _write(writer, source, partial, options, found, progress)
        if writer.has_side_car:
            done.kept = found.rows()
        else:
            done.lost = found.rows()
        if done.lost and not options.allow_lossy:
            raise BadInputError(_refusal("this source", output_format, done.lost))
    return done


def _open(reader: Format, path: Path, options: Options, lost: Losses) -> _Opened:
    if reader.has_side_car:
        from hiveguard_pipeline.formats.side_car.files import SIDE_CAR, BrokenSideCarError, SideCar
        from hiveguard_pipeline.formats.side_car.join import joined

        folder = path if path.is_dir() else path.parent
        if reader.name == "voc":
            from hiveguard_pipeline.formats.voc.place import data_set

            folder, _ = data_set(path)
        if (folder / SIDE_CAR).is_file():
            try:
                side_car = SideCar(folder, reader.name)
                reading = reader.read(
                    path, replace(options, known_size=side_car.known_size, unchanged=side_car.unchanged)
                )
                source = joined(side_car, reading)
            except BrokenSideCarError as error:
                ignored = f"{folder / SIDE_CAR}: {error}"
                lost.add(SIDE_CAR_IGNORED, ignored)
                options = replace(options, side_car_ignored=ignored)
            else:
                _add_all(lost, reading.losses)
                return _Opened(source, False, reading.notes)
    reading = reader.read(path, options)

    def items() -> Iterator[Item]:
        for read in reading.reads():
            yield read.item
        _add_all(lost, reading.losses)
        reading.losses = Losses()

    return _Opened(Source(reading.header, items), reading.rebased, reading.notes)


def _write(
    writer: Format, source: Source, partial: Path, options: Options, found: Losses, progress: Progress | None
) -> Conversion:
    done = Conversion()
    images = None if options.image_dir is None else ImageFolder(options.image_dir)
    features = FeatureCounter(source.header, writer.holds, found)

    def counted() -> Iterator[Item]:
        for item in source.items():
            if images is not None and item.text is None and (item.width is None or item.height is None):
                width, height = images.size(item.name) or (item.width, item.height)
                item = replace(item, width=width, height=height)
            features.count(item)
            yield item
        features.finish()

    with ExitStack() as stack:
        side_car = None
        if writer.has_side_car:
            from hiveguard_pipeline.formats.side_car.files import SideCarWriter

            side_car = SideCarWriter(partial, writer.name, source.header)
            stack.callback(side_car.close)
        for written in writer.write(source.header, counted(), partial, options, found):
            done.items += 1
            done.annotations += len(written.item.annotations)
            if side_car is not None:
                side_car.add(written)
            if progress is not None and done.items % 100 == 0:
                progress(done.items)
        if side_car is not None:
            side_car.finish()
    return done


def _sum(*parts: Losses) -> Losses:
    total = Losses()
    for part in parts:
        _add_all(total, part)
    return total


def _add_all(total: Losses, part: Losses) -> None:
    for loss in part.rows():
        total.add(loss.code, loss.example, loss.count)


def _refusal(given: str, wanted: str, lost: list[Loss]) -> str:
    said = "; ".join(f"{loss.code} {loss.count} (first: {loss.example})" for loss in lost)
    return (
        f"{given} to {wanted} would lose what nothing restores: {said}. Nothing was written; to write it all "
        "the same, add --allow-lossy."
    )
