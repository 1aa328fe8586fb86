"""Random changes of inputs: of the bytes, of the fields of an ONNX model, of the values in lines of JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError, EncodeError, Message  # type: ignore[import-untyped]

__all__ = ["Mutate", "mutate_bytes", "mutate_lines", "mutate_model"]

Mutate = Callable[[bytes, random.Random], bytes]

INTEGERS = (0, 1, -1, 2, 3, 7, 2**7, 2**15, 2**24, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-38, 1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "x", "y", "Relu", "Conv", "a" * 300, "\x00", "\x1b[2J", "../../etc", "é", "[/red]")
#: The widths in which protobuf checks an integer.
NARROW = (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM)
#: The most changes of one input; most have one.
MOST = 4


def mutate_bytes(content: bytes, draw: random.Random) -> bytes:
    """Flip, cut, leave out, repeat or insert bytes."""
    changed = bytearray(content)
    for _ in range(_count(draw)):
        place, other = (draw.randrange(len(changed) + 1) for _ in range(2))
        start, end = min(place, other), max(place, other)
        match draw.randrange(6):
            case 0 if changed:
                changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
            case 1 if changed:
                changed[draw.randrange(len(changed))] = draw.choice((0, 0x7F, 0x80, 0xFF, draw.randrange(256)))
            case 2:
                del changed[place:]
            case 3:
                del changed[start : min(end, start + 64)]
            case 4:
                changed[place:place] = changed[start : min(end, start + 64)]
            case _:
                changed[place:place] = draw.randbytes(draw.randrange(1, 9))
    return bytes(changed)


def mutate_model(content: bytes, draw: random.Random) -> bytes:
    """Change fields of an ONNX model; now and then its bytes."""
    if draw.random() < 0.15:
        return mutate_bytes(content, draw)
    try:
        model = onnx.ModelProto.FromString(content)
        for _ in range(_count(draw)):
            _change_field(draw.choice(_messages(model)), draw)
        return bytes(model.SerializeToString())
    except (DecodeError, EncodeError, TypeError, ValueError):  # a value that does not fit its field
        return mutate_bytes(content, draw)


def mutate_lines(content: bytes, draw: random.Random) -> bytes:
    """Change a value in one line of JSON; now and then the bytes."""
    lines = content.split(b"\n")
    place = draw.randrange(len(lines))
    try:
        value = json.loads(lines[place])
    except ValueError:
        return mutate_bytes(content, draw)
    if draw.random() < 0.15:
        return mutate_bytes(content, draw)
    for _ in range(_count(draw)):
        value = _change_json(value, draw)
    lines[place] = json.dumps(value).encode()
    return b"\n".join(lines)


def _count(draw: random.Random) -> int:
    return draw.choice((1, 1, 1, 2, MOST))


def _messages(message: Message) -> list[Message]:
    """A message and all within it."""
    found, left = [], [message]
    while left:
        one = left.pop()
        found.append(one)
        for field, value in one.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                left += list(value) if field.is_repeated else [value]
    return found


def _change_field(message: Message, draw: random.Random) -> None:
    present = [field for field, _ in message.ListFields()]
    fields = present if present and draw.random() < 0.8 else list(message.DESCRIPTOR.fields)
    if not fields:
        return
    field = draw.choice(fields)
    value = getattr(message, field.name)
    if not field.is_repeated:
        if field.type == FieldDescriptor.TYPE_MESSAGE or draw.random() < 0.1:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _other(field, value, draw))
        return
    choice = draw.randrange(4)
    if value and choice == 0:
        del value[draw.randrange(len(value))]
    elif value and choice == 1:
        value.extend([value[draw.randrange(len(value))]])
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if len(value) > 1:
            one, two = draw.sample(range(len(value)), 2)
            copy = type(value[one])()
            copy.CopyFrom(value[one])
            value[one].CopyFrom(value[two])
            value[two].CopyFrom(copy)
        else:
            value.add()
    elif value:
        place = draw.randrange(len(value))
        value[place] = _other(field, value[place], draw)
    else:
        value.append(_other(field, None, draw))


def _other(field: Any, value: Any, draw: random.Random) -> Any:
    """Another value for a field of a message that is no message."""
    if field.type in NARROW:
        return draw.choice([number for number in INTEGERS if -(2**31) <= number < 2**31] + list(range(30)))
    if field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64):
        near = [value + 1, value - 1, value * 2] if isinstance(value, int) else []
        choices = [*INTEGERS, *near]
        low = 0 if field.type == FieldDescriptor.TYPE_UINT64 else -(2**63)
        return draw.choice([number for number in choices if low <= number < 2**63])
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return draw.choice(FLOATS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return mutate_bytes(value or b"", draw)
    return draw.choice(TEXTS)


def _change_json(value: Any, draw: random.Random) -> Any:
    """A value with one change somewhere in it."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        if draw.random() < 0.15:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: _change_json(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        place = draw.randrange(len(value))
        if draw.random() < 0.15:
            return [one for index, one in enumerate(value) if index != place]
        return [_change_json(one, draw) if index == place else one for index, one in enumerate(value)]
    return draw.choice((None, True, {}, [], [[]], {"a": 1}, *INTEGERS, *FLOATS, *TEXTS, "\ud800", "NaN", "<f4", "O"))
