"""What a WhatsApp message consists of, as the Cloud API spells it ("Messages" reference)."""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
    model_validator,
)

TemplateName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9_]{1,512}$"), Field(examples=["order_confirmation"])
]
LanguageCode = Annotated[
    str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Za-z]{2,4})?$"), Field(examples=["en"])
]
Caption = Annotated[str, StringConstraints(max_length=1024)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class WhatsAppText(_Part):
    body: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    preview_url: bool = False


class WhatsAppFile(_Part):
    """A file: `id` of an upload (`med_3`, or the provider's own), or a public `link`."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    link: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None

    @model_validator(mode="after")
    def one_source(self) -> Self:
        if (self.id is None) == (self.link is None):
            raise ValueError("give either id or link")
        return self


class WhatsAppImage(WhatsAppFile):
    """A picture or a video."""

    caption: Caption | None = None


class WhatsAppDocument(WhatsAppImage):
    """A file, with the name that the recipient sees."""

    filename: Annotated[str, StringConstraints(min_length=1, max_length=240)] | None = None


class WhatsAppLanguage(_Part):
    code: LanguageCode


class WhatsAppParameter(BaseModel):
    """What stands for a variable: a `text`, or a part named like its `type` (image, currency, …).
    `parameter_name`: of a named variable."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, JsonValue]

    type: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,32}$")] = Field(examples=["text"])
    text: Annotated[str, StringConstraints(max_length=1024)] | None = Field(None, examples=["John"])
    parameter_name: Annotated[str, StringConstraints(max_length=64)] | None = None

    def words(self) -> str:
        """What the recipient reads of it."""
        part = (self.__pydantic_extra__ or {}).get(self.type)
        fallback = part.get("fallback_value") if isinstance(part, dict) else None
        return self.text or str(fallback or "")


class WhatsAppComponent(_Part):
    """What fills one part of a template. `sub_type` and `index`: of a button, from 0."""

    type: Literal["header", "body", "button"]
    sub_type: Annotated[str, StringConstraints(max_length=32)] | None = None
    index: Annotated[str, StringConstraints(pattern=r"^[0-9]$")] | None = None
    parameters: list[WhatsAppParameter] = Field(default_factory=list, max_length=100)

    @field_validator("type", mode="before")
    @classmethod
    def lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("index", mode="before")
    @classmethod
    def number(cls, value: object) -> object:
        return str(value) if type(value) is int else value

    @model_validator(mode="after")
    def button_has_a_place(self) -> Self:
        if (self.type == "button") != (self.index is not None):
            raise ValueError("index is for buttons, and required there")
        return self


class WhatsAppTemplate(_Part):
    """A template that Meta has approved, and what fills it."""

    name: TemplateName
    language: WhatsAppLanguage
    components: list[WhatsAppComponent] = Field(default_factory=list, max_length=20)


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

    type: Literal[
        "text", "image", "document", "audio", "video", "sticker", "template", "interactive"
    ]
    text: WhatsAppText | None = None
    image: WhatsAppImage | None = None
    document: WhatsAppDocument | None = None
    audio: WhatsAppFile | None = None
    video: WhatsAppImage | None = None
    sticker: WhatsAppFile | None = None
    template: WhatsAppTemplate | None = None
    interactive: WhatsAppInteractive | None = None

    @model_validator(mode="after")
    def one_part(self) -> Self:
        parts = (name for name in WhatsAppContent.model_fields if name != "type")
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
        captioned = self.image or self.document or self.video
        return (captioned and captioned.caption) or ""

    def link(self) -> str | None:
        """Where the provider fetches its file."""
        file = self.image or self.document or self.video or self.audio or self.sticker
        return file.link if file else None
