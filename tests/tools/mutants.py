"""mutants.py DIRECTORY: builds every mutant of DIRECTORY/mutants.json (cargo-mutants) into the sources of DIRECTORY/tree, each behind a
switch, drops those that do not compile, and runs the tests under each of the rest. Writes missed.txt (no test noticed), caught.txt (and
which did), unswitched.txt (and why), all three beside the list. What ended before is not asked again.

A switch is an expression: `a == b` becomes `(if mutated::on(7) { (a) != (b) } else { a == b })`; a body begins with `if mutated::on(8) {
return …; }`; an arm gains a guard. Where there can be none, in constants and beside `let`, the mutant is left to cargo-mutants.
"""

import collections, concurrent.futures, json, os, pathlib, re, subprocess, sys, threading, time
import tree_sitter, tree_sitter_rust

OUT = pathlib.Path(sys.argv[1])
TREE = OUT / "tree"
TESTS = ["--lib", *(word for test in ("vectors", "edits", "oracles", "openpgp") for word in ("--test", test))]
BUILD = dict(os.environ, CARGO_PROFILE_DEV_DEBUG="none", CARGO_PROFILE_DEV_OPT_LEVEL="1", RUSTFLAGS="--cap-lints warn")
MODULE = """//! Which mutant is on.
#![allow(missing_docs)]
static ON: std::sync::LazyLock<u32> =
    std::sync::LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(0));
pub fn on(number: u32) -> bool {
    *ON == number
}
"""
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
Switch = collections.namedtuple("Switch", "start end kind node mutants")


def on(number):
    return f"crate::mutated::on({number})"


def above(node, kinds):
    while node is not None and node.type not in kinds:
        node = node.parent
    return node


def has_let(node):
    return node.type in ("let_condition", "let_chain") or any(map(has_let, node.children))


def place(root, start, end, genre):
    """Where the switch of a mutant is: (start, end, kind, node), or None."""
    node = root.descendant_for_byte_range(start, end)
    if genre == "FnValue":
        return start, start, "body", None
    if genre == "BinaryOperator":
        node = above(node, ("binary_expression", "compound_assignment_expr"))
        sign = node and node.child_by_field_name("operator")
        if sign and sign.start_byte == start and not has_let(node):
            return node.start_byte, node.end_byte, "operator", node
    if genre == "UnaryOperator":
        node = above(node, ("unary_expression",))
        if node and node.start_byte == start:
            return node.start_byte, node.end_byte, "operator", node
    if genre in ("MatchArm", "MatchArmGuard") and (arm := above(node, ("match_arm",))):
        pattern = arm.child_by_field_name("pattern")
        guard = pattern.child_by_field_name("condition")
        if genre == "MatchArm":
            at = guard.start_byte if guard else pattern.end_byte
            return at, at, "further guard" if guard else "first guard", None
        if guard and guard.start_byte == start and not has_let(guard):
            return guard.start_byte, guard.end_byte, "guard", guard
    return None


class File:
    """A source file with its switches; `ranges` says which bytes of `text` are whose."""

    def __init__(self, source, mutants):
        self.source, self.text, self.ranges, self.without = source, bytearray(), [], []
        lines = source.decode().split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line.encode()) + 1)
        root, switches = PARSER.parse(source).root_node, {}
        for number, mutant in mutants:
            ends = (mutant["span"][side] for side in ("start", "end"))
            start, end = (starts[at["line"] - 1] + len(lines[at["line"] - 1][: at["column"] - 1].encode()) for at in ends)
            found = place(root, start, end, mutant["genre"])
            if found is None:
                self.without.append(number)
                continue
            switches.setdefault(found[:3], Switch(*found, [])).mutants.append((number, mutant))
        rank = {"further guard": 0, "guard": 1}
        self.switches = sorted(switches.values(), key=lambda s: (s.start, -s.end, rank.get(s.kind, 2)))
        self.render(0, 0, len(source))

    def put(self, text):
        self.text += text.encode()

    def alternative(self, number, text, before="if {} {{ ", behind=" } else "):
        self.put(before.format(on(number)))
        start = len(self.text)
        self.put(text)
        self.ranges.append((start, len(self.text), number))
        self.put(behind)

    def changed(self, node, mutant):
        text = lambda node: self.source[node.start_byte : node.end_byte].decode()
        if node.type == "unary_expression":
            return text(node)[1:]
        left, right = (text(node.child_by_field_name(side)) for side in ("left", "right"))
        if node.type == "binary_expression":
            left, right = f"({left})", f"({right})"
        return f"{left} {mutant['replacement']} {right}"

    def render(self, index, at, end):
        """The source from `at` to `end` with the switches from `index` on; the index of the next one."""
        while index < len(self.switches) and self.switches[index].start < end:
            switch = self.switches[index]
            self.text += self.source[at : switch.start]
            at, begin, index = switch.start, len(self.text), index + 1
            if switch.kind == "body":
                for number, mutant in switch.mutants:
                    self.alternative(number, mutant["replacement"], "if {} {{ return ", "; } ")
            elif switch.kind == "first guard":
                self.put(" if " + " && ".join(f"!{on(number)}" for number, _ in switch.mutants))
            elif switch.kind == "further guard":
                self.put("".join(f"!{on(number)} && " for number, _ in switch.mutants))
            else:
                is_statement = switch.node.type == "compound_assignment_expr"
                self.put("{ " if is_statement else "(")
                for number, mutant in switch.mutants:
                    is_guard = switch.kind == "guard"
                    self.alternative(number, mutant["replacement"] if is_guard else self.changed(switch.node, mutant))
                self.put("{ ")
                index = self.render(index, switch.start, switch.end)
                self.put(" } }" if is_statement else " })")
                at = switch.end
            self.ranges += [(begin, len(self.text), number) for number, _ in switch.mutants]
        self.text += self.source[at:end]
        return index


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked", "--no-default-features", "--message-format=json"]
    done = subprocess.run(command, cwd=TREE, env=BUILD, capture_output=True, text=True)
    return done, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def blamed(message, files):
    """The mutants in the smallest piece around what the compiler complains of; or the one nearest to it."""
    guesses = []
    for span in filter(lambda span: span["is_primary"], message["spans"]):
        ranges = files[span["file_name"]].ranges if span["file_name"] in files else []
        around = [(b - a, n) for a, b, n in ranges if a <= span["byte_start"] and span["byte_end"] <= b]
        if around:
            return {n for size, n in around if size == min(around)[0]}, True
        guesses += [(abs(a - span["byte_start"]), n) for a, _, n in ranges]
    return ({min(guesses)[1]} if guesses else set()), False


