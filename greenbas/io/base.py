"""The I/O interface: a tree of files, whatever holds it (BAS part e).

Every I/O behaves as written here, so that directories, pages and plugins work on any of them. Paths are relative to the
root and separated by "/"; each passes `greenbas.io.paths.normalize` first, whose `InvalidName` (400) any method raises.
What a server answers stands beside each error. For a method that creates, a missing parent is 409 instead of 404, as
WebDAV has it (RFC 4918 sections 9.3.1 and 9.7.1).
"""

from __future__ import annotations

import linecache
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Literal, overload

from greenbas.errors import IncorrectUse
from greenbas.io.handle import Bytes, FileHandle, Mode, Stat, parse_mode

__all__ = ["Bytes", "FileHandle", "Io", "Mode", "Stat", "parse_mode"]


class Io(ABC):
    """A tree of files and directories."""

    __slots__ = ()

    @abstractmethod
    def open(self, path: str, mode: str = "r") -> FileHandle:
        """Open a file (BAS ``io:open``).

        Args:
            path: the file.
            mode: "r" to read; "w" to write, created or emptied; "a" to append, created; with "+" to read as well. The
                position starts at the end in a mode with "a", else at 0. Always binary.

        Returns:
            The open file; whoever opens it closes it.

        Raises:
            NotFound: nothing is there (404), or to write: not even the directory (409).
            NotDirectory: something on the way is a file (404, to write 409).
            IsDirectory: a directory is there (404, to write 405).
            NoAccess: denied, neither file nor directory, or to write: the I/O is read-only (403).
            NoSpace: no room for another file (507).
            IncorrectUse: the mode is unknown.
        """

    @abstractmethod
    def names(self, path: str = "") -> list[str]:
        """List a directory by name.

        Args:
            path: the directory.

        Returns:
            Sorted names of the files and directories in it, without "." and "..". What cannot be opened here by its
            nature is left out: devices, links to nowhere or out of the root, names that `normalize` refuses.

        Raises:
            NotFound: nothing is there (404).
            NotDirectory: a file is there (404).
            NoAccess: denied (403).
        """

    @abstractmethod
    def stats(self, path: str = "") -> list[Stat]:
        """List a directory with details; like `names`, which see."""

    @abstractmethod
    def stat(self, path: str) -> Stat:
        """Describe a file or directory (BAS ``io:stat``).

        Args:
            path: the file or directory; "" is the root.

        Returns:
            Its description.

        Raises:
            NotFound: nothing is there (404).
            NotDirectory: something on the way is a file (404).
            NoAccess: denied, or neither file nor directory (403).
        """

    @abstractmethod
    def mkdir(self, path: str) -> None:
        """Make one directory; its parent must be there (BAS ``io:mkdir``).

        Args:
            path: the new directory.

        Raises:
            Exists: something is there already (405).
            NotFound: the parent is missing (409).
            NotDirectory: the parent is a file (409).
            NoAccess: denied, or the I/O is read-only (403).
            NoSpace: no room (507).
        """

    @abstractmethod
    def rmdir(self, path: str) -> None:
        """Remove an empty directory (BAS ``io:rmdir``).

        Args:
            path: the directory.

        Raises:
            NotEmpty: it holds something (409).
            NotFound: nothing is there (404).
            NotDirectory: a file is there (409).
            NoAccess: denied, the root, or the I/O is read-only (403).
        """

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file; of a symbolic link the link, never its target (BAS ``io:remove``).

        Args:
            path: the file.

        Raises:
            NotFound: nothing is there (404).
            IsDirectory: a directory is there, which `rmdir` removes (405).
            NotDirectory: something on the way is a file (404).
            NoAccess: denied, or the I/O is read-only (403).
        """

    @abstractmethod
    def rename(self, old: str, new: str) -> None:
        """Move a file or directory in one step: others see it at one place or the other (BAS ``io:rename``).

        Args:
            old: what to move.
            new: where to; a file replaces a file, a directory an empty directory.

        Raises:
            NotFound: nothing to move (404), or the parent of `new` is missing (409).
            IsDirectory: a file cannot replace a directory (409).
            NotDirectory: a directory cannot replace a file (409), or something on the way is a file (409).
            NotEmpty: the directory at `new` holds something (409).
            InvalidName: a directory cannot move into itself (400).
            NoAccess: denied, the root, or the I/O is read-only (403).
            NoSpace: no room for the new name (507).
        """

    @abstractmethod
    def sub(self, path: str) -> Io:
        """Make an I/O of the same type that has one of this one's directories as its root (BAS ``ba.mkio``).

        Args:
            path: the directory.

        Returns:
            An I/O that can do what this one can, below that directory.

        Raises:
            NotFound: nothing is there (404).
            NotDirectory: a file is there (404).
            NoAccess: denied (403).
        """

    @abstractmethod
    def resource_type(self) -> tuple[str, str]:
        """Return the kind of storage, such as "disk", and the platform, such as "linux" (BAS ``io:resourcetype``)."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """Whether anything can be changed through this I/O; if not, all that would is `NoAccess` (403)."""

    @overload
    def files(self, path: str = "", details: Literal[False] = False) -> Iterator[str]: ...
    @overload
    def files(self, path: str, details: Literal[True]) -> Iterator[Stat]: ...
    def files(self, path: str = "", details: bool = False) -> Iterator[str] | Iterator[Stat]:
        """Iterate over a directory (BAS ``io:files``); raises at once, not at the first step.

        Args:
            path: the directory.
            details: descriptions instead of names.

        Returns:
            What `names` or `stats` lists, sorted by name; both say what they raise.
        """
        return iter(self.stats(path)) if details else iter(self.names(path))

    def real_path(self, path: str) -> str | None:
        """Return the path of the operating system, or None where there is none (BAS ``io:realpath``).

        Args:
            path: a file or directory, which need not exist.

        Raises:
            NotFound: it leads out of the root (404).
        """
        return None

    def fingerprint(self, path: str) -> tuple[int, ...] | None:
        """Return numbers that are other ones after any change of a file, so that its content may be remembered.

        Args:
            path: of a file.

        Returns:
            The numbers; None when there is no such file, or the I/O cannot tell.

        Raises:
            InvalidName: the path can name nothing here.
        """
        return None

    def encrypted(self, path: str) -> bool:
        """Say whether a file is stored encrypted (BAS ``io:encrypted``).

        Args:
            path: the file.

        Raises:
            NotFound: nothing is there (404).
        """
        self.stat(path)
        return False

    def hide(self, path: str, on: bool = True) -> bool:
        """Set or clear the hidden attribute of a file system that has one (BAS ``io:hide``).

        Args:
            path: the file or directory.
            on: whether to hide it.

        Returns:
            Whether that was possible.
        """
        return False

    def file_name(self, path: str) -> str:
        """The name by which tracebacks and messages call a file: its real path, or one that says which I/O it is in.

        Args:
            path: the file.
        """
        return self.real_path(path) or f"<{self.resource_type()[0]} {id(self):x}>/{path}"

    def load_file(self, path: str, env: dict[str, Any] | None = None) -> Callable[[], dict[str, Any]]:
        """Compile a file of Python; tracebacks name it and show its lines (BAS ``io:loadfile``).

        Args:
            path: the file.
            env: the globals it runs with; None for new ones each time it is run.

        Returns:
            A function that runs the file and returns its globals.

        Raises:
            NotFound: nothing is there (404).
            SyntaxError: it is not Python; names file and line.
        """
        with self.open(path) as handle:
            source = handle.read()
        file_name = self.file_name(path)
        if file_name != self.real_path(path):
            _show_lines(file_name, source)
        # dont_inherit: the __future__ imports of this module are not the file's.
        try:
            code = compile(source, file_name, "exec", dont_inherit=True)
        except SyntaxError as error:
            if error.filename is None:  # of what cannot even be read as text, Python names no place
                error.filename, error.lineno = file_name, 1
            raise

        def run() -> dict[str, Any]:
            scope = {} if env is None else env
            scope.setdefault("__name__", path)
            scope.setdefault("__file__", file_name)
            exec(code, scope)
            return scope

        return run

    def do_file(self, path: str, env: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a file of Python (BAS ``io:dofile``).

        Args:
            path: the file.
            env: the globals it runs with; None for new ones.

        Returns:
            Its globals afterwards.

        Raises:
            NotFound: nothing is there (404). Besides, whatever the file raises.
        """
        return self.load_file(path, env)()

    def close(self) -> None:
        """Give back what the I/O holds (BAS ``io:close``); an I/O that holds something redefines this.

        Raises:
            IncorrectUse: it holds nothing, and lives as long as the server.
        """
        kind = self.resource_type()[0]
        raise IncorrectUse(f"cannot close a static I/O, which this {kind} I/O is; it lives as long as the server")


def _show_lines(file_name: str, source: bytes) -> None:
    """Give tracebacks the lines of a file that the operating system cannot open."""
    lines = source.decode(errors="replace").splitlines(keepends=True)
    # Without a modification time linecache keeps the entry instead of looking for the file.
    linecache.cache[file_name] = (len(source), None, lines, file_name)
