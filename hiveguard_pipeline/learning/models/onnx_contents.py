"""What an ONNX file refers to, read from its bytes without running or building anything of it.

An ONNX file is one protobuf message (onnx.proto of ONNX 1.x), and a tensor in it may say that its values lie
in another file: `data_location` EXTERNAL with a path, which ONNX Runtime opens when it loads the model. Such
a model could read any file of this machine, so it is refused, wherever in the message the tensor stands.
The reader is stricter than protobuf's: what it does not understand is refused too, so that the two cannot
come to see different messages.
"""

from collections.abc import Iterator

from hiveguard_pipeline.errors import BadInputError

_TENSOR = "TensorProto"

_BELOW = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: _TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: _TENSOR,
        6: "GraphProto",
        10: _TENSOR,
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: _TENSOR, 2: _TENSOR},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    _TENSOR: {},
}
"""Message -> its fields that may hold a tensor, and what they are."""

_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_OPERATOR, _REFUSED_OPERATORS = 4, (b"EPContext",)
_DEEPEST = 100


class _Malformed(Exception):  # noqa: N818 - never leaves this module
    """The bytes are no protobuf message as ONNX's writers make one."""


def refuse_external_data(data: bytes, name: str) -> None:
    """Raise BadInputError for a file that refers to data outside itself, or is no ONNX file."""
    waiting = [("ModelProto", 0, len(data), 0)]
    graphs = 0
    try:
        while waiting:
            message, start, end, depth = waiting.pop()
            if depth > _DEEPEST:
                raise _Malformed("it is nested too deeply")
            graphs += message == "GraphProto"
            for number, kind, begin, stop in _fields(data, start, end):
                if message == _TENSOR and (
                    number == _EXTERNAL_DATA or (number == _DATA_LOCATION and _varint(data, begin, stop)[0])
                ):
                    raise BadInputError(
                        f"{name} is refused: it refers to data in another file; save the model as one"
                        " file (onnx.save_model without save_as_external_data)"
                    )
                if message == "NodeProto" and number == _OPERATOR and data[begin:stop] in _REFUSED_OPERATORS:
                    raise BadInputError(
                        f"{name} is refused: its operator {data[begin:stop].decode()} reads another file"
                    )
                below = _BELOW[message].get(number)
                if below is not None:
                    if kind != _BYTES:
                        raise _Malformed(f"field {number} of {message} is no message")
                    waiting.append((below, begin, stop, depth + 1))
    except _Malformed as fault:
        raise BadInputError(f"{name} is no ONNX file: {fault}") from None
    if not graphs:
        raise BadInputError(f"{name} is no ONNX file: it holds no graph")


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, wire type, and where the value lies."""
    while start < end:
        tag, start = _varint(data, start, end)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise _Malformed("a field has no possible number")
        begin = start
        if kind == _VARINT:
            _, start = _varint(data, start, end)
        elif kind == _EIGHT:
            start += 8
        elif kind == _FOUR:
            start += 4
        elif kind == _BYTES:
            length, begin = _varint(data, start, end)
            start = begin + length
        else:
            raise _Malformed("a field is of a kind that ONNX has not")
        if start > end:
            raise _Malformed("it ends in the middle of a field")
        yield number, kind, begin, start


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while start < end and shift < 70:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
    raise _Malformed("a number does not end")
