"""What people mean when they name a file: one reader for takedown lists, sources, candidates and `explain`.

Understood are page ids, ids of structured data (M123), titles with the namespace in many languages, and every address
that Commons shows people: file pages, the media viewer, `index.php`, `curid`, entities, originals and thumbnails.
"""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, unquote, urlsplit

from catalog.errors import NotAFile

LARGEST_ID = 2**31 - 1
"""A larger number is no page id, and the wiki refuses the whole request for it."""
_ALIASES = (
    "file|image|media|file talk|image talk|datei|bild|fichier|archivo|imagen|ficheiro|arquivo|imagem|immagine|bestand|"
    "afbeelding|plik|grafika|файл|изображение|ファイル|画像|文件|檔案|档案|图像|圖像|파일|그림|پرونده|تصویر|ملف|صورة|"
    "קובץ|תמונה|fil|tiedosto|kuva|soubor|dosya|resim|tập tin|hình|berkas|gambar|fitxer|imatge|fájl|kép|датотека|слика|"
    "fișier|imagine|αρχείο|εικόνα|slika|datoteka|súbor|vaizdas|attēls|ไฟล์|चित्र|ছবি"
)
_NAMESPACE = re.compile(rf"^\s*:?\s*(?:(?:c|commons)\s*:\s*)?:?(?:{_ALIASES})\s*:", re.IGNORECASE)
_BYTES = 240
"""Longest name that MediaWiki stores, in bytes of UTF-8, without the namespace."""
_FORBIDDEN = re.compile(r"[#<>\[\]|{}\x00-\x1f\x7f]")
_UNSEEN = re.compile(r"[\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u2069]")
_MEDIA_ID = re.compile(r"[Mm]([1-9][0-9]*)")
_VIEWER = re.compile(r"^(?:/media/|mediaviewer/|/media_viewer/)(.+)$", re.IGNORECASE)
_FILE_PATH = re.compile(r"/special:(?:filepath|redirect/file)/(.+)$", re.IGNORECASE)
_ENTITY = re.compile(
    r"/(?:entity|special:entity(?:data|page)|special:redirect/page)/[Mm]?([1-9][0-9]*)(?:\.\w+)?$",
    re.IGNORECASE,
)
_RENDERED = re.compile(r"^(?:[a-z]+[\d-]*-)*\d+px-", re.IGNORECASE)
_HOST = re.compile(r"^[\w.-]+\.(?:org|com|net)/\S", re.IGNORECASE)


def file_title(name: str) -> str:
    """`File:Xyz.jpg` of a name with or without namespace, with spaces or underscores."""
    bare = " ".join(_NAMESPACE.sub("", name.replace("_", " ")).split())
    first = bare[:1].upper()
    # As MediaWiki does: a letter without a single capital (ß) stays.
    return f"File:{first if len(first) == 1 else bare[:1]}{bare[1:]}"


def named_file(text: str) -> int | str | None:
    """Page id, or title with `File:`; None for what is neither. `read_name` says why."""
    try:
        return read_name(text)
    except NotAFile:
        return None


def read_name(text: str) -> int | str:
    """Page id, or title with `File:`, of what a person wrote.

    Raises:
        NotAFile: it names no file on Commons.
    """
    text = _UNSEEN.sub("", text).strip().strip("\"'`").strip()
    if text.startswith("<") and text.endswith(">"):
        # As mail programs write an address.
        text = text[1:-1].strip()
    if not text:
        raise NotAFile("There is nothing in this line.")
    if text.isnumeric() and not text.isascii():
        raise NotAFile(
            f"{text!r} looks like a number: write a page id with the digits 0 to 9 only."
        )
    media = _MEDIA_ID.fullmatch(text)
    if media is not None or re.fullmatch(r"[0-9]+", text):
        return _page_id(media[1] if media is not None else text)
    if re.fullmatch(r"[Mm]0+|[+-]?[0-9][0-9\s.,'_]*", text):
        raise NotAFile(f"{text!r} is no page id: write it with the digits 0 to 9 only.")
    if _HOST.match(text):
        text = "//" + text
    if re.match(r"(?:https?:)?//", text, re.IGNORECASE):
        return _address(text)
    link = re.fullmatch(r"\[\[([^\[\]|]+)(?:\|[^\[\]]*)?\]\]", text)
    return _title(link[1] if link is not None else text)


