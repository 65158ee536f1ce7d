"""All commands under one name: `privacy-exp COMMAND [key=value ...]`."""

import sys
from difflib import get_close_matches
from importlib import import_module

COMMANDS = {
    "train": ("privacy_exp.train", "fit, hide, repaint and score: one cell, or a sweep with -m"),
    "anonymize": ("privacy_exp.anonymize", "hide the faces in a folder of photos, and say what to look at"),
    "prepare": ("privacy_exp.prepare", "align unaligned photos of known people, for data=folder"),
    "evaluate": ("privacy_exp.evaluate", "score a finished run again, or pairs of pictures of another tool"),
    "compare": ("privacy_exp.compare", "compare two runs over the same images, person by person"),
    "certify": ("privacy_exp.certify", "how much must be hidden so that few are recognised, and how sure is that"),
    "deletion": ("privacy_exp.deletion", "deletion curves: how recognition falls as pixels go"),
    "report": ("privacy_exp.report.__main__", "make a page, figures and tables of finished sweeps"),
    "app": ("privacy_exp.app", "a page to play with on this machine: a photo, a method, a painter"),
    "board": ("privacy_exp.board", "check submissions to a board of anonymisers, and make its page"),
    "status": ("privacy_exp.status", "say which cells of a sweep are done, running, failed or missing"),
    "draw": ("privacy_exp.draw", "write drawn faces in CelebA's layout"),
    "train_inpainter": ("privacy_exp.train_inpainter", "train an inpainting checkpoint"),
    "cache": ("privacy_exp.cache.__main__", "list or prune what has been computed"),
}
"""Command to its module and one line on it."""

SPELLINGS = {"anonymise": "anonymize", "train-inpainter": "train_inpainter"}


def main() -> None:
    """Runs a command with the rest of the command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "help"):
        print("usage: privacy-exp COMMAND [key=value ...]      COMMAND --help lists a command's keys\n")
        print("\n".join(f"  {command:16}{line}" for command, (_, line) in COMMANDS.items()))
        return
    if name == "--version":
        from privacy_exp import __version__

        print(__version__)
        return
    name = SPELLINGS.get(name, name)
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(COMMANDS)}."
        print(f"error: there is no command {name!r}; {hint}", file=sys.stderr)
        sys.exit(1)
    sys.argv = [f"privacy-exp {name}", *sys.argv[2:]]
    import_module(COMMANDS[name][0]).main()


if __name__ == "__main__":
    main()
