"""What a WhatsApp message consists of, as the Cloud API spells it ("Messages" reference)."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

Caption = Annotated[str, StringConstraints(max_length=1024)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class WhatsAppText(_Part):
    body: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    preview_url: bool = False


class WhatsAppImage(_Part):
    """A picture: `id` of a file that the provider has, or a public `link`."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    link: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None
    caption: Caption | None = None

    @model_validator(mode="after")
    def one_source(self) -> Self:
        if (self.id is None) == (self.link is None):
            raise ValueError("give either id or link")
        return self


class WhatsAppDocument(WhatsAppImage):
    """A file, with the name that the recipient sees."""

    filename: Annotated[str, StringConstraints(min_length=1, max_length=240)] | None = None


class WhatsAppLanguage(_Part):
    code: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Za-z]{2,4})?$")] = Field(
        examples=["en"]
    )


class WhatsAppTemplate(_Part):
    """A template that Meta has approved, and what fills it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,512}$")]
    language: WhatsAppLanguage
    components: list[dict[str, JsonValue]] = Field(default_factory=list, max_length=20)


class WhatsAppInteractiveBody(_Part):
    text: Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class WhatsAppInteractive(_Part):
    """Buttons or a list; `action` as the Cloud API has it."""

    type: Literal["button", "list"]
    body: WhatsAppInteractiveBody
    action: dict[str, JsonValue]
    header: dict[str, JsonValue] | None = None
    footer: dict[str, JsonValue] | None = None


class WhatsAppContent(_Part):
    """One message: its `type`, and the part of that name."""

    type: Literal["text", "image", "document", "template", "interactive"]
    text: WhatsAppText | None = None
    image: WhatsAppImage | None = None
    document: WhatsAppDocument | None = None
    template: WhatsAppTemplate | None = None
    interactive: WhatsAppInteractive | None = None

    @model_validator(mode="after")
    def one_part(self) -> Self:
        parts = ("text", "image", "document", "template", "interactive")
        given = [name for name in parts if getattr(self, name) is not None]
        if given != [self.type]:
            raise ValueError(f"give {self.type!r}, and no other part, with the type {self.type!r}")
        return self

    def words(self) -> str:
        """What a person reads of it in a list of messages."""
        if self.text:
            return self.text.body
        if self.template:
            return f"[{self.template.name}]"
        if self.interactive:
            return self.interactive.body.text
        media = self.image or self.document
        return (media and media.caption) or ""

    def link(self) -> str | None:
        """Where the provider fetches its file."""
        media = self.image or self.document
        return media.link if media else None
