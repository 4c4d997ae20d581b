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

import argparse, collections, concurrent.futures, hashlib, json, pathlib, re, resource, signal, threading, time
from build import APART, OUT, TESTS, build, binaries, copy_tree, errors, list_mutants, load, mutated, save
from tests import QUICK, attempt, end_all, measure

NOT_TRIED = dict(outcome="not tried")


def load_results():
    path = OUT / "results.jsonl"
    # The last word on each counts.
    return {it["key"]: it for it in map(json.loads, path.read_text().splitlines())} if path.is_file() else {}


def figures(mutants):
    """What came of it, as a table, and what was missed."""
    results, rows = load_results(), collections.defaultdict(collections.Counter)
    for mutant in mutants:
        result = results.get(mutant["key"], NOT_TRIED)
        for row in (str(pathlib.Path(mutant["file"]).parts[1]), "all"):
            rows[row][result["outcome"]] += 1
    columns = ["caught", "missed", "missed so far", "does not build", "not tried"]
    print("\n| | mutants | " + " | ".join(columns) + " | caught of those that build |")
    print("|---" * (len(columns) + 3) + "|")
    for name in sorted(rows, key=lambda it: (it == "all", it)):
        row = rows[name]
        tried = row["caught"] + row["missed"] + row["missed so far"]
        share = f"{100 * row['caught'] / tried:.1f} %" if tried else ""
        print(f"| {name} | {row.total()} | " + " | ".join(str(row[it]) for it in columns) + f" | {share} |")
    for mutant in mutants:
        result = results.get(mutant["key"], {})
        if result.get("outcome") in ("missed", "missed so far"):
            print(f"{result['outcome']}: {mutant['name']}" + "".join(f", {it}" for it in result["once"]))


def main():
    arguments = argparse.ArgumentParser(prog=".ci/mutants", description="Mutation testing of the core.")
    arguments.add_argument("which", nargs="*", help="K/N: every N-th mutant, from the K-th on; or a part of a name")
    arguments.add_argument("--jobs", type=int, default=2, help="how many mutants to try at a time")
    arguments.add_argument("--again", action="store_true", help="try those again that were missed")
    arguments.add_argument("--all", action="store_true", help="try those again too of which something is known")
    arguments.add_argument("--afresh", action="store_true", help="forget all that is known")
    arguments.add_argument("--figures", action="store_true", help="only say what came of it so far")
    options = arguments.parse_args()
    mutants, functions, sources = list_mutants()
    OUT.mkdir(parents=True, exist_ok=True)

    if options.figures:
        return figures(mutants)
    # What a test reaches is known by the numbers of functions.
    numbers = "".join(it["name"] for it in mutants)
    code = hashlib.sha256("".join([numbers, *(it.text for it in sources.values())]).encode()).hexdigest()
    stale = [] if load("code.json", None) == code else ["tests.json"]
    for name in ["unbuildable.json", "tests.json", "results.jsonl"] if options.afresh else stale:
        if (OUT / name).is_file():
            (OUT / name).rename(OUT / f"{name}.old")
    save("code.json", code)
    signal.signal(signal.SIGTERM, end_all)
    signal.signal(signal.SIGINT, end_all)
    # A mutant may want all memory there is.
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))

    unbuildable, paths = build(TESTS, mutants, functions, sources)
    tests = measure(paths, options.jobs)
    reached = {number for it in tests.values() for number in it["functions"]}
    print(f"{len(mutants)} mutants, in {len(functions)} functions of which {len(reached)} are reached by {len(tests)} tests")

    results = load_results()
    again = ("missed", "missed so far") if options.again else ("missed so far",)
    done = {key for key, result in results.items() if result["outcome"] not in again and not options.all}
    todo = [it for it in mutants if it["key"] not in done]
    for which in options.which:
        if shard := re.fullmatch(r"(\d+)/(\d+)", which):
            chosen = {it["key"] for it in mutants[int(shard[1])::int(shard[2])]}
            todo = [it for it in todo if it["key"] in chosen]
    parts = [it for it in options.which if not re.fullmatch(r"\d+/\d+", it)]
    todo = [it for it in todo if not parts or any(part in it["name"] for part in parts)]

    lock, apart, slow = threading.Lock(), [], []

    def note(mutant, result):
        with lock, open(OUT / "results.jsonl", "a") as file:
            file.write(json.dumps(dict(key=mutant["key"], mutant=mutant["name"], **result)) + "\n")
            print(f"{result['outcome']}: {mutant['name']}", flush=True)

    def try_one(mutant, is_quick=True):
        function = mutant["function_of"]
        if mutant["key"] in unbuildable:
            return note(mutant, dict(outcome="does not build"))
        if not function or function.is_apart or function.is_const and function.number not in reached:
            return apart.append(mutant)
        known = results.get(mutant["key"], NOT_TRIED)["outcome"]
        if is_quick and known == "missed so far" and not options.again and not options.all:
            return slow.append(mutant)
        those = {test: it for test, it in tests.items()
                 if function.number in it["functions"] and (it["seconds"] < QUICK) == is_quick}
        start = time.monotonic()
        result = attempt(paths, those, {"STOPPABLE_MUTANT": str(mutant["number"])})
        if result["outcome"] == "missed" and is_quick:
            result["outcome"] = "missed so far"
            slow.append(mutant)
        note(mutant, result | dict(seconds=round(time.monotonic() - start, 1)))

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as executor:
        list(executor.map(try_one, todo))

    for mutant in apart:
        for stage in APART:
            copy_tree(stage.tree)
            (stage.tree / mutant["file"]).write_text(mutated(sources[mutant["file"]], mutant))
            messages = stage.build_tests(check=False)
            if errors(messages):
                result = dict(outcome="does not build")
            else:
                built = binaries(messages)
                those = {test: it for test, it in tests.items() if test.binary in built}
                result = attempt(built, those, {})
            if result["outcome"] != "missed":
                break
        note(mutant, result)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as executor:
        list(executor.map(lambda mutant: try_one(mutant, is_quick=False), slow))
    figures(mutants)


if __name__ == "__main__":
    main()
