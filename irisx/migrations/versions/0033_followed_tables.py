"""followed tables

Revision: 0033
Follows: 0032
"""

from alembic import op

revision = '0033'
down_revision = '0032'
branch_labels = None
depends_on = None

TABLES = ('tenants', 'phone_numbers', 'ivr_flows')


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION irisx_tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('irisx_changed', TG_TABLE_NAME);
            RETURN NULL;
        END $$
    """)
    for table in TABLES:
        op.execute(f"""
            CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION irisx_tell_change()
        """)
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER tell_change")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TRIGGER tell_change ON {table}")
    op.execute("DROP FUNCTION irisx_tell_change()")
