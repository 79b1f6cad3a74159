"""LV2 plug-ins of this machine: which there are, and their ports, as their Turtle files say it.

LV2 specification 1.18 (lv2plug.in): core, port-props, units. Nothing of a plug-in runs here.
"""

import functools
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from timbrespace.effects.hosts.plugin import Described, PluginEffect
from timbrespace.effects.hosts.turtle import RDF, Graph, Node, Unreadable, Value, parse
from timbrespace.effects.knobs import Curve, Knob
from timbrespace.errors import EffectError, suggestion

LV2 = "http://lv2plug.in/ns/lv2core#"
PROPS = "http://lv2plug.in/ns/ext/port-props#"
UNITS = "http://lv2plug.in/ns/extensions/units#"
DOAP = "http://usefulinc.com/ns/doap#"
SEE = Node("http://www.w3.org/2000/01/rdf-schema#seeAlso")
GIVEN = {LV2 + "inPlaceBroken", LV2 + "isLive", LV2 + "hardRTCapable"}  # features that cost nothing
UNIT_WORDS = {
    "db": "dB", "hz": "Hz", "khz": "kHz", "mhz": "MHz", "ms": "ms", "s": "s", "min": "min", "pc": "%",
    "cent": "ct", "semitone12TET": "st", "oct": "oct", "degree": "°", "bpm": "bpm", "m": "m", "cm": "cm",
}  # fmt: skip
MEGABYTES = 4  # of one Turtle file; the longest seen has half of one


@dataclass(frozen=True)
class Port:
    """One port of a plug-in: where its value goes and, of a control that comes in, its range.

    `whole`: the plug-in wants an integer. `of_rate`: it wants the value times the sample rate.
    """

    index: int
    symbol: str
    kind: str  # "control", "audio" or "other"
    is_input: bool
    low: float = 0.0
    high: float = 1.0
    default: float = 0.0
    unit: str = ""
    curve: Curve = "linear"
    whole: bool = False
    of_rate: bool = False
    latency: bool = False
    optional: bool = False
    turned: bool = (
        True  # by the user: false for "enabled" and the like, which stay at their default
    )


@dataclass(frozen=True)
class Description:
    """What a plug-in says of itself; `unusable` says why this host cannot run it."""

    uri: str
    words: str
    library: Path
    bundle: Path
    ports: tuple[Port, ...]
    needs: tuple[str, ...]

    @property
    def unusable(self) -> str | None:
        if self.needs:
            return f"it needs what this host does not have: {', '.join(self.needs)}"
        for port in self.ports:
            if port.kind == "other" and not port.optional:
                return f"its port {port.symbol} carries neither sound nor a number"
        if not self.audio(is_input=True) or not self.audio(is_input=False):
            return "it does not take sound in and give sound out"
        return None

    def audio(self, *, is_input: bool) -> list[Port]:
        return [p for p in self.ports if p.kind == "audio" and p.is_input == is_input]

    def knobs(self) -> tuple[Knob, ...]:
        return tuple(
            Knob(p.symbol, p.unit, p.low, p.high, p.default, p.curve)
            for p in self.ports
            if p.kind == "control" and p.is_input and p.turned
        )


class Lv2(PluginEffect):
    host = "lv2"
    module = "timbrespace.effects.hosts.lv2_run"


