"""The exceptions that every step of the job may raise on purpose."""

LONGEST = 500
"""Letters of a sentence; what a file says about itself may be longer."""


class UserError(Exception):
    """Something the user can mend: one sentence saying what happened, where, and what to do.

    The command line prints it and exits with code 2; the window shows it as a notification. It is one line of letters
    that can be printed, and not longer than ``LONGEST``, whatever names and texts from files it quotes.
    """

    def __init__(self, sentence: object = "") -> None:
        super().__init__(one_line(sentence, LONGEST))


class Cancelled(Exception):
    """The user cancelled a running step; nothing that existed before has changed."""


class NoDisks(UserError):
    """No pattern has a Bragg disk."""


def one_line(text: object, longest: int) -> str:
    """Return a text in one line of printable letters; of a longer one the beginning and the end."""
    words = " ".join(str(text).split())
    line = "".join(letter if letter.isprintable() else "�" for letter in words)
    if len(line) <= longest:
        return line
    end = longest // 3
    return f"{line[: longest - end - 3]} … {line[-end:]}"
