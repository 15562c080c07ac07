"""``python -m skmtl.testing [kind ...]``: the table of installed plugins and what they pass."""

import argparse

from skmtl.plugins import available, resolve
from skmtl.testing import plugin_checks


def table(kind, names):
    """Print a line for each plugin of a kind; gives the messages of what failed.

    A column is a check, by its number in the list above the table: "." passed, "F" failed, blank
    where it does not apply.
    """
    plugins = {name: resolve(kind, name, "name") for name in names}
    checks = {}
    for plugin in plugins.values():
        checks.update(plugin_checks(plugin))
    print(f"\n{kind}")
    for number, check in enumerate(checks, start=1):
        print(f"  {number:2} {check.removeprefix('check_')}")
    width, failures = max(map(len, plugins)), []
    print(f"  {'':{width}} " + "".join(f"{number:3}" for number in range(1, len(checks) + 1)))
    for name, plugin in plugins.items():
        own, marks = dict(plugin_checks(plugin)), []
        for check in checks:
            try:
                marks.append(" " if check not in own else ".")
                if check in own:
                    own[check](plugin)
            except AssertionError as error:
                marks[-1] = "F"
                failures.append(str(error))
        print(f"  {name:{width}} " + "".join(f"{mark:>3}" for mark in marks), flush=True)
    return failures


def main(arguments=None):
    """Check all installed plugins, or those of some kinds; ends with status 1 if any fails."""
    parser = argparse.ArgumentParser("python -m skmtl.testing", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"of {', '.join(available())}")
    kinds = parser.parse_args(arguments).kinds or list(available())
    failures = [message for kind in kinds for message in table(kind, available(kind))]
    print("\n" + ("\n".join(failures) or "All plugins keep their contracts."))
    return int(bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
