"""Pictures with free licenses and what is known of them: emoji of six artists, and openclipart.

Google's emoji (Noto and, until 2018, its blobs; Apache-2.0), Microsoft's (Fluent, in relief and flat; MIT), EmojiOne's
(CC-BY 4.0) and openclipart (public domain) teach the model to see; Twitter's emoji (CC-BY 4.0) show the same things
drawn by other hands, and no alignment ever sees them. They are fetched by npm and from Debian; nothing of them is in
this repository.
"""

import io
import json
import re
import subprocess
import tarfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

DOWNLOADS = Path(__file__).parent / "downloads"
SIDE = 224
OPAQUE = 128
VENDORS = {
    "google": ("emoji-datasource-google", "16.0.0", "package/img/google/64/"),
    "twitter": ("emoji-datasource-twitter", "16.0.0", "package/img/twitter/64/"),
    "fluent": ("@lobehub/fluent-emoji-3d", "1.1.0", "package/assets/"),
    "flat": ("@lobehub/fluent-emoji-flat", "1.1.0", "package/assets/"),
    "blob": ("emoji-datasource-google", "3.0.0", "package/img/google/64/"),
    "emojione": ("emojione", "2.2.7", "package/assets/png_128x128/"),
}
FORMATS = {"fluent": ".webp", "flat": ".svg"}
CLIPART = ("openclipart-png", "openclipart-svg")
KINDS = {
    "face": "smilies|face|emotion|heart",
    "animal": "animal|mammal|monkey|bird|bug|fish|cat-face|dinosaur",
    "plant": "plant|flower|tree",
    "food": "food|drink|dishware|fruit|dessert|beverage|vegetable",
    "vehicle": "transport-(ground|air|water)|vehicle|boating",
    "building": "place-building|place-religious|homes|buildings|hotel",
    "flag": "flag",
    "sport": "sport|award",
    "game": "game|toys|arts",
    "clock": "time|clock",
    "clothing": "clothing",
    "tool": "tool|household|lock|weapon|furniture",
    "device": "computer|phone|light & video|electronics|battery|office/telephone",
    "instrument": "music",
    "book": "book-paper|office|writing|mail|education",
    "hand": "hand",
    "person": "people|person|family|body",
    "weather": "sky & weather|astronomy|weather",
    "place": "place|geography|map",
    "sign": "sign|symbol|arrow|keycap|alphanum|geometric|zodiac|warning|religion|money|shapes|logos",
}  # fmt: skip
"""What a picture shows -> a pattern of the categories of its collection; the first that fits."""
COLORS = {
    "red": (215, 45, 45), "orange": (245, 145, 35), "yellow": (250, 210, 60), "green": (70, 160, 70),
    "blue": (55, 120, 215), "purple": (140, 80, 180), "pink": (245, 140, 180), "brown": (130, 85, 55),
    "black": (25, 25, 25), "gray": (140, 145, 150), "white": (245, 245, 245),
}  # fmt: skip
LARGEST = 4_000_000
CLEAR = 0.4
"""Share of the opaque pixels from which on a picture has a color of its own."""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        id: Vendor and name of the file.
        path: Where it lies.
        name: What it shows, in lower case: `grinning face`.
        kind: A key of `KINDS`, or an empty string.
        color: A key of `COLORS`, or an empty string where no color prevails.
        words: Keywords.
    """

    id: str
    path: Path
    name: str
    kind: str
    color: str
    words: tuple[str, ...]


def opened(path: Path) -> Image.Image:
    """RGBA; SVG is drawn 224 pixels wide."""
    if path.suffix == ".svg":
        from resvg_py import svg_to_bytes

        return Image.open(io.BytesIO(bytes(svg_to_bytes(svg_path=str(path), width=SIDE))))
    with Image.open(path) as image:
        return image.convert("RGBA")


def square(path: Path) -> Image.Image:
    """The picture in the middle of a white square of 224 pixels."""
    image = opened(path)
    image.thumbnail((SIDE, SIDE)) if max(image.size) > SIDE else None
    scale = SIDE / max(image.size)
    image = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BICUBIC
    )
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    canvas.paste(image, ((SIDE - image.width) // 2, (SIDE - image.height) // 2), image)
    return canvas


def color_of(path: Path) -> str:
    """The nearest name of most opaque pixels, if it is that of `CLEAR` of them or more."""
    image = opened(path).resize((32, 32))
    pixels = np.asarray(image, dtype=float).reshape(-1, 4)
    pixels = pixels[pixels[:, 3] >= OPAQUE, :3]
    if not len(pixels):
        return ""
    names, shades = list(COLORS), np.array(list(COLORS.values()), dtype=float)
    nearest = ((pixels[:, None] - shades) ** 2).sum(-1).argmin(1)
    name, count = Counter(nearest.tolist()).most_common(1)[0]
    return names[name] if count >= CLEAR * len(pixels) else ""


def kind_of(category: str) -> str:
    """The first kind whose pattern is found in a category such as `animal-bird` or `animals/mammals`."""
    return next((kind for kind, pattern in KINDS.items() if re.search(rf"\b({pattern})", category)), "")


def emoji(vendor: str) -> list[Picture]:
    """The emoji of a vendor, without skin tones."""
    folder = _npm(vendor)
    found = []
    for entry in _table():
        path = next((path for path in _files(folder, vendor, Path(entry["image"]).stem) if path.is_file()), None)
        if not path or entry["category"] == "Component":
            continue
        words = tuple(sorted({name.replace("_", " ").replace("-", " ") for name in entry["short_names"]}))
        kind = kind_of(entry["subcategory"])
        found.append(Picture(f"{vendor}-{path.stem}", path, _emoji_name(entry), kind, color_of(path), words))
    return found


def _files(folder: Path, vendor: str, codes: str) -> list[Path]:
    """Where a vendor may keep an emoji: some leave out what turns a character into a picture, or joins several."""
    bare = codes.replace("-fe0f", "")
    return [folder / f"{name}{FORMATS.get(vendor, '.png')}" for name in (codes, bare, bare.replace("-200d", ""))]


def _emoji_name(entry: dict[str, str]) -> str:
    name = entry["name"].lower().strip()
    if name.endswith(" flag"):
        return f"flag of {name.removesuffix(' flag')}"
    return name.replace("-faced", " faced")


@cache
def _table() -> list[dict]:
    return json.loads((_npm("google").parents[2] / "emoji.json").read_text(encoding="utf-8"))


@cache
def _npm(vendor: str) -> Path:
    """The folder of a vendor's pictures, fetched where it is not there yet."""
    package, version, inside = VENDORS[vendor]
    out = DOWNLOADS / vendor
    if not (out / inside).is_dir():
        print(f"fetching {package} {version} ...", flush=True)
        DOWNLOADS.mkdir(exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", f"{package}@{version}"],
            cwd=DOWNLOADS,
            check=True,
            capture_output=True,
            text=True,
        )
        archive = DOWNLOADS / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as file:
            wanted = [
                member for member in file if member.name.startswith(inside) or member.name.endswith("/emoji.json")
            ]
            file.extractall(out, members=wanted, filter="data")
        archive.unlink()
    return out / inside


