"""Runs tests with a mutant, until one fails."""

import collections, concurrent.futures, math, os, re, selectors, signal, subprocess, threading, time
from build import OUT, ROOT, load, save

# What takes so many seconds longer than it should hangs.
GUARD = 5
# Tests that take longer, in seconds, are for those mutants that the others have missed.
QUICK = 0.3
# A mutant that a short stress finds it finds soon.
SETTINGS = dict(STOPPABLE_STRESS_TASKS=1000, STOPPABLE_STRESS_SEEDS=1, STOPPABLE_SOAK_TASKS=20000)
# A test that fails is asked again alone, so often, before it is believed.
CHANCES = 3
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


def guard(longest):
    """For how long to wait where it took so long without a mutant, and on a machine that had more time."""
    return GUARD + math.ceil(8 * longest)


class Run:
    """Some tests of one binary in one process: what failed first, and what passed before."""
    def __init__(self, path, names, env, longest=0.0):
        self.passed, self.failed, self.how = [], None, None
        environment = dict(os.environ, RUST_BACKTRACE="0", **env)
        for name, value in SETTINGS.items() | {("STOPPABLE_GUARD", guard(longest))}:
            environment.setdefault(name, str(value))
        start = time.monotonic()
        process = subprocess.Popen([path, "--exact", "--test-threads=2", *names], env=environment, cwd=ROOT,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        RUNNING.add(process.pid)
        text, seen, ended = b"", 0, False
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not self.how:
                if not selector.select(guard(longest) + 1):
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
                if process.wait(GUARD) and not self.how:
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
        listed = subprocess.run([path, "--list", "--format=terse"], stdout=subprocess.PIPE, text=True, check=True)
        tests += [Test(binary, line[:-6]) for line in listed.stdout.splitlines() if line.endswith(": test")]

    def measure_one(test):
        key = "::".join(test)
        if key in known:
            return
        file = OUT / f"reached-{threading.get_ident()}"
        file.unlink(missing_ok=True)
        run = Run(paths[test.binary], [test.name], {"STOPPABLE_REACHED": str(file)}, longest=GUARD)
        if run.seconds >= QUICK and not run.how:
            # Was it the test, or a machine that was busy?
            run.seconds = min(run.seconds, Run(paths[test.binary], [test.name], {}, longest=GUARD).seconds)
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
    for binary in sorted({it.binary for it in tests}, key=lambda it: it != "it"):
        these, size = [it for it in order if it.binary == binary], 8
        while these:
            yield binary, these[:size], max(tests[it]["seconds"] for it in these[:size])
            these, size = these[size:], size * 8


def attempt(paths, tests, env):
    """Tries a mutant with tests, until one fails that does so more than once. Which have done so once is noted."""
    once = []
    for binary, batch, longest in batches(tests):
        left = [it.name for it in batch]
        while left:
            run = Run(paths[binary], left, env, longest=longest)
            left = [it for it in left if it not in run.passed and it != run.failed]
            if not run.how:
                break
            # What takes a quick test that long is no accident.
            if run.how != "fails" or run.seconds > guard(longest) and longest < 0.5:
                return dict(outcome="caught", how=run.how, by=run.failed or left[:8], once=once)
            # Not by chance either, on a busy machine?
            if any(Run(paths[binary], [run.failed], env, longest=longest).how for _ in range(CHANCES)):
                return dict(outcome="caught", how=run.how, by=run.failed, once=once)
            once.append(run.failed)
    return dict(outcome="missed", once=once, tests=len(tests))
