"""The schema's history (Alembic) and the verbs on it."""

import re
from importlib import import_module
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData
from sqlalchemy.schema import SchemaItem

import irisx
from irisx.kernel.db import Base

#: Partitions are made by `kernel/partitions.py`, not by migrations.
_PARTITION = re.compile(r"_(default|y\d{4}m\d\d)\Z")


def metadata() -> MetaData:
    """The schema as the models declare it: the kernel's rows and every room's `*models.py`."""
    import_module("irisx.kernel.events")
    root = Path(irisx.__file__).parent
    for path in sorted(root.rglob("*models.py")):
        import_module(".".join(("irisx", *path.relative_to(root).with_suffix("").parts)))
    return Base.metadata


def is_ours(
    item: SchemaItem, name: str | None, kind: str, reflected: bool, compare_to: SchemaItem | None
) -> bool:
    """Alembic's `include_object`: everything but partitions."""
    return not (kind == "table" and reflected and _PARTITION.search(name or ""))


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest revision and make the partitions that are missing."""
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def pending(engine: Engine) -> list[str]:
    """Revisions that the database lacks, oldest first."""
    script = ScriptDirectory.from_config(_config())
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    revisions = script.iterate_revisions("head", current or "base")
    return [revision.revision for revision in revisions][::-1]


def drift(engine: Engine) -> list[object]:
    """What the models declare and the database lacks, or the reverse (Alembic's diff entries)."""
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": is_ours, "compare_type": True}
        )
        return list(compare_metadata(context, metadata()))


def revise(engine: Engine, message: str) -> Path:
    """Write the migration that brings an up-to-date database to what the models declare."""
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
        made = command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")
    if made is None or isinstance(made, list):
        raise RuntimeError("Alembic made no single revision")
    return Path(made.path)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    return config
