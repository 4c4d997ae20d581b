"""Weakens the memory orderings, one at a time, and asks the models; `.ci/orderings` says how to call it.

In a copy of the tree each `Ordering::X` becomes `crate::weaker::of(site, Ordering::X)`, and an environment variable says
which of them is which weaker one. loom takes an ordering at run time, so one build serves all.
"""

import argparse, collections, concurrent.futures, os, re, resource, subprocess, threading, time
from build import OUT, ROOT, Source, copy_tree

TREE, REACHED = OUT / "orderings", OUT / "orderings-reached"
# Models that take longer, in seconds, are asked only if that is wished for.
SLOW = 20
HANGS = "hangs"
OPERATION = re.compile(r"(?:\.(load|store|swap|fetch_\w+|compare_exchange(?:_weak)?)|\b(fence))\(")
HOOK = """
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs::File, io::Write, sync::OnceLock};
static ACTIVE: OnceLock<(usize, Ordering)> = OnceLock::new();
static FILE: OnceLock<Option<File>> = OnceLock::new();
static REACHED: [AtomicBool; SITES] = [const { AtomicBool::new(false) }; SITES];
pub(crate) fn of(site: usize, ordering: Ordering) -> Ordering {
    if !REACHED[site].swap(true, Ordering::Relaxed) {
        let file = FILE.get_or_init(|| {
            let path = env::var_os("STOPPABLE_REACHED")?;
            Some(File::options().append(true).create(true).open(path).unwrap())
        });
        if let Some(mut file) = file.as_ref() {
            writeln!(file, "{site}").unwrap();
        }
    }
    let active = ACTIVE.get_or_init(|| {
        let Ok(active) = env::var("STOPPABLE_WEAKER") else { return (usize::MAX, Ordering::SeqCst) };
        let (site, weaker) = active.split_once(' ').unwrap();
        let weaker = match weaker {
            "AcqRel" => Ordering::AcqRel,
            "Acquire" => Ordering::Acquire,
            "Release" => Ordering::Release,
            _ => Ordering::Relaxed,
        };
        (site.parse().unwrap(), weaker)
    });
    if active.0 == site { active.1 } else { ordering }
}
"""
Site = collections.namedtuple("Site", "number file line operation part ordering start end")


def weaker(site):
    """The orderings that are one step weaker, of those that such an operation can have."""
    if site.ordering == "AcqRel":
        return ["Acquire", "Release"]
    if site.ordering == "SeqCst":
        is_one = {"load": "Acquire", "store": "Release"}
        return [is_one.get(site.operation, "AcqRel")]
    return ["Relaxed"]


def find_sites():
    sites, sources = [], {}
    for path in sorted((ROOT / "src").rglob("*.rs")):
        file = str(path.relative_to(ROOT))
        # What stands in for a crate in the models is not asked about.
        if path.name in ("testing.rs", "tests.rs") or "/loom_tests" in file or file == "src/sync/model.rs":
            continue
        source = Source(file)
        # Comments and strings are blanked, so that places stay what they are.
        text = Source.TOKENS.sub(lambda it: it[0] if it[0] in "{}" else " " * len(it[0]), source.text)
        # Nor are the tests asked about.
        text = text.split("#[cfg(all(test, not(loom)))]")[0]
        for found in re.finditer(r"\bOrdering::(Acquire|Release|AcqRel|SeqCst)\b", text):
            operations = list(OPERATION.finditer(text, max(0, found.start() - 400), found.start()))
            if not operations:
                continue
            last = operations[-1]
            between = text[last.end():found.start()]
            part = " on failure" if "compare" in last[0] and "Ordering::" in between else ""
            line = source.text.count("\n", 0, found.start()) + 1
            sites.append(Site(len(sites), file, line, last[1] or last[2], part, found[1], found.start(), found.end()))
            sources[file] = source
    return sites, sources


def name(site, to):
    return f"{site.file}:{site.line}: {site.operation}{site.part}: {to} for {site.ordering}"