def find(name: str) -> Lv2:
    """The plug-in whose URI ends in `name`, such as Delay or mda/Delay; EffectError where there is none,
    where there are several, and where it cannot be run here."""
    known = plugins()
    uris = [
        uri for uri in known if uri == name or _parts(uri)[-len(_parts(name)) :] == _parts(name)
    ]
    if not uris:
        near = suggestion(name, names(known).values(), "timbrespace effects list shows those found")
        raise EffectError(
            f"there is no LV2 plug-in {name!r} in {', '.join(map(str, folders()))}; {near}; on Debian, "
            "apt install mda-lv2 brings some; LV2_PATH may name more folders"
        )
    if len(uris) > 1 and name not in uris:
        called = names(known)
        raise EffectError(
            f"{name!r} is the name of {len(uris)} LV2 plug-ins; say which: "
            + ", ".join(f"lv2:{called[uri]}" for uri in uris)
        )
    uri = uris[0]
    try:
        plugin = describe(known[uri], uri)
        knobs = plugin.knobs()
    except (Unreadable, OSError, ValueError) as error:
        raise EffectError(f"what lv2:{name} says of itself cannot be read: {error}") from None
    if plugin.unusable:
        raise EffectError(f"lv2:{name} cannot be used: {plugin.unusable}")
    return Lv2(f"lv2:{name}", plugin.words, knobs, f"{known[uri]}\n{uri}")


def described() -> list[Described]:
    """Every plug-in that can be used here."""
    known = plugins()
    found: list[Described] = []
    for uri, name in names(known).items():
        try:
            plugin = describe(known[uri], uri)
            one = Described(f"lv2:{name}", plugin.words, plugin.knobs())
        except (Unreadable, OSError, ValueError):
            continue
        if not plugin.unusable:
            found.append(one)
    return sorted(found, key=lambda one: one.name)


def state() -> str:
    """How many there are, in words."""
    return f"{len(described())} in {', '.join(map(str, folders()))}; LV2_PATH may name more folders"


def folders() -> list[Path]:
    """Where LV2 bundles are looked for: LV2_PATH, then the system's usual folders."""
    home = Path.home()
    if sys.platform == "darwin":
        usual = [home / "Library/Audio/Plug-Ins/LV2", Path("/Library/Audio/Plug-Ins/LV2")]
    else:
        usual = [
            home / ".lv2",
            *(Path(p) / "lv2" for p in ("/usr/local/lib", "/usr/lib", "/usr/lib64")),
        ]
    named = [Path(p) for p in os.environ.get("LV2_PATH", "").split(os.pathsep) if p]
    return [*named, *(folder for folder in usual if folder not in named)]


def plugins() -> dict[str, Path]:
    """The bundle of each plug-in by its URI: of several, the one that is found first."""
    found: dict[str, Path] = {}
    for folder in folders():
        try:
            manifests = sorted(folder.glob("*/manifest.ttl"))
        except OSError:
            continue
        for manifest in manifests:
            try:
                graph = _read(manifest)
            except (Unreadable, OSError, ValueError):
                continue
            for subject, about in graph.items():
                if Node(LV2 + "Plugin") in about.get(Node(RDF + "type"), []):
                    found.setdefault(str(subject), manifest.parent)
    return found


def names(uris: dict[str, Path]) -> dict[str, str]:
    """The shortest end of each URI that is no other's end."""
    ends: dict[tuple[str, ...], int] = {}
    for uri in uris:
        parts = _parts(uri)
        for count in range(1, len(parts) + 1):
            end = tuple(parts[-count:])
            ends[end] = ends.get(end, 0) + 1
    return {uri: _shortest(_parts(uri), ends) or uri for uri in uris}


def _shortest(parts: list[str], ends: dict[tuple[str, ...], int]) -> str | None:
    for count in range(1, len(parts) + 1):
        if ends[tuple(parts[-count:])] == 1:
            return "/".join(parts[-count:])
    return None


def _parts(uri: str) -> list[str]:
    return [part for part in uri.replace("#", "/").replace(":", "/").split("/") if part]