def clipart() -> list[Picture]:
    """The pictures of openclipart whose title or file name says what they show."""
    root = _debian() / "usr/share/openclipart"
    known = [(path, *_title(path)) for path in sorted((root / "svg").rglob("*.svg"))]
    counts = Counter(title for _, title, _ in known)
    found = []
    for path, title, words in known:
        place = path.relative_to(root / "svg")
        png = (root / "png" / place).with_suffix(".png")
        name = _clean(title) if counts[title] <= 3 else _clean(place.stem)
        if (
            name
            and png.is_file()
            and not re.search("shapes/stars|gradients|computer/icons", str(place))
            and _small(png)
        ):
            kind = kind_of(str(place.parent).lower())
            found.append(Picture(f"clipart-{place.with_suffix('')}", png, name, kind, color_of(png), words))
    return found


def _title(svg: Path) -> tuple[str, tuple[str, ...]]:
    text = svg.read_text(encoding="utf-8", errors="replace")
    title = re.search(r"<dc:title>([^<]*)</dc:title>", text)
    words = [word.strip().lower() for word in re.findall(r"<rdf:li>([^<]*)</rdf:li>", text)]
    return (title[1].strip().lower() if title else ""), tuple(word for word in words if "hash" not in word and word)


def _small(png: Path) -> bool:
    """Some drawings of a few lines are posters of 200 million pixels."""
    with png.open("rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20]) * int.from_bytes(head[20:24]) < LARGEST


AUTHORS = "architetto|franc|gerd|nicu|buculei|bucul|buculeil|lumen|desig|ganson|peterm|jonadab|benji|park|juliane|krug|linda|kim|jon|phillips|clipart|by|part|the|collection|svg|theme|icon|icons|set|symbol|mime|gnome|stock|aiga|fs|bw|md|ge|lo|r|hotel|v0"  # noqa: E501


def _clean(text: str) -> str:
    """Words of letters, without the names of authors and collections; empty where little is left."""
    words = re.findall(r"[a-z]+", text.lower().replace("_", " "))
    kept = [word for word in words if len(word) > 1 and not re.fullmatch(f"({AUTHORS})[a-z]{{0,2}}", word)]
    return " ".join(kept[:5]) if kept and len(" ".join(kept)) > 2 else ""


def _debian() -> Path:
    out = DOWNLOADS / "clipart"
    if not (out / "usr").is_dir():
        print(f"fetching {' and '.join(CLIPART)} ...", flush=True)
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", *CLIPART], cwd=out, check=True, capture_output=True)
        for package in out.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(out)], check=True)
            package.unlink()
    return out
