"""Damage to a file: of its bytes, and of what is inside it where it is JSON, zip or safetensors."""

import copy
import io
import json
import random
import struct
import zipfile
from typing import Any

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SNIPPETS = (*(bytes([c]) for c in b'\0",;\n'), b"\xff\xfe", b"9" * 40, b"[" * 3000, b"\xed\xa0\x80")
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 2**63, 10**300, 1e308, -0.5, float("nan"), float("inf")),
    *("", " ", "x" * 5000, "\ud800", "\u202e", "nan", "../../etc/passwd", "0.5", "L\0"),
    *([], {}, [[]], {"a": {}}, [None], [1, "a"], {"": ""}, [[[[[]]]]]),
)


def damage(data: bytes, rng: random.Random) -> bytes:
    """A changed copy: most changes are small, so that the reader gets past the first bytes."""
    if data[:4] == b"PK\x03\x04" and rng.random() < 0.7:
        return _damage_zip(data, rng)
    if data[8:9] == b"{" and rng.random() < 0.6:
        return _damage_safetensors(data, rng)
    if data.lstrip()[:1] == b"{" and rng.random() < 0.6:
        try:
            return json.dumps(_damage_tree(json.loads(data), rng)).encode()
        except (ValueError, RecursionError):
            pass
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        _damage_bytes(changed, rng)
    return bytes(changed)


def _damage_bytes(data: bytearray, rng: random.Random) -> None:
    if not data:
        return
    # Headers, where the sizes stand, are hit more often than pixels.
    place = rng.randrange(min(len(data), rng.choice((16, 128, 512, len(data)))))
    match rng.randrange(8):
        case 0:
            data[place] ^= 1 << rng.randrange(8)
        case 1:
            data[place] = rng.randrange(256)
        case 2:
            size = rng.choice((1, 2, 4, 8))
            value = rng.choice(EDGES) & (256**size - 1)
            data[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))
        case 3:
            del data[place : place + rng.choice((1, 2, 8, 64, len(data)))]
        case 4:
            start = rng.randrange(len(data))
            data[place:place] = data[start : start + rng.choice((1, 4, 32, 256))]
        case 5:
            data[place:place] = rng.randbytes(rng.choice((1, 2, 16)))
        case 6:
            data[place:place] = rng.choice(
                (
                    b"\0",
                    b"\xff\xfe",
                    b'"',
                    b",",
                    b"\n",
                    b";",
                    b"9" * 40,
                    b"[" * 3000,
                    b"\xed\xa0\x80",
                )
            )
        case _:
            start = rng.randrange(len(data))
            piece = data[start : start + rng.choice((1, 4, 32, 256))]
            data[place : place + len(piece)] = piece


def _damage_tree(tree: Any, rng: random.Random) -> Any:
    """One node replaced, removed, renamed or repeated."""
    tree = copy.deepcopy(tree)
    nodes: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else range(min(len(node), 50))
        for key in keys:
            nodes.append((node, key))
            if isinstance(node[key], dict | list):
                stack.append(node[key])
    if not nodes or rng.random() < 0.05:
        return rng.choice(ODD)
    node, key = rng.choice(nodes)
    match rng.randrange(4):
        case 0 if isinstance(node, dict):
            node[rng.choice(("", "x", "\ud800", "format", "data"))] = node.pop(key)
        case 1:
            del node[key]
        case 2 if isinstance(node[key], int | float) and not isinstance(node[key], bool):
            node[key] = node[key] * rng.choice((-1, 0, 1e6, 10**18)) + rng.choice((0, 1, 0.5))
        case _:
            node[key] = rng.choice(ODD)
    return tree


def _damage_zip(data: bytes, rng: random.Random) -> bytes:
    """One member changed inside, and the archive packed well again."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        names = source.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = bytearray(source.read(name))
            if name == chosen:
                if rng.random() < 0.1:
                    continue
                for _ in range(rng.choice((1, 1, 3))):
                    _damage_bytes(content, rng)
            # With a date of its own, or the same input would differ from second to second.
            archive.writestr(zipfile.ZipInfo(name), bytes(content), zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _damage_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header changed as JSON, its own length kept right."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.get("__metadata__", {})
    if "causalseg" in metadata and rng.random() < 0.7:
        inner = _damage_tree(json.loads(metadata["causalseg"]), rng)
        metadata["causalseg"] = json.dumps(inner)
    else:
        header = _damage_tree(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]
