"""Documents as strangers upload them."""

import io
import zipfile


def pdf(*lines: str) -> bytes:
    """A PDF of one page with these lines, written by hand (ISO 32000-1, 7.5)."""
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    content = f"BT /F1 12 Tf 14 TL 72 720 Td {shown} ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Title (Price list) >>",
    ]
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 7\n0000000000 65535 f \n")
    out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
    out.write(b"trailer << /Size 7 /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF" % start)
    return out.getvalue()


def docx(heading: str, *paragraphs: str) -> bytes:
    import docx

    document = docx.Document()
    document.add_heading(heading, 1)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text = "Left"
    table.rows[0].cells[1].text = "Right"
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def bomb() -> bytes:
    """A DOCX of a few hundred kilobytes that unpacks to far more than it may."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * (150 * 1024 * 1024))
    return out.getvalue()


HTML = b"""<!doctype html><html><head><title> Help </title><style>p{color:red}</style></head><body>
<nav>Home | About</nav><h2>Opening <b>hours</b></h2><p>We are <em>open</em> from 9&nbsp;am.</p>
<script>alert("x")</script><ul><li>Monday</li><li>Friday</li></ul><footer>Imprint</footer>
</body></html>"""
