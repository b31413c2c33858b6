"""Which modules are also compiled, and how (docs/explanation/performance.md).

The ``.py`` files are the program; a ``.pxd`` file beside one gives it types.
``TIDEGATE_PURE=1`` builds nothing.  Without a C compiler, or where the build fails,
the interpreted files serve as well; with ``TIDEGATE_REQUIRE_COMPILED=1`` that is an
error.  An editable install is never compiled: what is edited is what runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

try:
    from Cython.Build import cythonize
except ImportError:  # not from a build environment of pip's
    cythonize = None

SOURCE = Path("src")

# Checks stay on: these modules read what comes from the network.
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,
    "boundscheck": True,
    "nonecheck": True,
    "wraparound": True,
    "binding": True,
}


def wanted(variable: str) -> bool:
    return os.environ.get(variable, "0") not in ("", "0")


def listed_modules() -> tuple[str, ...]:
    """Return ``COMPILED_MODULES``, without importing Tidegate."""
    names: dict[str, Any] = {"__name__": "tidegate._pure"}
    exec((SOURCE / "tidegate/_pure.py").read_text(), names)  # the file is ours
    modules: tuple[str, ...] = names["COMPILED_MODULES"]
    return modules


def extensions() -> list[Extension]:
    """Return one extension for each listed module, translated to C when it is built."""
    made = []
    # For the sanitizers, say: "-g -fsanitize=address".
    flags = os.environ.get("TIDEGATE_CFLAGS", "-O2").split()
    for name in listed_modules():
        source = SOURCE.joinpath(*name.split(".")).with_suffix(".py")
        depends = [str(source.with_suffix(".pxd"))]
        made.append(
            Extension(
                name,
                [str(source)],
                depends=depends,
                extra_compile_args=flags,
                extra_link_args=[flag for flag in flags if flag.startswith("-fsanitize")],
            )
        )
    return made


class Build(build_ext):
    """Builds all extensions or, where that cannot be, none, and says so."""

    def build_extensions(self) -> None:
        required = wanted("TIDEGATE_REQUIRE_COMPILED")
        if self.editable_mode and not required:
            self.say("an editable install is interpreted; `make fast` builds a compiled one")
            self.extensions = []
            return
        try:
            if cythonize is None:
                raise RuntimeError("Cython is not installed")
            self.extensions = cythonize(
                self.extensions,
                build_dir=self.build_temp,
                compiler_directives=DIRECTIVES,
                include_path=[str(SOURCE)],
                nthreads=os.cpu_count() or 1,
                quiet=True,
            )
            for one in self.extensions:
                one._needs_stub = False
            self.parallel = self.parallel or os.cpu_count()
            super().build_extensions()
        except Exception as error:
            if required:
                raise
            self.say(f"the compiled modules could not be built: {error}")
            self.say("Tidegate is installed all the same, and runs interpreted, more slowly")
            self.forget()

    def forget(self) -> None:
        """Half of them would be neither one speed nor the other."""
        for one in self.extensions:
            Path(self.get_ext_fullpath(one.name)).unlink(missing_ok=True)
        self.extensions = []

    def say(self, text: str) -> None:
        print(f"tidegate: {text}", file=sys.stderr)


setup(
    ext_modules=[] if wanted("TIDEGATE_PURE") else extensions(),
    cmdclass={"build_ext": Build},
)