def _page_id(digits: str) -> int:
    number = int(digits[:20])
    if not 0 < number <= LARGEST_ID:
        raise NotAFile(f"{digits} is no page id: they are 1 to {LARGEST_ID}.")
    return number


def _title(text: str) -> str:
    if re.search(r"%[0-9A-Fa-f]{2}", text):
        # No title has a percent sign before two hexadecimal digits.
        text = unquote(text)
    if re.search(r"&#?\w+;", text):
        text = html.unescape(text)
    if _NAMESPACE.match(text):
        text = text.partition("#")[0]
    title = file_title(text)
    name = title.removeprefix("File:")
    if not name:
        raise NotAFile(f"{text!r} has no name in it.")
    if "|" in name:
        raise NotAFile(f"{name!r} has a pipe in it, which no title has: name one file a line.")
    if _FORBIDDEN.search(name):
        raise NotAFile(f"{name!r} has a character that no title has: one of # < > [ ] | {{ }}.")
    if len(name.encode()) > _BYTES:
        raise NotAFile(f"The name {name[:40]!r}... is longer than the {_BYTES} bytes of a title.")
    return title


def _address(text: str) -> int | str:
    try:
        parts = urlsplit(text)
        asked = parse_qs(parts.query)
    except ValueError as error:
        raise NotAFile(f"{text!r} is no address: {error}.") from error
    viewer = _VIEWER.match(unquote(parts.fragment))
    if viewer is not None:
        return _title(viewer[1])
    for key in ("curid", "pageid"):
        if asked.get(key, [""])[0].isdecimal():
            return _page_id(asked[key][0])
    path = unquote(parts.path)
    entity = _ENTITY.search(path)
    if entity is not None:
        return _page_id(entity[1])
    special = _FILE_PATH.search(path)
    if special is not None:
        return _title(f"File:{special[1]}")
    if path.endswith("/thumb.php") and "f" in asked:
        return _title(f"File:{asked['f'][0]}")
    if "title" in asked:
        return _page_of(asked["title"][0], text)
    if re.match(r"(?:upload|thumb)\.", parts.netloc) or "/wikipedia/commons/" in path:
        return _bytes_of([step for step in path.split("/") if step], text)
    return _page_of(path.partition("/wiki/")[2] or path.rpartition("/")[2], text)


def _page_of(name: str, text: str) -> str:
    special = _FILE_PATH.search(f"/{name}")
    if special is not None:
        return _title(f"File:{special[1]}")
    # Special:WhatLinksHere/File:... and other special pages about one file.
    name = re.sub(r"^special:[^/]+/", "", name, flags=re.IGNORECASE)
    if not _NAMESPACE.match(name.replace("_", " ")):
        raise NotAFile(f"{text!r} is not the address of a file or its page.")
    return _title(name)


def _bytes_of(steps: list[str], text: str) -> str:
    """The file whose bytes, old version or thumbnail lie at the path of these steps."""
    if steps[:1] == ["wikipedia"] and len(steps) > 1 and steps[1] not in ("commons", "shared"):
        raise NotAFile(f"{text!r} lies on {steps[1]}.wikipedia, not on Commons.")
    if not steps:
        raise NotAFile(f"{text!r} has no name in it.")
    name = steps[-1]
    rendered = len(steps) > 1 and ("thumb" in steps[:-1] or _RENDERED.match(name))
    if rendered and ("." in steps[-2] or "thumb" in steps[:-1]):
        name = steps[-2]
    if "archive" in steps[:-1]:
        # An old version of the file: 20120102030405!Name.jpg
        name = re.sub(r"^\d{14}!", "", name)
    return _title(f"File:{name}")
