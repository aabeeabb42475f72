"""Says in one line why the Python that runs this file cannot run the lessons; silent if
it can.

Plain enough for every Python since 2.7: an unsuitable one is what it is for. With
--existing it speaks for an environment that is there already, and does not ask whether
new ones can be made.
"""

import platform
import sys
import sysconfig

FIRST, LAST = (3, 11), (3, 13)  # TensorFlow and NumPy have no packages for others


def problem(existing):
    version = sys.version_info[:2]
    found = "Python %d.%d (%s)" % (version[0], version[1], sys.executable)
    if not FIRST <= version <= LAST:
        return found + " is unsuitable: the lessons need Python %d.%d to %d.%d" % (
            FIRST + LAST
        )
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var(
        "Py_GIL_DISABLED"
    ):
        return found + (
            " is a variant that TensorFlow has no packages for: take the usual CPython"
        )
    if sys.maxsize < 2**32:
        return found + " is a 32-bit one: TensorFlow needs a 64-bit Python"
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        return (
            found + " is for Intel Macs, for which TensorFlow has no packages any more"
        )
    if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return (
            found + " is built for musl (Alpine): TensorFlow needs a system with glibc"
        )
    try:
        if not existing:
            import ensurepip  # noqa: F401
            import venv  # noqa: F401
    except ImportError:
        package = "python%d.%d-venv" % version
        return (
            found
            + " cannot make environments; on Debian and Ubuntu: apt install "
            + package
        )
    return None


if __name__ == "__main__":
    if hasattr(sys.stdout, "reconfigure"):  # from Python 3.7 on
        # The path of this Python may hold a sign that the console's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    reason = problem("--existing" in sys.argv)
    if reason:
        print(reason)
        sys.exit(1)
