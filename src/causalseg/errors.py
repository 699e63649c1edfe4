"""The one error type that a user is meant to read."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that names the file, row or option and what to do about it. The
    command line prints it on stderr without a traceback and exits with code 2.
    """
