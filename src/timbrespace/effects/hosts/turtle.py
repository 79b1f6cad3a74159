"""Turtle, the text in which LV2 plug-ins describe themselves (W3C, "RDF 1.1 Turtle", 2014)."""

import re
from urllib.parse import urljoin

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DEPTH = 50  # of nested nodes; real files have three


class Node(str):
    """An IRI, or a node without one ("_: 4"); a literal is a plain str, float or bool."""


Value = Node | str | float | bool
Graph = dict[Node, dict[Node, list[Value]]]  # subject, predicate, objects


class Unreadable(ValueError):
    """A text that is not Turtle; the sentence says at which line."""


TOKEN = re.compile(
    r"""(?:\s++|\#[^\n]*+)*+
    (?:(?P<name>(?:[^\W\d](?:[\w.\-]*[\w\-])?)?:(?:(?:[\w:%\-]|\\.)(?:(?:[\w.:%\-]|\\.)*(?:[\w:%\-]|\\.))?)?)
    | (?P<long>\"\"\"(?:[^"\\]|\\.|"(?!""))*+\"\"\"|'''(?:[^'\\]|\\.|'(?!''))*+''')
    | (?P<short>"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+')
    | (?P<number>[+-]?(?:\d+\.?\d*[eE][+-]?\d+|\.\d+[eE][+-]?\d+|\d*\.\d+|\d+))
    | (?P<mark>\^\^|[.;,\[\]()])
    | (?P<word>(?:a|true|false)\b)
    | <(?P<iri>[^<>"{}|^`\\\s]*+)>
    | (?P<directive>@prefix\b|@base\b|(?:PREFIX|BASE)(?=\s))
    | @(?P<language>[A-Za-z]+(?:-[A-Za-z0-9]+)*)
    | (?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
ESCAPES = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"}


def parse(text: str, base: str) -> Graph:
    """What a Turtle text says; relative IRIs are seen from `base`. Unreadable where it is not Turtle."""
    return _Reader(text, base).graph


class _Reader:
    def __init__(self, text: str, base: str) -> None:
        self.text, self.base = text, base
        self.prefixes: dict[str, str] = {}
        self.graph: Graph = {}
        self.nameless = 0
        self.depth = 0
        self.at = 0
        self.kind = self.token = ""
        self.advance()
        while self.kind != "end":
            self.statement()

    def advance(self) -> str:
        """To the next token; the text of the one before."""
        before = self.token
        found = TOKEN.match(self.text, self.at)
        if found is None:
            raise self.fault()
        self.at, self.kind = found.end(), found.lastgroup or ""
        self.token = found[self.kind]
        return before

    def fault(self) -> Unreadable:
        line = self.text.count("\n", 0, self.at) + 1
        return Unreadable(f"line {line} is not Turtle near {self.text[self.at : self.at + 20]!r}")

    def expect(self, kind: str, token: str | None = None) -> str:
        if self.kind != kind or token not in (None, self.token):
            raise self.fault()
        return self.advance()

    def is_mark(self, mark: str) -> bool:
        return self.kind == "mark" and self.token == mark

    def statement(self) -> None:
        if self.kind == "directive":
            word = self.advance()
            if word.lower().endswith("prefix"):
                prefix = self.expect("name")
                self.prefixes[prefix.removesuffix(":")] = urljoin(self.base, self.expect("iri"))
            else:
                self.base = urljoin(self.base, self.expect("iri"))
            if word.startswith("@"):
                self.expect("mark", ".")
            return
        nested = self.is_mark("[")
        subject = self.value()
        if not isinstance(subject, Node):
            raise self.fault()
        if not (nested and self.is_mark(".")):
            self.properties(subject)
        self.expect("mark", ".")

    def properties(self, subject: Node) -> None:
        """predicate object, object; predicate object ..."""
        while True:
            if self.kind == "word" and self.token == "a":
                self.advance()
                predicate = Node(RDF + "type")
            else:
                predicate = self.value()
            if not isinstance(predicate, Node):
                raise self.fault()
            objects = self.graph.setdefault(subject, {}).setdefault(predicate, [])
            objects.append(self.value())
            while self.is_mark(","):
                self.advance()
                objects.append(self.value())
            if not self.is_mark(";"):
                return
            while self.is_mark(";"):
                self.advance()
            if self.kind == "mark":  # a last semicolon before "]" or "."
                return

    def value(self) -> Value:
        kind, token = self.kind, self.token
        if kind in ("long", "short"):
            return self.literal()
        self.advance()
        if kind == "iri":
            return Node(urljoin(self.base, token))
        if kind == "name":
            prefix, _, local = token.partition(":")
            if prefix == "_":
                return Node(token)
            if prefix not in self.prefixes:
                raise self.fault()
            return Node(self.prefixes[prefix] + re.sub(r"\\(.)", r"\1", local))
        if kind == "number":
            return float(token)
        if kind == "word" and token != "a":
            return token == "true"
        if kind == "mark" and token in "[(":
            self.depth += 1
            if self.depth > DEPTH:
                raise self.fault()
            node = self.nested() if token == "[" else self.collection()
            self.depth -= 1
            return node
        raise self.fault()

    def new_node(self) -> Node:
        self.nameless += 1
        return Node(f"_: {self.nameless}")  # a space: no label of the text can be the same

    def nested(self) -> Node:
        node = self.new_node()
        if not self.is_mark("]"):
            self.properties(node)
        self.expect("mark", "]")
        return node

    def collection(self) -> Node:
        first = last = Node(RDF + "nil")
        while not self.is_mark(")"):
            node = self.new_node()
            if first == RDF + "nil":
                first = node
            else:
                self.graph[last][Node(RDF + "rest")] = [node]
            self.graph[node] = {Node(RDF + "first"): [self.value()]}
            last = node
        self.expect("mark", ")")
        if last != RDF + "nil":
            self.graph[last][Node(RDF + "rest")] = [Node(RDF + "nil")]
        return first

    def literal(self) -> Value:
        quotes = 3 if self.kind == "long" else 1
        text = ESCAPE.sub(_unescaped, self.advance()[quotes:-quotes])
        if self.kind == "language":
            self.advance()
        elif self.is_mark("^^"):
            self.advance()
            kind = str(self.value()).rpartition("#")[2]
            if kind in ("integer", "decimal", "double", "float", "int"):
                return float(text)
            if kind == "boolean":
                return text in ("true", "1")
        return text


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else ESCAPES.get(code, code)
