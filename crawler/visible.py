"""HTML of a file page as a reader sees it: its text, the author's name in it, and the link to the author.

Pure, and bounded: a field longer than LONGEST_HTML is read up to there.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

LONGEST_HTML = 100_000
"""Characters of one field that are read."""
_PAGE_HOST = "https://commons.wikimedia.org"
# Stands between two list items until the white space around it is folded; from Unicode's private use area.
_ITEM = "\ue000"
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ue000\ufffe\uffff]")
_UNSEEN_CHARACTERS = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0(?:px|em|%|pt)?\s*(?:;|!|$)|"
    r"(?:^|;)\s*opacity\s*:\s*0(?:\.0*)?\s*(?:;|!|$)|"
    # Off the screen, or cut to nothing.
    r"(?:^|[;\s])(?:left|top|text-indent)\s*:\s*-\d{3,}|clip\s*:\s*rect\(\s*[01](?:px)?\b",
    re.IGNORECASE,
)
_HIDDEN_CLASSES = frozenset(
    ("hidden", "hiddenStructure", "mw-hidden", "sr-only", "visually-hidden", "screen-reader-text")
)
_FOOTNOTES = frozenset(
    (
        "reference",
        "mw-ref",
        "mw-cite-backlink",
        "mw-editsection",
        "mw-references-wrap",
        "references",
    )
)
_PRINT = re.compile(r"@media[^{]*\bprint\b[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", re.IGNORECASE)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_BLOCKS = ("br", "p", "div", "li", "ul", "ol", "td", "th", "tr", "dd", "dt", "h1", "h2", "h3")


def parse_html(html: str | None) -> Any:
    """The fragment as an lxml element, without what a reader does not see; None for what is no HTML."""
    if html is None:
        return None
    # lxml's modules are compiled and untyped.
    etree: Any = import_module("lxml.etree")
    lxml_html: Any = import_module("lxml.html")
    text = _UNREADABLE.sub("", html[:LONGEST_HTML])
    try:
        # Without huge_tree everything below the 256th level is lost.
        parser = lxml_html.HTMLParser(huge_tree=True, encoding="utf-8")
        encoded = text.encode("utf-8", "replace")
        root = lxml_html.fragment_fromstring(encoded, create_parent="div", parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError, AssertionError):
        return None
    _drop_unseen(root)
    return root


def _drop_unseen(root: Any) -> None:
    sheets = " ".join(str(node.text or "") for node in root.iter("style"))
    rules = _hiding_rules(sheets)
    for node in list(root.iter()):
        if not isinstance(node.tag, str):
            # A comment or a processing instruction.
            _drop(node)
        elif node is not root and (
            node.tag in ("style", "script", "noscript", "template", "link", "meta")
            or _is_hidden(node, rules)
        ):
            _drop(node)


def _drop(node: Any) -> None:
    if node.getparent() is not None:
        node.drop_tree()


def _is_hidden(node: Any, rules: list[tuple[str, str]]) -> bool:
    if node.get("hidden") is not None or _HIDDEN.search(node.get("style") or ""):
        return True
    classes = set((node.get("class") or "").split())
    if classes & _HIDDEN_CLASSES or classes & _FOOTNOTES:
        return True
    return any(
        (kind == "." and name in classes)
        or (kind == "#" and name == node.get("id"))
        or (kind == "" and name == node.tag)
        for kind, name in rules
    )


def _hiding_rules(sheets: str) -> list[tuple[str, str]]:
    """(`.`, class), (`#`, id) and ("", element) that the style sheets of the fragment hide on a screen."""
    found: list[tuple[str, str]] = []
    for selectors, body in _RULE.findall(_PRINT.sub(" ", _COMMENT.sub(" ", sheets))):
        if not _HIDDEN.search(body):
            continue
        for selector in selectors.split(","):
            last = re.split(r"[\s>+~]+", selector.strip())[-1]
            match = re.fullmatch(r"(?:[a-zA-Z][\w-]*)?([.#]?)([\w-]+)(?:[.#:\[].*)?", last)
            if match is not None:
                found.append((match[1], match[2]))
    return found


def text_of(root: Any) -> str | None:
    """Blocks joined by blanks, list items by `; `, white space folded; None when nothing is left."""
    if root is None:
        return None
    parts: list[str] = []
    for event, node in _walk(root):
        if event == "start":
            if node.tag == "li" and _has_text_before(node):
                parts.append(_ITEM)
            elif node.tag in _BLOCKS:
                parts.append(" ")
            parts.append(node.text or "")
        else:
            if node.tag in _BLOCKS:
                parts.append(" ")
            if node is not root:
                parts.append(node.tail or "")
    return fold("".join(parts))


def _walk(root: Any) -> Any:
    etree: Any = import_module("lxml.etree")
    return etree.iterwalk(root, events=("start", "end"))


def _has_text_before(item: Any) -> bool:
    before = next(item.itersiblings("li", preceding=True), None)
    return before is not None and any(text.strip() for text in before.itertext())


def fold(text: str) -> str | None:
    """White space folded, list items readable, unseen characters taken out; None when nothing is left."""
    text = re.sub(r"\s+", " ", _UNSEEN_CHARACTERS.sub("", text)).strip()
    text = re.sub(f" ?{_ITEM} ?", "; ", text).strip()
    return text or None


class Author(NamedTuple):
    """The author of a file as a reader sees it."""

    name: str | None
    url: str | None
    """Absolute; a page about or by the author, or None."""


_TALK = (
    "talk contribs contributions diskussion beiträge discussion contributions discusión contribuciones discussione "
    "contributi discussão contribuições overleg bijdragen dyskusja edycje wkład обсуждение вклад 会話 投稿記録 トーク "
    "履歴 讨论 討論 贡献 貢獻 对话 對話 uploads logs"
)
_TALK_WORDS = frozenset(_TALK.split())
_TALK_LEFT = re.compile(
    rf"\s*[(\uff08\[]\s*(?:(?:{'|'.join(sorted(_TALK_WORDS))})?\s*[\u00b7\u2022|,/\u2013-]?\s*)*[)\uff09\]]",
    re.IGNORECASE,
)
_MARKS = re.compile(r"\s*\[(?:\d{1,3}|[a-z]|note \d{1,2})\](?=\W|$)")
_ASSUMED = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"^no machine[- ]readable author provided\.?\s*(.+?)\s+(?:is )?assumed\b.*$",
        r"^die autorenschaft wurde nicht in einer maschinell lesbaren form angegeben\.?\s*es wird "
        r"angenommen,? dass es sich um (.+?) handelt\b.*$",
        r"^aucun auteur lisible par la machine(?: n'a été)? fourni\.?\s*(.+?)\s+supposée?\b.*$",
        r"^(?:ninguna autoría de lectura automática proporcionada|no se ha proporcionado un autor "
        r"legible[^.]*)\.?\s*se asume (?:que )?(.+?)\s*\(.*$",
        r"^nessun autore leggibile automaticamente\.?\s*(.+?)\s+presunto\b.*$",
        r"^(?:não foi fornecido autor legível por máquina|nenhum autor legível por "
        r"máquina[^.]*)\.?\s*(.+?)\s+(?:presumido|assumido|inferido)\b.*$",
        r"^geen machineleesbare auteur opgegeven\.?\s*(.+?)\s+(?:verondersteld|aangenomen)\b.*$",
        r"^brak możliwego do odczytania przez maszynę autora\.?\s*(?:zakłada się,? że (?:jest nim |to "
        r")?)?(.+?)\s*(?:\(|jako autora).*$",
        r"^машиночитаемый автор не указан\.?\s*предполагается,? (?:что это )?(.+?)\s*\(.*$",
        r"^作者が?機械読取可能な形式[^。]*。?\s*(.+?)\s*(?:と想定|だと推定).*$",
        r"^未提供(?:机器|機器)可(?:读|讀)的?作者[。.]?\s*(?:根据版权声明(?:推测|假定)为|根據版權聲明推測為)?\s*(.+?)\s*(?:[（(].*|[。.])?$",
        r"^(?:the )?original uploader was (.+?) at .*?wiki\w*.*$",
        r"^der ursprünglich hochladende benutzer war (.+?) in der .*wikipedia.*$",
        r"^l[’']utilisateur qui a (?:importé|téléversé)[^.]*?était (.+?) (?:sur|à) .*wikip.*$",
        r"^el (?:cargador|usuario) original fue (.+?) (?:de|en) (?:la )?wikipedia.*$",
        r"^l[’']utente che ha caricato in origine il file è stato (.+?) (?:di|su) wikipedia.*$",
        r"^o carregador original foi (.+?) (?:em|na|no) wikip.*$",
        r"^de oorspronkelijke uploader was (.+?) (?:op|van) .*wikipedia.*$",
        r"^pierwotnym przesyłającym był (.+?) z .*wikipedii.*$",
        r"^первоначально загрузил (.+?) (?:из|в) .*(?:википеди|wikipedia).*$",
    )
)
"""Boilerplate of Commons' templates around the name, in the languages most used there."""
_NO_AUTHOR_PATHS = re.compile(
    r"^(?:file|image|media|category|help|template|special|commons|mediawiki|module|project|wikipedia|user[ _]talk|talk|"
    r"datei|fichier|archivo|ficheiro|bestand|plik|файл|ファイル|文件|category[ _]talk|file[ _]talk|institution)\s*:",
    re.IGNORECASE,
)
_NO_AUTHOR_HOSTS = re.compile(
    r"(?:^|\.)(?:creativecommons\.org|gnu\.org|artlibre\.org|upload\.wikimedia\.org|thumb\.wikimedia\.org)$",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^(?:[\W_]|photo(?:graph(?:er|y|ed)?)?|picture|image|foto(?:graf(?:ie|o|a|ia)?)?|author|autor|auteur|autore|user|"
    r"created|taken|made|uploaded|work|derivative|original|own|by|von|par|por|di|da|de|van|przez|the|from|c|works?)*$",
    re.IGNORECASE,
)


def author_of(html: str | None) -> Author:
    """Name and link of the author in the Artist field.

    The name is what a reader sees, without footnote marks, talk links and the boilerplate of Commons around it; of a
    Creator table it is the name in it.
    """
    if html is None:
        return Author(None, None)
    if "<" not in html and "&" not in html:
        return Author(_plain_name(fold(_UNREADABLE.sub("", html[:LONGEST_HTML]))), None)
    root = parse_html(html)
    if root is None:
        return Author(None, None)
    links = [_link(node) for node in root.iter("a") if _is_author_link(node)]
    cards = _card_names(root)
    if cards:
        name = fold(" / ".join(dict.fromkeys(cards)))
    else:
        _drop_what_is_no_name(root)
        name = text_of(root)
    name = _plain_name(name)
    return Author(name, _link_in(name, links))


def first_link(html: str | None) -> str | None:
    """Absolute URL of the first link of an HTML fragment that is no picture's page; None without one."""
    if html is None or "<a" not in html.lower():
        return None
    root = parse_html(html)
    if root is None:
        return None
    return next((_link(node)[1] for node in root.iter("a") if _is_author_link(node)), None)


def _plain_name(name: str | None) -> str | None:
    if name is None:
        return None
    name = _MARKS.sub("", _TALK_LEFT.sub("", name)).strip()
    for pattern in _ASSUMED:
        match = pattern.match(name)
        if match is not None:
            name = match[1].strip()
            break
    return name or None


def _card_names(root: Any) -> list[str]:
    """Names in the vcards of Creator templates; without a vcard, the head of a table."""
    found = [
        text
        for node in root.xpath(".//*[contains(concat(' ', normalize-space(@class), ' '), ' fn ')]")
        if (text := text_of(node)) and _within(node, root)
    ]
    if found:
        return found
    table = next(root.iter("table"), None)
    if table is None:
        return []
    head = next(
        (text for tag in ("th", "b", "td") for node in table.iter(tag) if (text := text_of(node))),
        None,
    )
    before = fold(root.text or "")
    return [] if head is None or before else [head]


def _within(node: Any, root: Any) -> bool:
    """In a vcard or a table: elsewhere `fn` only marks the name in running text."""
    for parent in node.iterancestors():
        if parent is root:
            return False
        if parent.tag == "table" or "vcard" in (parent.get("class") or "").split():
            return True
    return False


def _drop_what_is_no_name(root: Any) -> None:
    """Links to talk pages and to licenses."""
    for node in list(root.iter("a")):
        said, target = _link(node)
        host = re.sub(r"^https?://([^/?#]*).*$", r"\1", target, flags=re.IGNORECASE | re.DOTALL)
        if said.lower() in _TALK_WORDS or _NO_AUTHOR_HOSTS.search(host):
            node.drop_tree()


def _link(node: Any) -> tuple[str, str]:
    """(text, absolute address) of a link."""
    target = str(node.get("href") or "").strip()
    if target.startswith("//"):
        target = "https:" + target
    elif target.startswith("/"):
        target = _PAGE_HOST + target
    return text_of(node) or "", target


def _is_author_link(node: Any) -> bool:
    text, target = _link(node)
    if not text or not re.match(r"https?://[^/\s]*\w", target, re.IGNORECASE):
        return False
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    host = parts.hostname or ""
    if _NO_AUTHOR_HOSTS.search(host):
        return False
    page = parts.path.partition("/wiki/")[2] or (parse_qs(parts.query).get("title") or [""])[0]
    page = re.sub(r"^[a-z-]{2,12}:(?=\w+:)", "", unquote(page))
    return not _NO_AUTHOR_PATHS.match(page)


def _link_in(name: str | None, links: list[tuple[str, str]]) -> str | None:
    """The first link whose text begins the name, or a part of it: "Jo from <Oslo>" has no link to Jo."""
    if name is None:
        return None
    for text, target in links:
        text = _plain_name(text) or ""
        place = name.find(text) if text else -1
        if place < 0:
            # The whole link was boilerplate around the name.
            continue
        lead = re.split(r"; | / |: |, | & | and ", name[:place])[-1]
        if _LEAD.fullmatch(lead):
            return target
    return None