def switch(mutants, sources):
    """Writes the sources with all switches that compile; why the others have none."""
    without = {}
    while True:
        files = {}
        for name, source in sources.items():
            numbered = [(n, m) for n, m in mutants.items() if m["file"] == name and n not in without]
            files[name] = File(source, numbered)
            without |= dict.fromkeys(files[name].without, "no expression of its own")
            if (TREE / name).read_bytes() != files[name].text:
                (TREE / name).write_bytes(files[name].text)
        done, messages = cargo("check", "--lib")
        errors = [m["message"] for m in messages if m.get("reason") == "compiler-message" and m["message"]["level"] == "error"]
        print(f"{len(mutants) - len(without)} of {len(mutants)} switched, {len(errors)} errors", file=sys.stderr)
        if done.returncode == 0:
            return without
        verdicts = [(blamed(error, files), error["message"]) for error in errors]
        sure = [(numbers, why) for (numbers, is_sure), why in verdicts if is_sure]
        bad = {n: why for numbers, why in sure or [(numbers, why) for (numbers, _), why in verdicts] for n in numbers}
        if not bad:
            sys.exit(done.stderr)
        without |= bad


def run(program, number, limit, *only):
    """How it ended, and after how long."""
    env = dict(os.environ, MUTANT=str(number), RUST_TEST_THREADS="1", PROPTEST_CASES="64", RUST_BACKTRACE="0", CARGO_MANIFEST_DIR=TREE)
    start = time.monotonic()
    try:
        done = subprocess.run([program, "-q", *only], cwd=TREE, env=env, capture_output=True, timeout=limit)
        return "" if done.returncode == 0 else "failed", time.monotonic() - start
    except subprocess.TimeoutExpired:
        return "timeout", limit


def main():
    mutants = dict(enumerate(json.loads((OUT / "mutants.json").read_text()), 1))
    sources = {name: (TREE / name).read_bytes() for name in sorted({m["file"] for m in mutants.values()})}
    library = TREE / "src/lib.rs"
    library.write_text(library.read_text().replace("\npub mod ", "\n#[doc(hidden)]\npub mod mutated;\npub mod ", 1))
    (TREE / "src/mutated.rs").write_text(MODULE)
    without = switch(mutants, sources)
    (OUT / "unswitched.txt").write_text("".join(f"{mutants[n]['name']}: {why}\n" for n, why in sorted(without.items())))
    done, messages = cargo("test", "--no-run", *TESTS)
    programs = [m["executable"] for m in messages if m.get("executable") and m.get("profile", {}).get("test")]
    if done.returncode != 0 or not programs:
        sys.exit(done.stderr)
    timed = sorted((run(program, 0, 600)[::-1], program) for program in programs)
    if any(ended for (_, ended), _ in timed):
        sys.exit(f"without any mutant: {timed}")
    library = next(program for program in programs if re.search(r"/tidewaiter-[^/]*$", program))
    reports = {what: OUT / f"{what}.txt" for what in ("missed", "caught")}
    names = lambda path: {line.split("\t")[0] for line in path.read_text().splitlines()} if path.exists() else set()
    known = set().union(*map(names, reports.values()))
    lock, counts = threading.Lock(), collections.Counter()

    def judge(number):
        mutant = mutants[number]
        # Its own unit tests first: most are noticed there.
        module = mutant["file"].split("/")[1].removesuffix(".rs")
        ended, by = run(library, number, 20, f"{module}::")[0], "its module"
        for (seconds, _), program in timed:
            if not ended:
                ended, by = run(program, number, seconds * 2 + 5)[0], os.path.basename(program).rsplit("-", 1)[0]
        with lock:
            counts["caught" if ended else "missed"] += 1
            with open(reports["caught" if ended else "missed"], "a") as report:
                report.write(f"{mutant['name']}\t{ended} {by}\n" if ended else f"{mutant['name']}\n")
            if counts.total() % 50 == 0:
                print(dict(counts), file=sys.stderr)

    todo = [n for n in mutants if n not in without and mutants[n]["name"] not in known]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(judge, todo))
    print(dict(counts))


main()
