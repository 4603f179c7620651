"""What signing in and passwords look like, for tenants' users and administrators."""

from typing import Annotated

from pydantic import Field, StringConstraints

from irisx.api.schemas import Answer, Body

#: By form only: something@something without spaces (RFC 5321 §4.5.3.1: at most 254 characters).
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
NewPassword = Annotated[str, StringConstraints(min_length=12, max_length=200)]


class SignIn(Body):
    email: Email
    password: str = Field(max_length=200)


class Token(Answer):
    token: str
    expires_in: int = Field(description="Seconds.")
