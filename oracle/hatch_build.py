"""Where each file goes in the wheel: the pytest plugin on top, the package's in `oracle/`."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLUGIN = "pytest_gpt2.py"
KEPT = (".py", ".md", ".jinja", ".typed")
ABOUT_THE_DISTRIBUTION = (PLUGIN, "README.md", "hatch_build.py")


class Layout(BuildHookInterface[Any]):
    """This folder is both the root of the distribution and the package `oracle`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say where each file goes; of an editable wheel the package is not a part."""
        root = Path(self.root)
        build_data["force_include"][str(root / PLUGIN)] = PLUGIN
        if version == "editable":
            return
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix in KEPT and name not in ABOUT_THE_DISTRIBUTION:
                build_data["force_include"][str(path)] = f"oracle/{name}"
