"""Alembic runs this for each of its commands; the connection comes from `irisx.migrations`."""

from alembic import context

from irisx.kernel.partitions import ensure_partitions
from irisx.migrations import is_ours, metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata(),
    include_object=is_ours,
    compare_type=True,
)
context.run_migrations()
ensure_partitions(connection)
