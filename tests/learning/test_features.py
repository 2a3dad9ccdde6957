"""Features: the same for the same item, whatever else is asked for; broken files are counted, never fatal."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hiveguard_pipeline.errors import BadInputError
from hiveguard_pipeline.learning.features import Items, source_of

PIXELS = {"kind": "pixels", "size": 4, "channels": 3, "layout": "flat"}


def items(*refs: str, contents: list[str | None] | None = None) -> Items:
    count = len(refs)
    return Items(
        [f"00000000-0000-5000-8000-{number:012d}" for number in range(count)],
        [f"x{number}" for number in range(count)],
        list(refs),
        contents or [None] * count,
    )


def dense(rows: Any) -> Any:
    return rows.toarray() if hasattr(rows, "toarray") else rows


def test_the_features_of_a_text_hang_on_it_alone() -> None:
    source = source_of({"kind": "ngrams", "buckets": 1024})
    together = source.make(items("a", "b", "c", contents=["Ein Hund bellt", "ДА, 犬", "Ein Hund bellt"]))
    alone = source_of(source.description).make(items("a", contents=["Ein Hund bellt"]))
    rows = dense(together.rows)
    np.testing.assert_array_equal(rows[0], dense(alone.rows)[0])
    np.testing.assert_array_equal(rows[0], rows[2])
    assert np.abs(rows[1]).sum() > 0
    assert rows.shape == (3, 2048)
    np.testing.assert_allclose(np.linalg.norm(rows[:, 1024:], axis=1), 1, rtol=1e-6)


def test_a_text_comes_from_the_import_or_from_a_file_and_blank_ones_are_counted(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfvon der Platte")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\x00")
    asked = items("a.txt", "b.txt", "c.txt", "d.txt", "e.txt", contents=["import", None, None, None, "  "])
    found = source_of({"kind": "texts"}, image_dir=str(tmp_path)).make(asked)
    assert found.rows == ["import", "von der Platte"]
    assert found.positions.tolist() == [0, 1]
    assert found.faults == {"unreadable_file": 1, "missing_file": 1, "no_text": 1}
    assert source_of({"kind": "texts"}).make(asked).faults == {"no_text": 4}


def test_an_image_gives_its_pixels_upright_whatever_its_mode(tmp_path: Path) -> None:
    array = np.zeros((4, 4, 3), np.uint8)
    array[0] = 255
    Image.fromarray(array).save(tmp_path / "plain.png")
    turned = Image.fromarray(np.rot90(array).copy())
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees before it is shown
    turned.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(array).convert("P").save(tmp_path / "palette.gif")
    found = source_of(PIXELS, image_dir=str(tmp_path)).make(items("plain.png", "turned.png", "palette.gif"))
    assert found.faults == {}
    for row in found.rows:
        np.testing.assert_array_equal(row.reshape(4, 4, 3), array / np.float32(255))
    nchw = source_of(PIXELS | {"layout": "nchw", "channels": 1}, image_dir=str(tmp_path))
    assert nchw.make(items("plain.png")).rows.shape == (1, 1, 4, 4)


def claims_to_be_huge() -> bytes:
    """A PNG of some bytes whose header says 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def test_broken_missing_huge_and_outside_files_are_counted_with_a_reason(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    Image.new("RGB", (9, 5), "red").save(root / "good.jpg")
    (root / "cut.jpg").write_bytes((root / "good.jpg").read_bytes()[:200])
    (root / "text.png").write_text("no image")
    (root / "huge.png").write_bytes(claims_to_be_huge())
    (root / "vector.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (root / "folder.png").mkdir()
    secret = tmp_path / "secret.png"
    Image.new("RGB", (9, 5), "blue").save(secret)
    (root / "link.png").symlink_to(secret)
    refs = [
        "good.jpg",
        str(root / "good.jpg"),
        "cut.jpg",
        "text.png",
        "vector.eps",
        "huge.png",
        "missing.jpg",
        "folder.png",
        "../secret.png",
        str(secret),
        f"file://{secret}",
        "https://example.com/a.png",
        f"zip://x::{secret}",
        "link.png",
        "",
        "a\0b",
    ]
    found = source_of(PIXELS, image_dir=str(root)).make(items(*refs))
    assert found.positions.tolist() == [0, 1]
    assert found.faults == {
        "not_an_image": 3,
        "too_many_pixels": 1,
        "missing_file": 1,
        "unreadable_file": 1,
        "outside_image_dir": 8,
    }


def test_images_are_read_from_any_fsspec_url_below_its_root() -> None:
    import io

    import fsspec

    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), "white").save(buffer, "PNG")
    memory = fsspec.filesystem("memory")
    memory.pipe("/pictures/a.png", buffer.getvalue())
    memory.pipe("/other/b.png", buffer.getvalue())
    source = source_of(PIXELS, image_dir="memory://pictures")
    found = source.make(items("a.png", "memory://pictures/a.png", "memory://other/b.png", "../other/b.png"))
    assert found.positions.tolist() == [0, 1]
    assert found.faults == {"outside_image_dir": 2}
    np.testing.assert_array_equal(found.rows, 1)


