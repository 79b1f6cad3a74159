"""What pydantic finds wrong with a section, in the words of the recipe."""

from typing import Annotated, Any, get_args, get_origin

from pydantic import Tag, ValidationError

from timbrespace.errors import suggestion
from timbrespace.recipe.section import Section


def faults(error: ValidationError, section: type[Section]) -> str:
    """All faults of a value that should be a `section`, as one sentence."""
    lines = []
    for fault in error.errors():
        key, known = _place(section, fault["loc"])
        if fault["type"] == "extra_forbidden":
            hint = suggestion(str(fault["loc"][-1]), known, f"known here: {', '.join(known)}")
            lines.append(f"{key} is no setting; {hint}")
        elif fault["type"] == "missing":
            lines.append(f"{key} is missing")
        elif fault["type"] == "union_tag_invalid":
            about = fault.get("ctx", {})
            tags, tag = about["expected_tags"].replace("'", ""), about["tag"]
            lines.append(f"{key}.kind should be one of {tags}, got {tag!r:.80}")
        else:
            message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
            lines.append(f"{key or 'recipe'}: {message}, got {fault['input']!r:.80}")
    return "; ".join(lines)


def _place(section: Any, path: tuple[Any, ...]) -> tuple[str, list[str]]:
    """A fault's key as the recipe writes it, and the settings that its section has.

    Inside a union pydantic names the member between the keys; that is no key of the recipe.
    """
    keys: list[str] = []
    known: list[str] = []
    for key in path:
        members = {tag.tag: member for member, tag in _members(section)}
        if members:
            section = members.get(key)
            continue
        if get_origin(section) is dict:  # names of the user's own
            keys.append(str(key))
            section = get_args(section)[1]
            continue
        keys.append(str(key))
        fields = getattr(section, "model_fields", {})
        known = list(fields)
        section = fields[key].annotation if key in fields else None
        if key in fields and fields[key].metadata and not hasattr(section, "model_fields"):
            section = Annotated[section, *fields[key].metadata]
    return ".".join(keys), known


def _members(section: Any) -> list[tuple[Any, Tag]]:
    """The tagged members of a union of sections; none for anything else."""
    members = []
    for member in get_args(get_args(section)[0]) if get_args(section) else ():
        tags = [extra for extra in get_args(member)[1:] if isinstance(extra, Tag)]
        members += [(get_args(member)[0], tag) for tag in tags]
    return members
