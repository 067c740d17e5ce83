"""The parser of every command: errors of one line with the nearest right word, and a help of what is usually needed.

Used by cli.py and the commands; imports nothing of pretrain at once.
"""

from __future__ import annotations

import argparse
import difflib
import re
import textwrap
import typing
from collections.abc import Collection, Iterable
from typing import Any


class Help(argparse.HelpFormatter):
    """Texts are filled to the terminal's width, but indented lines, which are commands, stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = re.split(r"\n((?: {2}.*(?:\n|$))+)|\n\n", text)
        filled = (
            part.rstrip("\n") if part.startswith("  ") else textwrap.fill(" ".join(part.split()), width)
            for part in parts
            if part and part.strip()
        )
        return "\n\n".join(filled).replace(":\n\n  ", ":\n  ")


class HelpAll(argparse.Action):
    """--help-all: print every flag, and end."""

    def __call__(self, parser: Any, *_: Any) -> None:
        print(parser.format_help(everything=True), end="")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, with the nearest flag or choice where a word is misspelt.

    Args:
        usual: names of the flags that --help shows; --help-all then shows every one. Empty: --help shows every one.
        usage: with `usual`: what has to be given.
        examples: command lines shown below the help, without the program and the command.

    Attributes:
        origin: what errors begin with: where the words that it reads come from.
    """

    origin = ""

    def __init__(self, *, usual: Collection[str] = (), examples: Iterable[str] = (), **how: Any) -> None:
        super().__init__(formatter_class=Help, allow_abbrev=False, **how)
        self.usual = {*usual, "help", "help_all"} if usual else set[str]()
        if shown := "".join(f"\n  {self.prog} {each}" for each in examples):
            self.epilog = f"{self.epilog or ''}\n\nexamples:{shown}".strip()
        if self.usual and self.usage:
            self.usage = f"%(prog)s [-h | --help-all] {self.usage} [flag …]"
        if how.get("add_help", True):
            text = "show every flag and exit" if usual else argparse.SUPPRESS
            self.add_argument("--help-all", action=HelpAll, nargs=0, default=argparse.SUPPRESS, help=text)

    def format_help(self, *, everything: bool = False) -> str:
        """The help, of the usual flags or of all."""
        rare = (action for action in self._actions if self.usual and action.dest not in self.usual)
        hidden = {} if everything else {action: action.help for action in rare}
        try:
            for action in hidden:
                action.help = argparse.SUPPRESS
            return super().format_help()
        finally:
            for action, text in hidden.items():
                action.help = text

    def error(self, message: str) -> typing.NoReturn:
        from .files import readable  # here: NumPy

        self.exit(2, f"{self.prog}: error: {readable(' '.join((self.origin + self._hinted(message)).split()))}\n")

    def _hinted(self, message: str) -> str:
        """The message with the word that was probably meant."""
        if found := re.match(r"unrecognized arguments: (.*)", message, re.S):
            word = next((word for word in found[1].split() if word.startswith("-")), "").partition("=")[0]
            if word in self._words():  # a flag of another command
                return message
            near = difflib.get_close_matches(word, self._words(), n=1)
            return f"there is no flag {word}; did you mean {near[0]}?" if near else message
        if found := re.search(r"invalid choice: '?(.*?)'? \(choose from (.*)\)", message, re.S):
            near = difflib.get_close_matches(found[1], re.findall(r"[^\s',]+", found[2]), n=1)
            return f"{message}; did you mean {near[0]}?" if near else message
        return message

    def _words(self) -> list[str]:
        """Every flag, those of commands below this one too."""
        below = [each for action in self._actions if isinstance(action, argparse._SubParsersAction)
                 for each in action.choices.values()]  # fmt: skip
        return [*self._option_string_actions, *(word for each in below for word in each._option_string_actions)]
