"""Run the suite against newer packages than the lock's, and name the one that breaks
it.

First with the newest versions that the ranges of requirements.txt allow, then with the
newest of all. Where tests fail that pass with the lock, each package is renewed alone
and those tests are run again. Works in an environment of its own, .canary; .venv is
left as it is. Takes an hour or more and needs the package index: python
tools/setup/canary.py [pytest's arguments]
"""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from safeguards.printing import run_tool

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".canary"
PYTHON = ENVIRONMENT / (
    "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
)
RESULT = ENVIRONMENT / "result.xml"
# Says that what is installed lies in the ranges, which is what the canary leaves.
RANGES = "tests/tools/test_setup.py::test_every_requirement_has_a_tried_range"


def requirements(bounded):
    """The lines of requirements.txt, without our own package; unbounded, only the
    names."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and line[0] not in "#-"]
    return lines if bounded else [re.match(r"[\w.-]+", line)[0] for line in lines]


def pip(*arguments, check=True):
    """Run pip in the canary's environment → whether it succeeded, and what it said."""
    command = [
        PYTHON,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        *arguments,
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, errors="replace"
    )
    if check and done.returncode:
        sys.exit(f"pip {' '.join(arguments)} failed:\n{done.stderr}")
    return not done.returncode, done.stderr.strip()


def lock():
    """Make the environment hold what the lock says."""
    pip("install", "--require-hashes", "-r", "requirements/base.lock")


def versions():
    """→ {package: version} of the environment."""
    command = [
        PYTHON,
        "-m",
        "pip",
        "list",
        "--format=freeze",
        "--disable-pip-version-check",
    ]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("==") for line in listed.splitlines() if "==" in line)


def failures(tests):
    """Run tests → the ids of those that failed, and whether pytest ran at all."""
    RESULT.unlink(missing_ok=True)
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={RESULT}",
        "-o",
        "junit_family=xunit1",
    ]
    options.append(f"--deselect={RANGES}")
    with (ENVIRONMENT / "pytest.log").open("a", encoding="utf-8") as log:
        done = subprocess.run(
            [PYTHON, "-m", "pytest", *options, *tests], cwd=ROOT, stdout=log
        )
    if done.returncode not in (0, 1) or not RESULT.exists():
        return {"pytest itself"}
    cases = ElementTree.parse(RESULT).iter("testcase")
    broken = [
        case for case in cases if {child.tag for child in case} & {"failure", "error"}
    ]
    return {f"{case.get('file')}::{case.get('name')}" for case in broken}


def files(broken):
    """The files that hold failed tests; all tests where pytest itself did not run."""
    return (
        []
        if broken == {"pytest itself"}
        else sorted({test.split("::")[0] for test in broken})
    )


def guilty(lines, tests):
    """Renew each package alone → those with which `tests` fail, as {name: failed
    tests}."""
    found = {}
    for name, line in lines.items():
        lock()
        installed, said = pip("install", "--upgrade", line, check=False)
        broken = failures(tests) if installed else {f"pip: {said.splitlines()[-1]}"}
        print(f"    {name}: {len(broken)} failed", flush=True)
        if broken:
            found[name] = broken
    return found


def try_out(title, wanted, tests):
    """One round: install `wanted`, run the tests, say what changed and what broke →
    success."""
    lock()
    before = versions()
    eager = ("--upgrade", "--upgrade-strategy", "eager")  # what they bring as well
    installed, said = pip("install", *eager, *wanted, check=False)
    after = versions()
    changed = sorted(name for name in after if before.get(name) != after[name])
    print(f"\n{title}: {len(changed)} packages differ from the lock", flush=True)
    for name in changed:
        print(f"    {name} {before.get(name, 'new')} → {after[name]}")
    if not installed:
        print(f"  pip cannot install them together: {said.splitlines()[-1]}")
        return False
    broken = failures(tests) if changed else set()
    if not broken:
        print("  all passed")
        return True
    print(f"  {len(broken)} failed: {', '.join(sorted(broken)[:5])}", flush=True)
    asked = {re.match(r"[\w.-]+", line)[0].lower(): line for line in wanted}
    ours = {name: asked[name.lower()] for name in changed if name.lower() in asked}
    others = {name: name for name in changed if name not in ours}
    again = files(broken) or tests
    found = guilty(ours, again) or guilty(others, again)
    print(f"  broken by: {', '.join(found) or 'no package alone'}")
    return False


def main():
    """The command line; returns the exit status."""
    tests = sys.argv[1:]
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    lock()
    pip("install", "--no-deps", "--no-build-isolation", "-e", ".")
    if broken := failures(tests):
        print(f"Tests fail with the lock already: {', '.join(sorted(broken)[:5])}")
        return 1
    within = try_out("Newest within the ranges", requirements(bounded=True), tests)
    beyond = try_out("Newest of all", requirements(bounded=False), tests)
    print("\n(What pytest printed is in .canary/pytest.log.)")
    return 0 if within and beyond else 1


if __name__ == "__main__":
    sys.exit(run_tool(main))