def describe(bundle: Path, uri: str) -> Description:
    """What the bundle says of the plug-in with this URI."""
    graph = _read(bundle / "manifest.ttl")
    about = {k: list(v) for k, v in graph[Node(uri)].items()}
    for value in about.get(SEE, []):
        path = _path(value)
        if path is None or path.suffix != ".ttl":
            continue
        part = _read(path)
        graph = {**graph, **{s: p for s, p in part.items() if s != uri}}
        for predicate, objects in part.get(Node(uri), {}).items():
            about.setdefault(predicate, []).extend(objects)
    library = _path(_one(about, LV2 + "binary"))
    if library is None:
        raise Unreadable(f"{bundle / 'manifest.ttl'} names no library of {uri}")
    ports = [
        _port(graph, graph[node])
        for node in about.get(Node(LV2 + "port"), [])
        if isinstance(node, Node) and node in graph
    ]
    needs = [str(feature) for feature in about.get(Node(LV2 + "requiredFeature"), [])]
    return Description(
        uri, str(_one(about, DOAP + "name") or uri), library, bundle,
        tuple(sorted(ports, key=lambda port: port.index)),
        tuple(need for need in needs if need not in GIVEN),
    )  # fmt: skip


def _port(graph: Graph, about: dict[Node, list[Value]]) -> Port:
    kinds = {str(kind) for kind in about.get(Node(RDF + "type"), [])}
    traits = {str(trait) for trait in about.get(Node(LV2 + "portProperty"), [])}
    is_toggle = LV2 + "toggled" in traits
    low = 0.0 if is_toggle else _number(about, "minimum", 0.0)
    high = 1.0 if is_toggle else _number(about, "maximum", 1.0)
    default = _number(about, "default", low)
    purpose = str(_one(about, LV2 + "designation"))
    is_control = LV2 + "ControlPort" in kinds
    is_log = PROPS + "logarithmic" in traits and low > 0.0
    of_rate = LV2 + "sampleRate" in traits
    return Port(
        index=int(_number(about, "index", -1.0)),
        symbol=str(_one(about, LV2 + "symbol")),
        kind="control" if is_control else "audio" if LV2 + "AudioPort" in kinds else "other",
        is_input=LV2 + "InputPort" in kinds,
        low=low,
        high=high,
        default=min(max(default, low), high) if low < high else default,
        unit="of the sample rate" if of_rate else _unit(graph, about),
        curve="log" if is_log else "linear",
        whole=bool({LV2 + "integer", LV2 + "toggled", LV2 + "enumeration"} & traits),
        of_rate=of_rate,
        latency=LV2 + "reportsLatency" in traits or purpose == LV2 + "latency",
        optional=LV2 + "connectionOptional" in traits,
        turned=low < high and purpose not in (LV2 + "enabled", LV2 + "freeWheeling"),
    )


def _unit(graph: Graph, about: dict[Node, list[Value]]) -> str:
    """In words: of the port's units:unit, else of a name that ends in one, such as "Time (ms)"."""
    unit = _one(about, UNITS + "unit")
    if isinstance(unit, Node):
        if unit in graph:
            return str(_one(graph[unit], UNITS + "symbol") or "")
        return UNIT_WORDS.get(unit.removeprefix(UNITS), "")
    name = str(_one(about, LV2 + "name") or "")
    said = name.rpartition("(")[2].removesuffix(")") if name.endswith(")") else ""
    return said if said in UNIT_WORDS.values() else ""


def _number(about: dict[Node, list[Value]], name: str, otherwise: float) -> float:
    value = _one(about, LV2 + name)
    number = otherwise if value is None else float(value)
    return number if math.isfinite(number) else otherwise


def _one(about: dict[Node, list[Value]], predicate: str) -> Value | None:
    return next(iter(about.get(Node(predicate), [])), None)


def _path(value: Value | None) -> Path | None:
    """The local file that an IRI names."""
    parts = urlsplit(value) if isinstance(value, Node) else None
    return Path(unquote(parts.path)) if parts and parts.scheme == "file" else None


def _read(path: Path) -> Graph:
    facts = path.stat()
    return _parsed(path, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=1024)
def _parsed(path: Path, changed: int, size: int) -> Graph:
    if size > MEGABYTES * 1_000_000:
        raise Unreadable(f"{path} has {size / 1e6:.0f} MB; at most {MEGABYTES} were expected")
    try:
        return parse(path.read_text(encoding="utf-8"), path.resolve().as_uri())
    except Unreadable as error:
        raise Unreadable(f"{path}: {error}") from None
