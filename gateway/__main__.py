"""`bitrix-gateway`, and `python -m gateway`, which is the same."""

import sys

INTERRUPTED = 130  # what a shell makes of SIGINT
PIPE_CLOSED = 141  # and of SIGPIPE


def main() -> None:
    """Run the command that was typed. An interruption is no failure, also while everything is still being loaded."""
    try:
        from gateway.cli.main import main as commands
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    commands(prog_name="bitrix-gateway")


if __name__ == "__main__":
    main()
