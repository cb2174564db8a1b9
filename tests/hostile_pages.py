"""Rows whose every text, name and image wants to run something; whatever runs sets `window.canary` or asks for it."""

import struct
import zlib
from dataclasses import replace

from byorn.data.row import ImageFile, Origin, Row, user_message

CANARY = "window.canary=1;fetch('http://canary.invalid/')"
TEXTS = (
    f"<script>{CANARY}</script>",
    f'<img src=x onerror="{CANARY}">',
    f"<svg onload={CANARY}><a xlink:href=javascript:{CANARY}>x</a></svg>",
    f'"><iframe srcdoc="<script>parent.{CANARY}</script>"></iframe>',
    f"' onmouseover='{CANARY}' autofocus onfocus='{CANARY}' x='",
    f"</style><style>@import 'http://canary.invalid/';</style></title><body onload={CANARY}>",
    "{{ cycler.__init__.__globals__ }} ${7*7} <%= 7 %> --> ]]>",
    "\u202egnp.exe\u2066 \u200b\u200d\ufeff\u0000\u0007 " + "e" + "\u0301" * 200,
    "W" * 5_000,
    "visit our shop " + "A" * 1_000_000,
)


def bomb() -> ImageFile:
    """A PNG that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return ImageFile(data=b"\x89PNG\r\n\x1a\n" + body, name='"><img src=x onerror=window.canary=1>\n.png')


def hostile(row: Row, number: int) -> Row:
    """The row with attacks in everything that it has."""
    text = TEXTS[number % len(TEXTS)]
    script = ImageFile(data=f"<svg xmlns='http://www.w3.org/2000/svg' onload='{CANARY}'/>".encode(), name=text[:200])
    return replace(
        row,
        id=f"{text[:300]}{number}",
        prompt=[user_message(text, 2)],
        response=f"visit our shop {text}",
        images=[bomb() if number % 2 else script, *row.images[:1]],
        meta={"source": text[:300], text[:100]: text[:300]},
        origin=Origin(f"{text[:100]}\n.jsonl", number),
    )
