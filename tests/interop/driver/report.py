"""The lines that a run prints, and their count."""

import asyncio
import re

# Longest that anything may take. Far more than it needs: only something broken takes so long.
PATIENCE = 30


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def ok(self, client, what):
        self.passed += 1
        print(f"ok {client}: {what}", flush=True)

    def fail(self, client, what, why):
        self.failed += 1
        print(f"FAILED {client}: {what}: {why}"[:2000], flush=True)

    def count(self, client, output, code):
        """What a program printed that makes such lines itself, and how it ended."""
        print(output, end="", flush=True)
        passed = len(re.findall("(?m)^ok ", output))
        failed = len(re.findall("(?m)^FAILED ", output))
        self.passed += passed
        self.failed += failed
        if code != 0 and not failed or passed + failed == 0:
            self.fail(client, "its program", code)

    async def check(self, client, what, coroutine):
        """Waits for it. Whether it came to its end without an exception."""
        try:
            await asyncio.wait_for(coroutine, PATIENCE)
        except asyncio.TimeoutError:
            self.fail(client, what, f"nothing within {PATIENCE} s")
        except Exception as error:
            self.fail(client, what, repr(error))
        else:
            self.ok(client, what)
            return True
        return False


def expect(value, wanted):
    if value != wanted:
        raise AssertionError(f"{value!r} instead of {wanted!r}")
