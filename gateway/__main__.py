"""The entry point of `bitrix-gateway` and of `python -m gateway`."""

import sys

from gateway.cli.exit_status import INTERRUPTED


def main() -> None:
    """Run the command given on the command line; Ctrl-C during the imports ends quietly too."""
    try:
        from gateway.cli.main import main as commands
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    commands(prog_name="bitrix-gateway")


if __name__ == "__main__":
    main()
