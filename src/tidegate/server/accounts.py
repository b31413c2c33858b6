"""Users and groups by name, and becoming one: privileges are for opening ports, not for serving."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from .config import Config

__all__ = ["become", "gid_of", "make_folder", "relays_of", "uid_of"]


def uid_of(name: str) -> int:
    """Return the number of a user.  Raises ``ConfigError`` if there is none."""
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigError(f"there is no user {name!r}") from None


def gid_of(name: str) -> int:
    """Return the number of a group.  Raises ``ConfigError`` if there is none."""
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(f"there is no group {name!r}") from None


def become(config: Config) -> None:
    """Become who the configuration says, for good.  Raises ``ConfigError`` if that fails."""
    if config.umask is not None:
        os.umask(int(config.umask, 8))
    if config.user is None and config.group is None:
        return
    try:
        uid, gid = _who(config)
        entry = pwd.getpwuid(uid)
        if os.getuid() == 0:
            os.initgroups(entry.pw_name, gid)
        # The group first: who is not root any more may not change it.
        os.setgid(gid)
        os.setuid(uid)
        os.environ["HOME"] = entry.pw_dir
    except (OSError, KeyError) as error:
        raise ConfigError(f"cannot become user {config.user or os.getuid()!r}: {error}") from None


def _who(config: Config) -> tuple[int, int]:
    uid = os.getuid() if config.user is None else uid_of(config.user)
    if config.group is not None:
        return uid, gid_of(config.group)
    return uid, pwd.getpwuid(uid).pw_gid


def relays_of(folder: Path) -> Path:
    """Return where workers find each other, in the folder of their supervisor."""
    return folder / "relays"


def make_folder(config: Config, folder: Path) -> None:
    """Make that place, for nobody but the workers.  Raises ``OSError`` or ``ConfigError``."""
    folder.chmod(0o711)
    made = relays_of(folder)
    made.mkdir(mode=0o700)
    if config.user is not None or config.group is not None:
        os.chown(made, *_who(config))
