"""Effects of other makers, found when they are asked for; none is needed and none is shipped."""

from types import ModuleType

from timbrespace.effects.effect import Effect
from timbrespace.effects.hosts import lv2, pedalboard, vst3
from timbrespace.effects.hosts.plugin import Described
from timbrespace.errors import EffectError, suggestion

HOSTS: dict[str, ModuleType] = {"pedalboard": pedalboard, "vst3": vst3, "lv2": lv2}


def find(name: str) -> Effect:
    """The effect of a host, such as `lv2:Delay`, `pedalboard:Chorus` or `vst3:/a/path.vst3`."""
    host, _, plugin = name.partition(":")
    if not is_plugin(name):
        hint = suggestion(host, HOSTS, f"hosts are {', '.join(HOSTS)}")
        raise EffectError(f"{name!r} names no plug-in, which is HOST:NAME; {hint}")
    return HOSTS[host].find(plugin)


def is_plugin(name: str) -> bool:
    """Whether this is HOST:NAME of a host that is known, be there such a plug-in or not."""
    host, _, plugin = name.partition(":")
    return host in HOSTS and bool(plugin)


def described() -> list[Described]:
    """Every plug-in that was found; none is loaded."""
    return [one for host in HOSTS.values() for one in host.described()]


def listed() -> list[tuple[str, str]]:
    """Name and words of every plug-in that was found."""
    return [(one.name, one.words) for one in described()]


def state() -> dict[str, str]:
    """What is there of each host, in words."""
    return {name: host.state() for name, host in HOSTS.items()}
