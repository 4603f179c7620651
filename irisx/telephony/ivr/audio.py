"""What a caller hears: the items of a flow's prompts, with templates in them or rendered."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

Template = Annotated[str, Field(min_length=1, max_length=4000)]
ShortTemplate = Annotated[str, Field(min_length=1, max_length=200)]
Voice = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_.:\-]{1,64}$",
        description="Name of a voice; one that is not there is replaced by the nearest that is.",
        examples=["en-US-Neural2-F"],
    ),
]
Language = Annotated[
    str,
    Field(
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        description="BCP 47 tag; by default the voice's language.",
        examples=["en-US"],
    ),
]


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Item):
    """Text that is spoken."""

    text: Template = Field(examples=["Hello {{contact.name}}."])
    voice: Voice | None = None
    language: Language | None = None


class UploadedPrompt(_Item):
    """An uploaded prompt."""

    prompt: str = Field(pattern=r"^prm_[0-9]{1,18}$", examples=["prm_7"])


class AudioUrl(_Item):
    """Audio that is fetched from a URL (WAV, MP3, OGG), and kept for some minutes."""

    url: str = Field(min_length=8, max_length=2048, examples=["https://example.com/hello.wav"])


class SayAs(StrEnum):
    """How a value is said. `date`: ISO 8601; `time`: ISO 8601; `currency`: a decimal amount."""

    DIGITS = "digits"
    NUMBER = "number"
    ORDINAL = "ordinal"
    DATE = "date"
    TIME = "time"
    CURRENCY = "currency"


class Say(_Item):
    """A value that is said as what it is: 42 as a number or as two digits."""

    say: ShortTemplate = Field(description="The value.", examples=["{{balance}}"])
    as_: SayAs = Field(alias="as", examples=["currency"])
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217; for `currency`.")
    voice: Voice | None = None
    language: Language | None = None

    model_config = ConfigDict(populate_by_name=True)


class Silence(_Item):
    """A pause, in milliseconds."""

    silence_ms: int = Field(ge=20, le=10_000)


Audio = Text | UploadedPrompt | AudioUrl | Say | Silence

#: What kind an item is, by the field that only that kind has.
_KINDS = ("text", "prompt", "url", "say", "silence_ms")


def _kind_of(item: Any) -> str | None:
    has = item.keys() if isinstance(item, dict) else vars(item) if isinstance(item, _Item) else ()
    return next((field for field in _KINDS if field in has), None)


AnyAudio = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[UploadedPrompt, Tag("prompt")]
    | Annotated[AudioUrl, Tag("url")]
    | Annotated[Say, Tag("say")]
    | Annotated[Silence, Tag("silence_ms")],
    Discriminator(
        _kind_of,
        custom_error_type="audio",
        custom_error_message="an item has one of text, prompt, url, say and silence_ms",
    ),
]

Audios = Annotated[
    list[AnyAudio],
    Field(
        max_length=20,
        description="What is played, one after the other.",
        examples=[[{"text": "Your balance is"}, {"say": "{{balance}}", "as": "currency"}]],
    ),
]

#: The fields of each kind of item that are templates.
_TEMPLATES = {Text: "text", AudioUrl: "url", Say: "say"}


def template_of(item: Audio) -> str | None:
    """The template in an item, if it can hold one."""
    field = _TEMPLATES.get(type(item))
    return None if field is None else str(getattr(item, field))


def rendered(items: Iterable[Audio], render: Callable[[str], str]) -> Sequence[Audio]:
    """The items as they are played; texts that come out empty are left out."""
    return [item for item in (_rendered(item, render) for item in items) if item is not None]


def _rendered(item: Audio, render: Callable[[str], str]) -> Audio | None:
    template = template_of(item)
    if template is None:
        return item
    value: Any = render(template).strip()
    return item.model_copy(update={_TEMPLATES[type(item)]: value}) if value else None


class Prompted(BaseModel):
    """Mixin of whatever has a prompt: `text` with `voice`, or `prompts`, or both."""

    text: Template | None = Field(None, description="Spoken before what `prompts` lists.")
    voice: Voice | None = None
    language: Language | None = None
    prompts: Audios = Field(default_factory=list)

    def items(self, field: str = "") -> Iterator[tuple[str, Audio]]:
        """All that is played, each with its field, in the prompt's voice if it names none."""
        if self.text is not None:
            yield f"{field}text", Text(text=self.text, voice=self.voice, language=self.language)
        for index, item in enumerate(self.prompts):
            yield f"{field}prompts.{index}", self._in_voice(item)

    @property
    def audio(self) -> list[Audio]:
        return [item for _, item in self.items()]

    def _in_voice(self, item: Audio) -> Audio:
        if not isinstance(item, Text | Say):
            return item
        return item.model_copy(
            update={
                "voice": item.voice or self.voice,
                "language": item.language or self.language,
            }
        )


class Prompt(Prompted):
    """A prompt inside a config: `{"text": "…"}` or `{"prompts": […]}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
