"""`python -m irisx`, and what the command `irisx` runs."""

from gevent import monkey

monkey.patch_all()

from psycogreen.gevent import patch_psycopg

patch_psycopg()

from irisx.cli import irisx


def main() -> None:
    irisx(prog_name="irisx")


if __name__ == "__main__":
    main()
