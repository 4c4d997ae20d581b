"""The mutants, and a copy of the project in which all of them are built."""

import collections, hashlib, json, os, pathlib, re, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OUT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "mutants"
FEATURES = "--features=testing,timeline,tracing"
HOOK = pathlib.Path(__file__).with_name("mutant.rs")


def load(name, default):
    path = OUT / name
    return json.loads(path.read_text()) if path.is_file() else default


def save(name, value):
    (OUT / name).write_text(json.dumps(value))


class Stage:
    """What mutants are tried with: a copy of the tree, how it is built, and which tests are in it."""
    def __init__(self, name, targets):
        self.name, self.targets, self.tree = name, targets, OUT / name

    def cargo(self, command, *arguments, check=True):
        """Runs cargo, and returns the messages of the compiler."""
        environment = dict(os.environ, CARGO_TARGET_DIR=str(OUT / f"build-{self.name}"), CARGO_PROFILE_DEV_DEBUG="0",
                           # `const_eval_select`, by which a constant function can look at a variable.
                           RUSTC_BOOTSTRAP="stoppable", RUSTFLAGS="--cap-lints=allow")
        done = subprocess.run(["cargo", command, *arguments, FEATURES, "--message-format=json"],
                              cwd=self.tree, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if check and done.returncode:
            sys.exit(done.stderr + "".join(it["message"]["rendered"] for it in errors(messages)))
        return messages

    def build_tests(self, check=True):
        return self.cargo("test", "--no-run", *self.targets, check=check)


TESTS = Stage("tests", ["--lib", "--test=*"])
# One at a time, and so not with all of them; first with those that are soon built.
APART = [Stage("apart", ["--lib"]), Stage("apart", ["--test=it"])]


def errors(messages):
    return [it for it in messages if it["reason"] == "compiler-message" and it["message"]["level"] == "error"]


class Function:
    def __init__(self, number, file, start, open, close, head):
        self.number, self.file, self.start, self.open, self.close = number, file, start, open, close
        self.is_const = re.search(r"\bconst\s+(unsafe\s+)?fn\b", head)
        # Bodies of different types, each hidden behind the same `impl`.
        self.is_apart = re.search(r"->[^{]*\bimpl\b", head)
        self.mutants = []


class Source:
    """A file, with the places in it that a line and a column mean."""
    TOKENS = re.compile(r"""//[^\n]*|/\*.*?\*/
        |\bb?r(\#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\(?:u\{\w+\}|x..|.)|[^'\\])'|[{}]""",
                        re.DOTALL | re.VERBOSE)

    def __init__(self, path):
        self.text = (ROOT / path).read_text()
        self.lines = [0]
        for line in self.text.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        opened, self.braces = [], {}
        for token in self.TOKENS.finditer(self.text):
            if token[0] == "{":
                opened.append(token.start())
            elif token[0] == "}":
                self.braces[token.start()] = opened.pop()

    def place(self, place):
        return self.lines[place["line"] - 1] + place["column"] - 1


def list_mutants():
    """All mutants, the functions that they are in, and the files."""
    listed = subprocess.run(["cargo", "mutants", "--list", "--json"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    mutants, functions, sources = json.loads(listed.stdout), {}, {}
    for number, mutant in enumerate(mutants, 1):
        file = mutant["file"]
        source = sources.get(file) or sources.setdefault(file, Source(file))
        mutant["number"], mutant["function_of"] = number, None
        mutant["start"], mutant["end"] = (source.place(mutant["span"][it]) for it in ("start", "end"))
        if mutant["function"]:
            span = mutant["function"]["span"]
            start, close = source.place(span["start"]), source.place(span["end"]) - 1
            if (file, start) not in functions:
                open = source.braces[close]
                functions[file, start] = Function(len(functions), file, start, open, close, source.text[start:open])
            functions[file, start].mutants.append(mutant)
            mutant["function_of"] = functions[file, start]
    assert len({it["name"] for it in mutants}) == len(mutants)
    known = collections.Counter()
    for mutant in mutants:
        key = key_of(mutant, sources[mutant["file"]])
        # Functions may be twins, of which one is left out by `cfg`.
        known[key] += 1
        mutant["key"] = f"{key} #{known[key]}"
    return mutants, list(functions.values()), sources


def key_of(mutant, source):
    """By what a mutant is known when other code has changed: what is changed, and the text of the function, or of the line,
    that it is in."""
    function = mutant["function_of"]
    start = function.start if function else source.lines[mutant["span"]["start"]["line"] - 1]
    end = function.close if function else source.text.index("\n", mutant["end"])
    text = hashlib.sha256(source.text[start:end].encode()).hexdigest()[:16]
    what = mutant["name"].split(": ", 1)[1]
    return f"{mutant['file']} {text} {mutant['start'] - start}: {what}"


def mutated(source, mutant, start=0, end=None):
    """The file, or a part of it, with a mutant."""
    text = source.text
    return text[start:mutant["start"]] + mutant["replacement"] + text[mutant["end"]:end]


def with_choices(source, functions, without, start, end):
    """A part of a file in which the bodies of functions are choices. Functions may have others inside."""
    text, at = "", start
    for function in functions:
        if function.start < at or function.close >= end:
            continue
        choices = [it for it in function.mutants if it["key"] not in without]
        if function.is_apart or not choices:
            continue
        inside = function.open + 1
        text += source.text[at:inside] + f" match crate::mutant::active({function.number}) {{\n"
        for mutant in choices:
            body = mutated(source, mutant, inside, function.close)
            text += f"{mutant['number']} => {{ // mutant {mutant['number']}\n{body}\n}}\n"
        inner = [it for it in functions if it.start > function.start]
        body = with_choices(source, inner, without, inside, function.close)
        text += f"_ => {{ // mutant 0\n{body}\n}} }}\n"
        at = function.close
    return text + source.text[at:end]


def copy_tree(to, but=()):
    """Makes a copy of what belongs to the project; these files only if they are not there."""
    files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    # As it was resolved here, if it was.
    files = {it for it in [*files, "Cargo.lock"] if (ROOT / it).is_file()}
    for path in [*to.rglob("*")]:
        if path.is_file() and str(path.relative_to(to)) not in files:
            path.unlink()
    for file in files:
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / file).read_bytes()
        # Cargo builds anew what is newer.
        if not (to / file).is_file() or file not in but and (to / file).read_bytes() != text:
            (to / file).write_bytes(text)


def write_choices(tree, functions, sources, without):
    """All mutants into the tree, and for each line of a file which mutant it belongs to."""
    lines = {}
    for file, source in sources.items():
        inside = sorted((it for it in functions if it.file == file), key=lambda it: it.start)
        text = with_choices(source, inside, without, 0, len(source.text))
        if (tree / file).read_text() != text:
            (tree / file).write_text(text)
        current = 0
        for number, line in enumerate(text.splitlines(), 1):
            if found := re.search(r"=> \{ // mutant (\d+)$", line):
                current = int(found[1])
            lines[file, number] = current
    return lines


def mutants_of(message, lines):
    """The mutants that an error of the compiler is about."""
    def spans(message):
        primary = [it for it in message["spans"] if it["is_primary"]]
        yield from primary
        yield from (it for it in message["spans"] if not it["is_primary"])
        for child in message["children"]:
            yield from spans(child)
    for span in spans(message):
        while span:
            if number := lines.get((span["file_name"], span["line_start"])):
                return number
            span = (span["expansion"] or {}).get("span")
    return None


def build(stage, mutants, functions, sources):
    """Builds the tree with all mutants that build, and says which do not, and where the tests are."""
    known, tree = "unbuildable.json", stage.tree
    without = set(load(known, []))
    copy_tree(tree, but=sources)
    hook = HOOK.read_text().replace("FUNCTIONS: usize = 0", f"FUNCTIONS: usize = {len(functions)}")
    (tree / "src/mutant.rs").write_text(hook)
    library = (ROOT / "src/lib.rs").read_text()
    (tree / "src/lib.rs").write_text("#![feature(core_intrinsics, const_eval_select)] " + library + "mod mutant;\n")
    while True:
        lines = write_choices(tree, functions, sources, without)
        wrong = errors(stage.cargo("check", "--lib", check=False))
        if not wrong:
            return without, binaries(stage.build_tests())
        found = {mutants_of(it["message"], lines) for it in wrong} - {None}
        if not found:
            sys.exit("".join(it["message"]["rendered"] for it in wrong))
        without |= {mutants[it - 1]["key"] for it in found}
        print(f"{len(found)} do not build", flush=True)
        save(known, sorted(without))


def binaries(messages):
    return {it["target"]["name"]: it["executable"] for it in messages
            if it["reason"] == "compiler-artifact" and it.get("executable")}
