"""Let rattler-build read the recipe for conda-forge and fill it in: ``python tools/check_recipe.py``.

Unknown fields, wrong types and expressions that cannot be filled in are refused. Nothing is solved or built:
that takes the packages of conda-forge.
"""

from __future__ import annotations

from pathlib import Path

from rattler_build import Stage0Recipe, VariantConfig

RECIPE = Path(__file__).resolve().parents[1] / "packaging" / "conda-forge" / "recipe.yaml"


def main() -> None:
    """Read and fill in the recipe; an error ends with what is wrong."""
    recipe = Stage0Recipe.from_yaml(RECIPE.read_text(encoding="utf-8"))
    (variant,) = recipe.render(VariantConfig())
    rendered = variant.recipe.to_dict()
    package, run = rendered["package"], rendered["requirements"]["run"]
    print(f"recipe of {package['name']} {package['version']}: read and filled in, {len(run)} packages needed")


if __name__ == "__main__":
    main()
