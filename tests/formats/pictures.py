"""Real picture files of 3 x 2 pixels, some of which say that they lie on their side.

Made with Pillow 12.3 (`Image.new("L", (3, 2)).save(..., exif=...)`), tag 274 (orientation) as named.
"""

import base64

PICTURES = {
    "upright.jpg": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP////////////////////////////////////////////////////////"
        "//////////////////////////////wAALCAACAAMBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAA"
        "AAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z"
    ),
    "orientation_3.jpg": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAMAAAAAAAD/2wBDAP////////"
        "//////////////////////////////////////////////////////////////////////////////wAALCAACAAMB"
        "AREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z"
    ),
    "orientation_5.jpg": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAUAAAAAAAD/2wBDAP////////"
        "//////////////////////////////////////////////////////////////////////////////wAALCAACAAMB"
        "AREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z"
    ),
    "orientation_6.jpg": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDAP////////"
        "//////////////////////////////////////////////////////////////////////////////wAALCAACAAMB"
        "AREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z"
    ),
    "orientation_8.jpg": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAgAAAAAAAD/2wBDAP////////"
        "//////////////////////////////////////////////////////////////////////////////wAALCAACAAMB"
        "AREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z"
    ),
    "upright.png": (
        "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAC0lEQVR4nGNggAAAAAgAAbdYc5UAAAAASUVORK5CYII="
    ),
    "orientation_3.png": (
        "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAGmVYSWZNTQAqAAAACAABARIAAwAAAAEAAwAAAAAAAI"
        "RfZM4AAAALSURBVHicY2CAAAAACAABt1hzlQAAAABJRU5ErkJggg=="
    ),
    "orientation_6.png": (
        "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAGmVYSWZNTQAqAAAACAABARIAAwAAAAEABgAAAAAAAN"
        "ZnS2kAAAALSURBVHicY2CAAAAACAABt1hzlQAAAABJRU5ErkJggg=="
    ),
    "upright.webp": "UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoDAAIAAUAmJaQAA3AA/v02aAA=",
    "orientation_3.webp": (
        "UklGRlgAAABXRUJQVlA4WAoAAAAIAAAAAgAAAQAAVlA4IBgAAAAwAQCdASoDAAIAAUAmJaQAA3AA/v02aABFWElGGg"
        "AAAE1NACoAAAAIAAEBEgADAAAAAQADAAAAAAAA"
    ),
    "orientation_6.webp": (
        "UklGRlgAAABXRUJQVlA4WAoAAAAIAAAAAgAAAQAAVlA4IBgAAAAwAQCdASoDAAIAAUAmJaQAA3AA/v02aABFWElGGg"
        "AAAE1NACoAAAAIAAEBEgADAAAAAQAGAAAAAAAA"
    ),
    "upright.tif": (
        "SUkqAAgAAAAJAAABBAABAAAAAwAAAAEBBAABAAAAAgAAAAIBAwABAAAACAAAAAMBAwABAAAAAQAAAAYBAwABAAAAAQ"
        "AAABEBBAABAAAAegAAABYBBAABAAAAAgAAABcBBAABAAAABgAAABwBAwABAAAAAQAAAAAAAAAAAAAAAAA="
    ),
    "orientation_3.tif": (
        "SUkqAAgAAAAKAAABBAABAAAAAwAAAAEBBAABAAAAAgAAAAIBAwABAAAACAAAAAMBAwABAAAAAQAAAAYBAwABAAAAAQ"
        "AAABEBBAABAAAAhgAAABIBAwABAAAAAwAAABYBBAABAAAAAgAAABcBBAABAAAABgAAABwBAwABAAAAAQAAAAAAAAAA"
        "AAAAAAA="
    ),
    "orientation_6.tif": (
        "SUkqAAgAAAAKAAABBAABAAAAAwAAAAEBBAABAAAAAgAAAAIBAwABAAAACAAAAAMBAwABAAAAAQAAAAYBAwABAAAAAQ"
        "AAABEBBAABAAAAhgAAABIBAwABAAAABgAAABYBBAABAAAAAgAAABcBBAABAAAABgAAABwBAwABAAAAAQAAAAAAAAAA"
        "AAAAAAA="
    ),
}
"""File name -> the file, base64."""


def picture(name: str) -> bytes:
    """The content of one of them."""
    return base64.b64decode(PICTURES[name])
