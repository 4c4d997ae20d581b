#!/usr/bin/env python3
"""Tries the mutants of the core with one build; `.ci/mutants` says how to call it.

cargo-mutants says which mutants there are. To build each of them takes a day, so all are built at once: in a copy of
the tree the body of each function becomes a choice between itself and its mutants,

    match crate::mutant::active(17) { 230 => { body with mutant 230 } 231 => { … } _ => { body } }

and an environment variable says which of them is active. Those that the compiler complains about are taken out again:
they do not build. The same hook notes which functions a test reaches, and a mutant is tried with those tests only that
reach its function.

What cannot be had like this is built one at a time: mutants of constants, those of a `const fn` that no test reaches
at run time, and those of a function that returns an `impl Trait`, whose bodies would be of different types.
"""

import argparse, collections, concurrent.futures, hashlib, json, os, pathlib, re, resource, selectors, shutil, signal
import subprocess, sys, threading, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "mutants"
# With a mutant for each function a `match`, and without.
TREE, APART = OUT / "tree", OUT / "apart"
FEATURES = "testing,timeline,tracing"
# Who waits longer hangs, in seconds: for a gate inside a test, and for the next test to end, beside what tests take.
GUARD, SILENCE = 5, 6
# A test that fails is asked again alone, so often, before it is believed.
CHANCES = 3

MUTANT_RS = """
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::{env, fs::File, io::Write, sync::OnceLock};

/// Nobody has looked at the environment yet; which functions are reached is noted.
const UNKNOWN: u32 = u32::MAX;
const NOTED: u32 = u32::MAX - 1;
static ACTIVE: AtomicU32 = AtomicU32::new(UNKNOWN);
static REACHED: [AtomicBool; FUNCTIONS] = [const { AtomicBool::new(false) }; FUNCTIONS];
static FILE: OnceLock<File> = OnceLock::new();

/// The mutant that is active, for this function to see whether it is one of its own. What is worked out at compile
/// time is as it was.
pub(crate) const fn active(function: u32) -> u32 {
    const fn none(_: u32) -> u32 { 0 }
    fn look(function: u32) -> u32 {
        let active = ACTIVE.load(Relaxed);
        if active < NOTED { active } else { look_closely(function) }
    }
    std::intrinsics::const_eval_select((function,), none, look)
}

#[cold]
fn look_closely(function: u32) -> u32 {
    if ACTIVE.load(Relaxed) == UNKNOWN {
        let active = if let Some(path) = env::var_os("STOPPABLE_REACHED") {
            FILE.get_or_init(|| File::options().append(true).create(true).open(path).unwrap());
            NOTED
        } else {
            env::var("STOPPABLE_MUTANT").map_or(0, |it| it.parse().unwrap())
        };
        ACTIVE.store(active, Relaxed);
    }
    let active = ACTIVE.load(Relaxed);
    if active < NOTED {
        return active;
    }
    if !REACHED[function as usize].swap(true, Relaxed) {
        // A line at a time: processes may share the file.
        let mut file = FILE.get().unwrap();
        file.write_all(&function.to_le_bytes()).unwrap();
    }
    0
}
"""