def build(sites, sources):
    copy_tree(TREE, but=[*sources, "src/lib.rs"])
    for file, source in sources.items():
        text, at = "", 0
        for site in (it for it in sites if it.file == file):
            text += source.text[at:site.start] + f"crate::weaker::of({site.number}, Ordering::{site.ordering})"
            at = site.end
        text += source.text[at:]
        if (TREE / file).read_text() != text:
            (TREE / file).write_text(text)
    hook = f"const SITES: usize = {len(sites)};" + HOOK
    (TREE / "src/weaker.rs").write_text(hook)
    (TREE / "src/lib.rs").write_text((ROOT / "src/lib.rs").read_text() + "mod weaker;\n")
    environment = dict(os.environ, CARGO_TARGET_DIR=str(OUT / "build-orderings"), RUSTFLAGS="--cfg loom --cap-lints=allow")
    built = subprocess.run(["cargo", "test", "--release", "--lib", "--no-run"], cwd=TREE, env=environment, text=True,
                           stderr=subprocess.PIPE)
    if built.returncode:
        raise SystemExit(built.stderr)
    return re.search(r"Executable .*\((.*)\)", built.stderr)[1]


def run(path, model, seconds, **env):
    """What the model says: nothing if all is well."""
    environment = dict(os.environ, LOOM_MAX_PREEMPTIONS="2", RUST_BACKTRACE="0", **env)
    try:
        done = subprocess.run([path, "--exact", model], env=environment, cwd=TREE, timeout=seconds, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return HANGS
    if not done.returncode:
        return None
    panics = re.findall(r"panicked at [^\n]*\n([^\n]*)", done.stdout)
    return panics[0].strip() if panics else f"ended with {done.returncode}"


def main():
    arguments = argparse.ArgumentParser(prog=".ci/orderings", description="Weakens memory orderings one at a time.")
    arguments.add_argument("which", nargs="*", help="a part of a name")
    arguments.add_argument("--jobs", type=int, default=2, help="how many to try at a time")
    arguments.add_argument("--all", action="store_true", help="ask slow models too")
    options = arguments.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    # A model that goes wrong may want all memory there is.
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))
    sites, sources = find_sites()
    path = build(sites, sources)
    listed = subprocess.run([path, "--list", "--format=terse"], stdout=subprocess.PIPE, text=True, check=True)
    models = [line[:-6] for line in listed.stdout.splitlines() if line.endswith(": test")]

    def measure(model):
        file = f"{REACHED}-{threading.get_ident()}"
        open(file, "w").close()
        start = time.monotonic()
        # One that takes very long is slow.
        wrong = run(path, model, 15 * SLOW, STOPPABLE_REACHED=file)
        with open(file) as lines:
            reached = {int(it) for it in lines}
        os.remove(file)
        assert wrong in (None, HANGS), f"{model} fails as it is: {wrong}"
        return time.monotonic() - start, reached

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as executor:
        known = dict(zip(models, executor.map(measure, models)))
    print(f"{len(sites)} orderings, {len(models)} models, "
          f"{sum(seconds > SLOW for seconds, _ in known.values())} of them slow", flush=True)

    def attempt(job):
        site, to = job
        those = sorted((seconds, model) for model, (seconds, reached) in known.items() if site.number in reached)
        if not those:
            return "not reached", name(site, to), ""
        for seconds, model in those:
            if seconds > SLOW and not options.all:
                continue
            if wrong := run(path, model, 20 + 10 * seconds, STOPPABLE_WEAKER=f"{site.number} {to}"):
                result = "needed", name(site, to), f"{model}: {wrong}"
                break
        else:
            result = "not found to be needed", name(site, to), f"{len(those)} models reach it"
            # In orders that loom leaves out: see `src/sync/model/atomics.rs`. One that takes longer than that tells nothing.
            for _, model in (it for it in those if it[0] < 2):
                wrong = run(path, model, 60, LOOM_EVERY_ORDER="1", STOPPABLE_WEAKER=f"{site.number} {to}")
                if wrong and wrong != HANGS and not run(path, model, 60, LOOM_EVERY_ORDER="1"):
                    result = "needed", name(site, to), f"{model} with every order: {wrong}"
                    break
        print(": ".join(it for it in result if it), flush=True)
        return result

    jobs = [(site, to) for site in sites for to in weaker(site)]
    jobs = [it for it in jobs if not options.which or any(part in name(*it) for part in options.which)]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as executor:
        results = list(executor.map(attempt, jobs))
    print()
    for outcome, count in collections.Counter(outcome for outcome, *_ in results).items():
        print(f"{outcome}: {count}")
    for outcome, what, _ in results:
        if outcome != "needed":
            print(f"{outcome}: {what}")


if __name__ == "__main__":
    main()
