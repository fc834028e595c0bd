"""Mutations of a protobuf by reflection: any field of any message of the tree, whatever it means."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Random: TypeAlias = random.Random

_WORDS = ("", "x", "y", "ai.onnx", "com.microsoft", "\x1b[31m", "a\nb", "../up", "long" * 300, "\u202eabc", "Ω", "\x00")
_INTEGERS = (0, 1, -1, 2, 3, 7, 17, 127, 255, 65536, 2**31 - 1, -(2**31))
_LARGE = (2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
_REALS = (0.0, -0.0, 1.0, -1.0, 1e-45, 3e38, float("inf"), float("nan"))
_INT32 = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_ENUM}
_UNSIGNED = {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_UINT32}


def mutate_message(root: Message, random: Random) -> None:
    """Change one field of one message, chosen among those that are set; each message is as likely as any other."""
    messages = list(_messages(root))
    message = random.choice(messages)
    fields = [field for field, _ in message.ListFields()] or list(message.DESCRIPTOR.fields)
    # Now and then a field that is not set.
    field = random.choice(list(message.DESCRIPTOR.fields) if random.random() < 0.15 else fields)
    if field.is_repeated:
        _change_list(message, field, messages, random)
    elif field.message_type is not None:
        _change_part(message, field, messages, random)
    elif random.random() < 0.2:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _scalar(field, getattr(message, field.name), random))


def _messages(root: Message) -> Iterator[Message]:
    waiting: list[Message] = [root]
    while waiting:
        message = waiting.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend(value if field.is_repeated else [value])


def _change_part(message: Message, field: FieldDescriptor, messages: list[Message], random: Random) -> None:
    """Clear a message inside another one, or replace it by one of its type from elsewhere."""
    others = [other for other in messages if other.DESCRIPTOR is field.message_type]
    if not others or random.random() < 0.4:
        message.ClearField(field.name)
        return
    copy = type(others[0])()
    copy.CopyFrom(random.choice(others))
    getattr(message, field.name).CopyFrom(copy)


def _change_list(message: Message, field: FieldDescriptor, messages: list[Message], random: Random) -> None:
    """Remove, repeat, move or change an entry of a list, or add one from elsewhere."""
    entries = getattr(message, field.name)
    action = random.choice(("remove", "repeat", "swap", "empty", "change", "add"))
    at = random.randrange(len(entries)) if len(entries) else 0
    if not len(entries) or action == "add":
        _add(entries, field, messages, random)
    elif action == "remove":
        del entries[at]
    elif action == "repeat":
        _append(entries, field, entries[at])
    elif action == "swap":
        kept = [_copied(entry) for entry in entries]
        random.shuffle(kept) if len(kept) < 20 else kept.reverse()
        _refill(message, field, kept)
    elif action == "empty":
        message.ClearField(field.name)
    elif field.message_type is None:
        entries[at] = _scalar(field, entries[at], random)
    else:
        others = [other for other in messages if other.DESCRIPTOR is field.message_type]
        entries[at].CopyFrom(_copied(random.choice(others)))


def _add(entries: Any, field: FieldDescriptor, messages: list[Message], random: Random) -> None:
    if field.message_type is None:
        entries.append(_scalar(field, None, random))
        return
    others = [other for other in messages if other.DESCRIPTOR is field.message_type]
    entries.add()
    if others:
        entries[-1].CopyFrom(_copied(random.choice(others)))


def _append(entries: Any, field: FieldDescriptor, entry: Any) -> None:
    if field.message_type is None:
        entries.append(entry)
    else:
        entries.add().CopyFrom(_copied(entry))


def _refill(message: Message, field: FieldDescriptor, kept: list[Any]) -> None:
    message.ClearField(field.name)
    for entry in kept:
        _append(getattr(message, field.name), field, entry)


def _copied(entry: Any) -> Any:
    if not isinstance(entry, Message):
        return entry
    copy = type(entry)()
    copy.CopyFrom(entry)
    return copy


def _scalar(field: FieldDescriptor, value: Any, random: Random) -> Any:
    """Return another value of a field's type."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return random.choice((*_WORDS, f"{value}_", str(value)[:-1]))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(value or b"", random)
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return random.choice(_REALS)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random.choice([entry.number for entry in field.enum_type.values])
    number = random.choice((*_INTEGERS, (value or 0) + 1, (value or 0) - 1, *(() if field.type in _INT32 else _LARGE)))
    bits = 31 if field.type in _INT32 else 63
    number = max(min(number, 2**bits - 1), -(2**bits))
    return abs(number) % 2**32 if field.type in _UNSIGNED else number


def _bytes(value: bytes, random: Random) -> bytes:
    cut = random.randrange(len(value) + 1)
    return random.choice((b"", value[:cut], value + b"\x00", b"\xff\xfe" + value, value[cut:] + value[:cut]))
