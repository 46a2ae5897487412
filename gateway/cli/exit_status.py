"""Exit statuses of commands that end before their work is done, as shells report them for a signal."""

INTERRUPTED = 130  # SIGINT
PIPE_CLOSED = 141  # SIGPIPE
STOPPED = 128  # plus the number of the signal