def write_npy(folder: Path, vectors: Any, names: list[str]) -> str:
    np.save(folder / "v.npy", vectors)
    (folder / "v.ids.txt").write_text("\n".join(names))
    return str(folder / "v.npy")


def write_parquet(folder: Path, vectors: Any, names: list[str]) -> str:
    pq.write_table(pa.table({"external_id": names, "vector": list(vectors)}), folder / "v.parquet")
    return str(folder / "v.parquet")


def write_json_csv(folder: Path, vectors: Any, names: list[str]) -> str:
    rows = [f'{name},"{json.dumps(row.tolist())}"' for name, row in zip(names, vectors, strict=True)]
    (folder / "v.csv").write_text("external_id,embedding\n" + "\n".join(rows))
    return str(folder / "v.csv")


def write_wide_csv(folder: Path, vectors: Any, names: list[str]) -> str:
    head = ",".join(f"v{number}" for number in range(vectors.shape[1]))
    rows = [f"{name},{','.join(map(str, row))}" for name, row in zip(names, vectors, strict=True)]
    (folder / "v.csv").write_text(f"external_id,{head}\n" + "\n".join(rows))
    return str(folder / "v.csv")


@pytest.mark.parametrize("write", [write_npy, write_parquet, write_json_csv, write_wide_csv])
def test_vectors_of_a_file_are_those_of_the_items_that_it_names(write: Any, tmp_path: Path) -> None:
    vectors = np.arange(24, dtype=np.float32).reshape(2, 12) / 4
    source = source_of({"kind": "embeddings"}, embeddings=write(tmp_path, vectors, ["x2", "x0"]))
    found = source.make(items("a", "b", "c"))
    assert found.positions.tolist() == [0, 2]
    np.testing.assert_array_equal(found.rows, vectors[[1, 0]])
    assert found.faults == {"no_vector": 1}


def test_a_vector_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    vectors = np.array([[1.0, np.nan], [2.0, 3.0]])
    found = source_of({"kind": "embeddings"}, embeddings=write_npy(tmp_path, vectors, ["x0", "x1"])).make(
        items("a", "b")
    )
    assert found.positions.tolist() == [1]
    assert found.faults == {"not_finite": 1}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("v.npy", b"no array", "no .npy"),
        ("v.csv", b'external_id,vector\nx0,"[1]"\nx1,"[1,2]"\n', "one length"),
        ("v.csv", b"name,v0\nx0,1\n", "item_id or external_id"),
        ("v.csv", b"external_id,w\nx0,1\n", "no column vector"),
        ("v.csv", b"external_id,v0\nx0,1\nx0,1\n", "twice"),
        ("v.parquet", b"PAR1", "cannot be read"),
        ("v.pt", b"", "are a .npy"),
    ],
)
def test_a_file_of_vectors_that_is_none_is_refused(
    name: str, content: bytes, why: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match=why):
        source_of({"kind": "embeddings"}, embeddings=str(tmp_path / name)).make(items("a"))


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    from tests.learning.evil import Payload

    np.save(tmp_path / "v.npy", np.array([Payload(tmp_path / "canary")], dtype=object), allow_pickle=True)
    (tmp_path / "v.ids.txt").write_text("x0")
    with pytest.raises(BadInputError):
        source_of({"kind": "embeddings"}, embeddings=str(tmp_path / "v.npy")).make(items("a"))
    assert not (tmp_path / "canary").exists()


def test_features_that_need_a_place_say_which_setting_names_it() -> None:
    with pytest.raises(BadInputError, match="image_dir"):
        source_of(PIXELS)
    with pytest.raises(BadInputError, match="embeddings"):
        source_of({"kind": "embeddings"})
