"""How well does hiding and repainting face regions protect people from face recognisers?"""

__version__ = "0.2.0.dev0"


class UserError(ValueError):
    """Input that cannot be used: the message names the argument, what is allowed, what came, and the way out.

    Commands show it as one paragraph with exit code 1; any other exception is a bug and keeps its traceback. It lives
    here so that arguments can be checked before torch is imported.
    """
