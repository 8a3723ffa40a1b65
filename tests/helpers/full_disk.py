"""A stand-in for a full disk: root may write anywhere, so tests cannot rely on permissions."""

import signal
from contextlib import contextmanager


@contextmanager
def files_no_larger_than(size):
    """Let the kernel itself refuse to write on, as it does on a full disk."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)
