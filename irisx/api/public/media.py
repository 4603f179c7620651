"""`/media/{token}`: the bytes behind the signed links to files of messages."""

from flask import Response, send_file

from irisx.api.auth import PUBLIC
from irisx.api.http import Rate, Router
from irisx.messaging import media

router = Router("Media")


@router.get(
    "/media/<media_token>",
    access=PUBLIC,
    rate=Rate.NONE,
    produces="application/octet-stream",
    also={
        206: "The range that was asked for.",
        302: "The bytes are in an object storage, at this address for five minutes.",
        403: "The link is not valid or has expired.",
        416: "The range is not there.",
    },
)
def follow_media_link(media_token: str) -> Response:
    """Follow the `url` of a file of a message: its bytes, whole or in ranges, as a download."""
    row, found = media.follow(media_token)
    if isinstance(found, str):
        return Response(status=302, headers={"Location": found})
    response = send_file(
        found,
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=row.filename or row.public_id,
        conditional=True,
    )
    # A stranger's file: no browser runs what is in it.
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response
