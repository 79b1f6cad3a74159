"""Reading recipes: what is shipped, what a parent adds, and settings laid over a recipe."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from timbrespace.errors import RecipeError, suggestion
from timbrespace.recipe.faults import faults
from timbrespace.recipe.recipe import ModelSection, Recipe, check
from timbrespace.recipe.strict_yaml import load_yaml

FOLDER = Path(__file__).parent.parent / "recipes"
ABLATIONS = FOLDER / "ablations"
DEFAULT_KINDS = {
    part: field.default.kind
    for section in (Recipe, ModelSection)
    for part, field in section.model_fields.items()
    if hasattr(field.default, "kind")
}


def shipped(*, ablations: bool = False) -> list[str]:
    """Names of the recipes that come with the package; with `ablations` also those that change one
    thing of another to see what it does."""
    folders = [FOLDER, ABLATIONS] if ablations else [FOLDER]
    return [path.stem for folder in folders for path in sorted(folder.glob("*.yaml"))]


def _shipped_text(name: str) -> str:
    if name not in shipped(ablations=True):
        there_are = f"there are: {', '.join(shipped())}"
        hint = suggestion(name, shipped(ablations=True), there_are, cutoff=0.4)
        raise RecipeError(f"there is no recipe {name!r}; {hint}")
    path = FOLDER / f"{name}.yaml"
    return (path if path.is_file() else ABLATIONS / path.name).read_text(encoding="utf-8")


def load(name_or_file: str | Path, *, settings: tuple[str, ...] = ()) -> Recipe:
    """A recipe by shipped name or by YAML file."""
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml"}:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise RecipeError(f"{path} cannot be read as a recipe: {reason}") from None
        return parse(text, where=str(path), settings=settings)
    text = _shipped_text(str(name_or_file))
    return parse(text, where=f"recipe {name_or_file}", settings=settings)


def _merge(base: dict[str, Any], change: dict[str, Any], part: str = "") -> dict[str, Any]:
    """`change` laid over `base`. A part of another kind has other settings: it starts afresh."""
    default = DEFAULT_KINDS.get(part)
    if change.get("kind", base.get("kind", default)) != base.get("kind", default):
        return dict(change)
    merged = dict(base)
    if isinstance(change.get("labels"), dict) and isinstance(base.get("labels"), list):
        merged["labels"] = {name: {} for name in base["labels"]}  # the long form of the same
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value, key) if both else value
    return merged


def _drop_rival(settings: dict[str, Any], change: dict[str, Any]) -> None:
    """A child that asks for a rate drops its parent's beta, and the other way round."""
    asked = change.get("objective")
    if isinstance(asked, dict) and isinstance(settings.get("objective"), dict):
        for mine, rival in (("beta", "bits_per_sound"), ("bits_per_sound", "beta")):
            if asked.get(mine) is not None and rival not in asked:
                settings["objective"].pop(rival, None)


def parse(text: str, *, where: str = "recipe", settings: tuple[str, ...] = ()) -> Recipe:
    """A Recipe from YAML text, with `section.key=value` settings laid over it.

    RecipeError names every fault: unknown keys with a suggestion, values out of range, parts that
    do not fit together.
    """
    loaded = load_yaml(text, where)
    if not isinstance(loaded, dict):
        raise RecipeError(f"{where} should hold named sections, got {type(loaded).__name__}")
    parent = loaded.pop("parent", None)
    if parent is not None:
        base = load_yaml(_shipped_text(str(parent)), f"recipe {parent}")
        if "parent" in base:
            raise RecipeError(f"{where}: parent {parent} has a parent itself; one level is allowed")
        _drop_rival(base, loaded)
        loaded = _merge(base, loaded)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise RecipeError(f"--set {setting!r} should look like section.key=value")
        change: Any = load_yaml(value, f"--set {key}")
        for part in reversed(key.strip().split(".")):
            change = {part: change}
        _drop_rival(loaded, change)
        loaded = _merge(loaded, change)
    try:
        recipe = Recipe.model_validate(loaded)
    except ValidationError as error:
        raise RecipeError(f"{where}: {faults(error, Recipe)}") from None
    check(recipe)
    return recipe.with_usual_weights()
