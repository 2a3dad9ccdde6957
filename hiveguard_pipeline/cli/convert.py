"""`hiveguard convert`: annotations from one training format into another."""

from pathlib import Path
from typing import Any

import click

from hiveguard_pipeline.cli.asset_process import end_on_signals
from hiveguard_pipeline.cli.shared import emit, fmt_option, progress, say
from hiveguard_pipeline.formats.registry import FORMATS

_COLUMNS = ["code", "count", "kept_in", "example"]
_format = click.Choice(list(FORMATS))


@click.command()
@click.argument("input_path", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output_path", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option("--from", "input_format", type=_format, required=True, help="The format of INPUT.")
@click.option("--to", "output_format", type=_format, required=True, help="The format of OUTPUT.")
@click.option(
    "--image-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where image files lie, for sizes that the annotations do not say.",
)
@click.option(
    "--voc-origin",
    type=click.Choice(["1", "0"]),
    default="1",
    show_default=True,
    help="The coordinate of the first pixel in Pascal VOC files, read and written.",
)
@click.option(
    "--voc-int", is_flag=True, help="Whole coordinates in Pascal VOC files, as its devkit has them."
)
@click.option(
    "--rebase-paths",
    metavar="ROOT",
    help="Take ROOT off absolute image paths; put it before relative ones where the output names images.",
)
@click.option(
    "--spans",
    type=click.Choice(["strict", "contract", "expand"]),
    default="strict",
    show_default=True,
    help="A text span that does not meet token borders is refused, made smaller, or larger.",
)
@click.option(
    "--language", default="xx", show_default=True, help="The language whose tokens spaCy files are made of."
)
@click.option("--clip", is_flag=True, help="Cut boxes of INPUT at their image's border, if they stick out.")
@click.option("--allow-lossy", is_flag=True, help="Write even what nothing will bring back in part.")
@fmt_option
def convert(
    input_path: Path,
    output_path: Path,
    input_format: str,
    output_format: str,
    image_dir: Path | None,
    voc_origin: str,
    fmt: str,
    **options: Any,
) -> None:
    """Convert annotations from INPUT, a file or folder, to OUTPUT, which must not be there yet.

    What the output's files cannot hold is listed with a code and a count. A folder gets a side-car,
    hiveguard.jsonl, from which the way back restores it; where there is none, it takes --allow-lossy.
    """
    from hiveguard_pipeline.formats import FormatConverter, Options

    end_on_signals(None)
    with progress("converting", "items") as report:
        done = FormatConverter().convert(
            input_path=input_path,
            input_format=input_format,
            output_path=output_path,
            output_format=output_format,
            image_dir=image_dir,
            options=Options(voc_origin=0 if voc_origin == "0" else 1, **options),
            progress=report,
        )
    rows = [
        {"code": loss.code, "count": loss.count, "kept_in": kept, "example": loss.example}
        for losses, kept in ((done.lost, None), (done.kept, "hiveguard.jsonl"), (done.notes, "the input"))
        for loss in losses
    ]
    say(f"{output_path}: {done.items:,} items with {done.annotations:,} annotations.")
    for row in rows:
        fate = f"kept in {row['kept_in']}" if row["kept_in"] else "lost"
        say(f"  {row['code']} {row['count']:,} ({fate})")
    if fmt != "table":
        emit(rows, _COLUMNS, fmt)