def cargo(*arguments, tree, env=(), check=True):
    """Runs cargo on a copy of the tree, and returns the messages of the compiler."""
    environment = dict(os.environ, CARGO_TARGET_DIR=str(OUT / "build"), CARGO_PROFILE_DEV_DEBUG="0",
                       # `const_eval_select`, by which a constant function can look at a variable.
                       RUSTC_BOOTSTRAP="stoppable", RUSTFLAGS="--cap-lints=allow", CARGO_TERM_COLOR="never")
    done = subprocess.run(["cargo", *arguments, "--features", FEATURES, "--message-format=json"], cwd=tree,
                          env=environment | dict(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if check and done.returncode:
        sys.exit(done.stderr + "".join(it["message"]["rendered"] for it in errors(messages)))
    return messages


def errors(messages):
    return [it for it in messages if it["reason"] == "compiler-message" and it["message"]["level"] == "error"]


# --- The mutants, and a tree with all of them.

class Function:
    def __init__(self, number, file, start, open, close, head):
        self.number, self.file, self.start, self.open, self.close = number, file, start, open, close
        self.is_const = re.search(r"\bconst\s+(unsafe\s+)?fn\b", head)
        # Bodies of different types, each hidden behind the same `impl`.
        self.is_apart = re.search(r"->[^{]*\bimpl\b", head)
        self.mutants = []


class Source:
    """A file, with the places in it that a line and a column mean."""
    TOKENS = re.compile(r"""//[^\n]*|/\*.*?\*/|\bb?r(\#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\(?:u\{\w+\}|x..|.)|[^'\\])'|[{}]""",
                        re.DOTALL)

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
    return mutants, list(functions.values()), sources


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
        choices = [it for it in function.mutants if it["name"] not in without]
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


def copy_tree(to):
    files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    # As it was resolved here, if it was.
    for file in [*filter(None, files), "Cargo.lock"]:
        if (ROOT / file).is_file():
            (to / file).parent.mkdir(parents=True, exist_ok=True)
            text = (ROOT / file).read_bytes()
            # Cargo builds anew what is newer.
            if not (to / file).is_file() or (to / file).read_bytes() != text:
                (to / file).write_bytes(text)


def write_choices(mutants, functions, sources, without):
    """All mutants into the tree, and for each line of a file which mutant it belongs to."""
    lines = {}
    for file, source in sources.items():
        inside = sorted((it for it in functions if it.file == file), key=lambda it: it.start)
        text = with_choices(source, inside, without, 0, len(source.text))
        if not (TREE / file).is_file() or (TREE / file).read_text() != text:
            (TREE / file).write_text(text)
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


def build(mutants, functions, sources):
    """Builds the tree with all mutants that build, and says which do not."""
    without = set(load("unbuildable.json", []))
    by_number = {it["number"]: it for it in mutants}
    copy_tree(TREE)
    (TREE / "src/mutant.rs").write_text(MUTANT_RS.replace("FUNCTIONS", str(len(functions))))
    library = (ROOT / "src/lib.rs").read_text()
    (TREE / "src/lib.rs").write_text("#![feature(core_intrinsics, const_eval_select)] " + library + "mod mutant;\n")
    while True:
        lines = write_choices(mutants, functions, sources, without)
        wrong = errors(cargo("check", "--lib", tree=TREE, check=False))
        if not wrong:
            break
        found = {mutants_of(it["message"], lines) for it in wrong} - {None}
        if not found:
            sys.exit("".join(it["message"]["rendered"] for it in wrong))
        without |= {by_number[it]["name"] for it in found}
        print(f"{len(found)} do not build", flush=True)
        save("unbuildable.json", sorted(without))
    return without, binaries(cargo("test", "--no-run", "--lib", "--test=*", tree=TREE))


def binaries(messages):
    return {it["target"]["name"]: it["executable"] for it in messages
            if it["reason"] == "compiler-artifact" and it.get("executable")}


# --- Tests.

Test = collections.namedtuple("Test", "binary name")
# Groups of processes, to be ended with this one.
RUNNING = set()


def end(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end_all(*_):
    for group in list(RUNNING):
        end(group)
    os._exit(1)


class Run:
    """Some tests of one binary in one process: what failed first, and what passed before."""
    def __init__(self, path, names, env, threads=2, longest=0.0, stop=True):
        self.passed, self.failed, self.how = [], None, None
        environment = dict(os.environ, RUST_BACKTRACE="0", **env)
        for name, value in dict(GUARD=GUARD, STRESS_TASKS=1000, STRESS_SEEDS=1, SOAK_TASKS=20000).items():
            environment.setdefault(f"STOPPABLE_{name}", str(value))
        start = time.monotonic()
        process = subprocess.Popen([path, "--exact", f"--test-threads={threads}", *names], env=environment, cwd=ROOT,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        RUNNING.add(process.pid)
        text, seen, ended = b"", 0, False
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not self.how:
                if not selector.select(SILENCE + 8 * longest):
                    self.how = "hangs"
                    break
                if not (more := os.read(process.stdout.fileno(), 65536)):
                    ended = True
                    break
                text += more
                for line in re.finditer(rb"^test (\S+)(?: - should panic)? \.\.\. (\w+)", text[seen:], re.MULTILINE):
                    if line[2] == b"FAILED":
                        self.failed, self.how = line[1].decode(), "fails"
                        break
                    if line[2] in (b"ok", b"ignored"):
                        self.passed.append(line[1].decode())
                seen = text.rfind(b"\n") + 1
        if ended:
            try:
                if process.wait(SILENCE) and not self.how:
                    self.how = "crashes"
            except subprocess.TimeoutExpired:
                self.how = "hangs"
        end(process.pid)
        process.wait()
        RUNNING.discard(process.pid)
        process.stdout.close()
        self.seconds = time.monotonic() - start


def measure(paths, jobs):
    """How long each test takes alone, and which functions it reaches."""
    known = load("tests.json", {})
    tests = []
    for binary, path in paths.items():
        listed = subprocess.run([path, "--list", "--format=terse"], stdout=subprocess.PIPE, text=True, check=True).stdout
        tests += [Test(binary, line[:-6]) for line in listed.splitlines() if line.endswith(": test")]

    def measure_one(test):
        key = "::".join(test)
        if key in known:
            return
        file = OUT / f"reached-{threading.get_ident()}"
        file.unlink(missing_ok=True)
        run = Run(paths[test.binary], [test.name], {"STOPPABLE_REACHED": str(file)}, longest=GUARD)
        numbers = file.read_bytes() if file.is_file() else b""
        reached = {int.from_bytes(numbers[it:it + 4], "little") for it in range(0, len(numbers), 4)}
        known[key] = dict(seconds=run.seconds, functions=sorted(reached), how=run.how)
        file.unlink(missing_ok=True)

    with concurrent.futures.ThreadPoolExecutor(jobs) as executor:
        list(executor.map(measure_one, tests))
    save("tests.json", known)
    for test in [it for it in tests if known["::".join(it)]["how"]]:
        print(f"left out, as it fails without any mutant: {test.binary} {test.name}")
    return {it: known["::".join(it)] for it in tests if not known["::".join(it)]["how"]}


def batches(tests):
    """What is likely to fail soon goes first: quick tests that reach little else, few of them at first."""
    order = sorted(tests, key=lambda it: (tests[it]["seconds"] + 0.01) * (len(tests[it]["functions"]) + 20))
    for binary in ("it", *{it.binary for it in tests if it.binary != "it"}):
        these, size = [it for it in order if it.binary == binary], 8
        while these:
            yield binary, these[:size], max(tests[it]["seconds"] for it in these[:size])
            these, size = these[size:], size * 8


def attempt(paths, tests, env):
    """Tries a mutant with tests: how the first one fails that does so more than once."""
    once = []
    for binary, batch, longest in batches(tests):
        left = [it.name for it in batch]
        while left:
            run = Run(paths[binary], left, env, longest=longest)
            left = [it for it in left if it not in run.passed and it != run.failed]
            if not run.how:
                break
            if run.how != "fails" or run.seconds > GUARD:
                return dict(outcome="caught", how=run.how, by=run.failed or left[:8], once=once)
            # Not by chance, on a busy machine?
            if any(Run(paths[binary], [run.failed], env, longest=longest).how for _ in range(CHANCES)):
                return dict(outcome="caught", how=run.how, by=run.failed, once=once)
            once.append(run.failed)
    # One that fails once in a few times has found it all the same, and is told apart.
    return dict(outcome="caught once" if once else "missed", once=once, tests=len(tests))


# --- All of it.

def load(name, default):
    path = OUT / name
    return json.loads(path.read_text()) if path.is_file() else default


def save(name, value):
    (OUT / name).write_text(json.dumps(value))


def load_results():
    path = OUT / "results.jsonl"
    # The last word on each counts.
    return {it["mutant"]: it for it in map(json.loads, path.read_text().splitlines())} if path.is_file() else {}


def figures(mutants):
    """What came of it, as a table, and what was missed."""
    results, rows = load_results(), collections.defaultdict(collections.Counter)
    for mutant in mutants:
        result = results.get(mutant["name"], dict(outcome="not tried"))
        for row in (str(pathlib.Path(mutant["file"]).parts[1]), "all"):
            rows[row][result["outcome"]] += 1
    columns = ["caught", "caught once", "missed", "does not build", "not tried"]
    print("\n| | mutants | " + " | ".join(columns) + " | caught of those that build |")
    print("|---" * (len(columns) + 3) + "|")
    for name in sorted(rows, key=lambda it: (it == "all", it)):
        row = rows[name]
        caught, tried = row["caught"] + row["caught once"], row["caught"] + row["caught once"] + row["missed"]
        share = f"{100 * caught / tried:.1f} %" if tried else ""
        print(f"| {name} | {row.total()} | " + " | ".join(str(row[it]) for it in columns) + f" | {share} |")
    for mutant in mutants:
        result = results.get(mutant["name"], {})
        if result.get("outcome") in ("missed", "caught once"):
            print(f"{result['outcome']}: {mutant['name']}" + "".join(f", {it}" for it in result["once"]))


def main():
    arguments = argparse.ArgumentParser(prog=".ci/mutants", description="Mutation testing of the core.")
    arguments.add_argument("which", nargs="*", help="K/N: every N-th mutant, from the K-th on; or a part of a name")
    arguments.add_argument("--jobs", type=int, default=2, help="how many mutants to try at a time")
    arguments.add_argument("--again", action="store_true", help="try those again that were missed")
    arguments.add_argument("--figures", action="store_true", help="only say what came of it so far")
    options = arguments.parse_args()
    mutants, functions, sources = list_mutants()
    OUT.mkdir(parents=True, exist_ok=True)

    # What is known is of this code.
    code = hashlib.sha256("".join(it.text for it in sources.values()).encode()).hexdigest()
    if load("code.json", None) != code:
        for name in ("unbuildable.json", "tests.json", "results.jsonl"):
            (OUT / name).unlink(missing_ok=True)
        save("code.json", code)
    if options.figures:
        return figures(mutants)
    signal.signal(signal.SIGTERM, end_all)
    signal.signal(signal.SIGINT, end_all)
    # A mutant may want all memory there is.
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, resource.RLIM_INFINITY))

    unbuildable, paths = build(mutants, functions, sources)
    tests = measure(paths, options.jobs)
    reached = {number for it in tests.values() for number in it["functions"]}
    print(f"{len(mutants)} mutants in {len(functions)} functions, {len(reached)} reached; {len(tests)} tests", flush=True)

    results = load_results()
    todo = [it for it in mutants if it["name"] not in results or options.again
            and results[it["name"]]["outcome"] in ("missed", "caught once")]
    for which in options.which:
        if shard := re.fullmatch(r"(\d+)/(\d+)", which):
            chosen = {it["name"] for it in mutants[int(shard[1])::int(shard[2])]}
            todo = [it for it in todo if it["name"] in chosen]
    parts = [it for it in options.which if not re.fullmatch(r"\d+/\d+", it)]
    todo = [it for it in todo if not parts or any(part in it["name"] for part in parts)]

    lock, apart = threading.Lock(), []

    def note(mutant, result):
        with lock, open(OUT / "results.jsonl", "a") as file:
            file.write(json.dumps(dict(mutant=mutant["name"], **result)) + "\n")
            print(f"{result['outcome']}: {mutant['name']}", flush=True)

    def try_one(mutant):
        function = mutant["function_of"]
        if mutant["name"] in unbuildable:
            return note(mutant, dict(outcome="does not build"))
        if not function or function.is_apart or function.is_const and function.number not in reached:
            return apart.append(mutant)
        those = {test: it for test, it in tests.items() if function.number in it["functions"]}
        start = time.monotonic()
        result = attempt(paths, those, {"STOPPABLE_MUTANT": str(mutant["number"])})
        note(mutant, result | dict(seconds=round(time.monotonic() - start, 1)))

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as executor:
        list(executor.map(try_one, todo))

    copy_tree(APART)
    for mutant in apart:
        (APART / mutant["file"]).write_text(mutated(sources[mutant["file"]], mutant))
        try:
            messages = cargo("test", "--no-run", "--lib", "--test=*", tree=APART, check=False)
            if errors(messages):
                note(mutant, dict(outcome="does not build"))
            else:
                note(mutant, attempt(binaries(messages), tests, {}))
        finally:
            (APART / mutant["file"]).write_text(sources[mutant["file"]].text)
    figures(mutants)


if __name__ == "__main__":
    main()
