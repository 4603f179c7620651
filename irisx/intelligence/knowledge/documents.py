"""A stranger's document becomes text, in a process of its own.

Crafted files have made parsers crash, loop and fill the memory; here that costs one upload.
`python -m irisx.intelligence.knowledge.documents` is that process: the document comes by
standard input, the only argument is the file's extension, the answer is a JSON line.
"""

import io
import json
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from irisx.kernel import child

MAX_BYTES = 20 * 1024 * 1024
MAX_CHARACTERS = 1_000_000
_MAX_UNPACKED_BYTES = 100 * 1024 * 1024
_SECONDS = 20.0
_MEMORY_BYTES = 1024**3
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,8})\Z")
#: Elements that are not what a page says.
_CHROME = "script, style, noscript, template, nav, header, footer, aside, form, svg, iframe"
_INLINE = ["a", "abbr", "b", "code", "em", "i", "mark", "small", "span", "strong", "sub", "sup"]


class NotReadable(Exception):
    """No text can be got out of it; the message says why."""


@dataclass(frozen=True)
class Document:
    """`title`: what the document calls itself, if anything."""

    title: str | None
    text: str


def read(data: bytes, name: str) -> Document:
    """The text of a PDF, DOCX, HTML, Markdown or plain text, told apart by what the bytes are.

    `name`: file name or URL path; only its extension is used, where bytes don't tell. Raises
    NotReadable. Other greenlets go on meanwhile.
    """
    extension = match[1].lower() if (match := _EXTENSION.search(name)) else ""
    try:
        answer = child.ask_apart(__name__, [extension], data, seconds=_SECONDS)
    except child.TooSlow:
        raise NotReadable("it takes too long to read") from None
    except child.Crashed:
        raise NotReadable("the parser could not cope with it") from None
    if "error" in answer:
        raise NotReadable(answer["error"])
    return Document(**answer)


def main() -> None:
    """The process."""
    child.limit(cpu_seconds=int(_SECONDS), memory_bytes=_MEMORY_BYTES)
    try:
        found = _read(sys.stdin.buffer.read(), sys.argv[1])
        text = _tidy(found.text)
        if not text:
            raise NotReadable("it holds no text")
        if len(text) > MAX_CHARACTERS:
            raise NotReadable(f"its text is longer than {MAX_CHARACTERS} characters")
        title = _tidy(found.title or "")[:200].replace("\n", " ")
        answer = {"title": title or None, "text": text}
    except NotReadable as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))


def _read(data: bytes, extension: str) -> Document:
    return _parser_for(data, extension)(data)


def _parser_for(data: bytes, extension: str) -> Callable[[bytes], Document]:
    start = data[:1024].lstrip()
    if start.startswith(b"%PDF-"):
        return _pdf
    if start.startswith(b"PK\x03\x04"):
        return _docx
    if extension in ("html", "htm") or re.match(rb"(?i)<(!doctype html|html|head|body)\b", start):
        return _html
    return _plain


def _pdf(data: bytes) -> Document:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise NotReadable("the PDF is protected by a password")
        text = "\n\n".join(page.extract_text() for page in reader.pages)
        title = reader.metadata.title if reader.metadata else None
    except NotReadable:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise NotReadable(f"the PDF is damaged: {error}"[:200]) from error
    if not text.strip():
        raise NotReadable("the PDF holds no text; scanned pages are not read")
    return Document(str(title) if title else None, text)


def _docx(data: bytes) -> Document:
    import docx
    from docx.opc.exceptions import OpcError
    from docx.table import Table
    from lxml.etree import LxmlError

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MAX_UNPACKED_BYTES:
                raise NotReadable("the document unpacks to more than it may")
        opened = docx.Document(io.BytesIO(data))
    except (zipfile.BadZipFile, OpcError, LxmlError, KeyError, ValueError) as error:
        raise NotReadable("it is no DOCX document, or a damaged one") from error
    blocks = []
    for block in opened.iter_inner_content():
        if isinstance(block, Table):
            rows = (" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows)
            blocks.append("\n".join(rows))
        elif block.style is not None and (block.style.name or "").startswith(("Heading", "Title")):
            blocks.append(f"# {block.text}")
        else:
            blocks.append(block.text)
    return Document(opened.core_properties.title or None, "\n\n".join(blocks))


def _html(data: bytes) -> Document:
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(_decoded(data))
    title = page.css_first("title")
    said = title.text(strip=True) if title else None
    for element in page.css(_CHROME):
        element.decompose()
    body = page.body
    if body is None:
        return Document(said, "")
    for level in range(1, 7):
        for heading in page.css(f"h{level}"):
            heading.replace_with(f"\n\n# {' '.join(heading.text().split())}\n\n")
    body.unwrap_tags(_INLINE)
    body.merge_text_nodes()
    return Document(said, body.text(separator="\n"))


def _plain(data: bytes) -> Document:
    text = _decoded(data)
    if text.count("\0") or text.count("�") > len(text) / 20:
        raise NotReadable("it is neither PDF, DOCX, HTML, Markdown nor plain text")
    return Document(None, text)


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def _tidy(text: str) -> str:
    """No control characters, no runs of blanks or of empty lines, nothing that UTF-8 can't hold."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n")
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "", text)
    text = re.sub(r"[ \t\xa0]+", " ", text)
    return re.sub(r" ?\n ?", "\n", re.sub(r"\n\s*\n", "\n\n", text)).strip()


if __name__ == "__main__":
    main()
