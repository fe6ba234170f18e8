"""Print the oldest versions that pyproject.toml allows, as constraints for pip.

python tools/oldest.py > oldest.txt
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

EXTRAS = ("all", "simulation", "distributed", "openvino")


def main() -> None:
    """Print one line per package."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    oldest = {}
    for line in wanted:
        found = re.match(r"([\w-]+)(?:\[[^]]*])?>=([\w.]+)", line)
        if found is None:
            raise ValueError(f"{line}: states no oldest version")
        oldest[found[1]] = found[2]
    print("\n".join(f"{name}=={version}" for name, version in sorted(oldest.items())))


if __name__ == "__main__":
    main()
