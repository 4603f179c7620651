"""Every setting of IRISX in one tree, each read from an `IRISX_*` environment variable.

`docs/settings.md` is generated from the descriptions here (`irisx settings --markdown`).
"""

from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingMissing(RuntimeError):
    """What was asked for needs a setting that this process has not."""


class Settings(BaseSettings):
    """The settings of one installation; a process reads them once, at its start."""

    model_config = SettingsConfigDict(env_prefix="IRISX_", extra="ignore")

    home: Path = Field(
        default=Path.home() / ".irisx",
        description="Directory of everything that this installation keeps: embedded databases, "
        "recordings, credentials, spool, FreeSWITCH's run-time files.",
    )
    host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    port: int = Field(default=3000, ge=0, le=65535, description="Port of the API.")
    public_url: str | None = Field(
        default=None,
        description="URL under which the API is reached from outside; signed download links "
        "and provider webhooks use it. Default: http://host:port.",
    )
    database_url: str | None = Field(
        default=None,
        description="postgresql+psycopg2://… of an existing PostgreSQL 15 or newer. "
        "Default: an embedded one under the home directory.",
    )
    redis_url: str | None = Field(
        default=None,
        description="redis://… of an existing Redis or Valkey. Default: an embedded one.",
    )
    esl_url: str | None = Field(
        default=None,
        description="esl://:password@host:port of FreeSWITCH's Event Socket; several nodes are "
        "separated by commas. Default: the sandbox switch, started with the rest.",
    )
    sandbox_esl_url: str | None = Field(
        default=None,
        description="esl://… of a sandbox switch that runs already. Test API keys' calls always "
        "go to the sandbox. Default: one is started with the rest.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Key material that encrypts secrets at rest and signs tokens and download "
        "links; at least 32 characters. Default: generated into the home directory.",
    )
    admin_token: SecretStr | None = Field(
        default=None,
        description="Bearer token of the first administrator. Default: generated into "
        "credentials.json.",
    )
    allowed_private_hosts: str = Field(
        default="",
        description="Host names or addresses, separated by commas, that webhooks and other "
        "tenant-given URLs may reach although they are private.",
    )
    dns_server: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Fa-f.:\[\]]+:[0-9]{1,5}$",
        description="host:port of the DNS server that is asked for senders' records. Default: the "
        "machine's resolver.",
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_json: bool = Field(default=True, description="Logs as JSON lines; false: for people.")
    log_dir: Path | None = Field(
        default=None,
        description="Directory for log files, one a part, rotated; warnings go to standard error "
        "too. Default: standard output; under `irisx up`: home/log.",
    )
    recordings_url: str | None = Field(
        default=None,
        description="Where recordings are kept: s3://bucket/prefix?endpoint=…, or nothing for "
        "the home directory.",
    )
    recordings_dir: Path | None = Field(
        default=None,
        description="Directory, shared with FreeSWITCH, where recordings are written during the "
        "call. Default: home/recordings.",
    )
    taps_dir: Path | None = Field(
        default=None,
        description="Directory on tmpfs, shared with FreeSWITCH, for live audio taps. "
        "Default: /dev/shm/irisx.",
    )
    max_call_seconds: int = Field(
        default=14_400,
        ge=60,
        description="Longest duration of any call in seconds; the switch itself ends it then, "
        "with or without an engine.",
    )
    node_max_calls: int = Field(
        default=1000,
        ge=1,
        description="Calls that one FreeSWITCH node may hold; new ones go to the node with the "
        "largest free share.",
    )
    xml_token: SecretStr | None = Field(
        default=None,
        description="Password with which FreeSWITCH's mod_xml_curl reads agents, gateways and "
        "carrier addresses. Default: generated into the home directory.",
    )
    sip_port: int = Field(default=5080, description="SIP port for carriers (freeswitch-conf).")
    sip_agent_port: int = Field(default=5060, description="SIP port for agents.")
    sandbox_sip: str | None = Field(
        default="127.0.0.1:5070",
        description="host:port on which the sandbox switch takes SIP calls (where baresip-python "
        "is installed); empty: no SIP.",
    )
    ai_base_url: str | None = Field(
        default=None,
        description="Base URL of an OpenAI-style AI provider, e.g. https://api.openai.com/v1 or "
        "http://127.0.0.1:11434/v1; used by tenants that have configured none of their own.",
    )
    ai_api_key: SecretStr | None = Field(
        default=None, description="Key that IRISX_AI_BASE_URL asks for."
    )
    ai_chat_model: str | None = Field(
        default=None,
        description="Chat model at IRISX_AI_BASE_URL. Default: no language model; answers are "
        "quoted from the knowledge base and say so.",
    )
    ai_embedding_model: str | None = Field(
        default=None,
        description="Embedding model at IRISX_AI_BASE_URL. Default: multilingual-e5-small on this "
        "machine.",
    )
    ai_transcription_model: str | None = Field(
        default=None,
        description="Transcription model at IRISX_AI_BASE_URL. Default: the local one of "
        "IRISX_WHISPER_MODEL.",
    )
    whisper_model: Path | None = Field(
        default=None,
        description="Directory of a faster-whisper (CTranslate2) model that recognizes speech on "
        "this machine. Default: none; transcripts need a provider then.",
    )
    translation_url: str | None = Field(
        default=None,
        description="URL of a LibreTranslate-style service. Default: the chat model translates, "
        "where there is one.",
    )
    translation_api_key: SecretStr | None = Field(
        default=None, description="Key that IRISX_TRANSLATION_URL asks for."
    )

    @property
    def base_url(self) -> str:
        """URL of the API as a client outside writes it, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the switches that this process knows, as the engine's leases write them."""
        urls = [urlsplit(url) for url in (self.esl_url or "").split(",") if url]
        names = [f"{url.hostname}:{url.port or 8021}" for url in urls]
        return (*names, *(["sandbox"] if self.sandbox_esl_url else []))

    @property
    def recording_path(self) -> Path:
        return self.recordings_dir or self.home / "recordings"

    @property
    def taps_path(self) -> Path:
        return self.taps_dir or Path("/dev/shm/irisx")  # noqa: S108 - tmpfs is what it is for


@lru_cache
def get_settings() -> Settings:
    """The settings of this process."""
    return Settings()
