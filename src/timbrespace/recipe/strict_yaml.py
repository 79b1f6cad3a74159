"""YAML without its traps: no duplicate keys, no anchors, and 1e-3 is a number."""

import re
from typing import Any

import yaml

from timbrespace.errors import RecipeError


class _Loader(yaml.SafeLoader):
    """safe_load that refuses duplicate keys and reads 1e-3 as a number (YAML 1.1 does not)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for key in keys:
            if keys.count(key) > 1:
                raise RecipeError(f"line {node.start_mark.line + 1}: {key!r} is given twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def load_yaml(text: str, where: str) -> Any:
    """What a text says; `where` names it in a RecipeError."""
    if len(text) > 200_000:
        raise RecipeError(f"{where} has {len(text)} characters; a recipe has at most 200000")
    if re.search(r"^\s*[^#\n'\"]*[:\-]\s+[&*]\w", text, re.M):
        raise RecipeError(f"{where} uses YAML anchors or aliases; write the values out")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        first = " ".join(str(error).split())
        raise RecipeError(f"{where} is not valid YAML: {first}") from None
    except RecursionError:
        raise RecipeError(f"{where} is nested too deeply for a recipe") from None
