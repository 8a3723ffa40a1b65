"""The exceptions that every step of the job may raise on purpose."""


class UserError(Exception):
    """Something the user can mend: one sentence saying what happened, where, and what to do.

    The command line prints it and exits with code 2; the window shows it as a notification.
    """


class Cancelled(Exception):
    """The user cancelled a running step; nothing that existed before has changed."""


class NoDisks(UserError):
    """No pattern has a Bragg disk."""
