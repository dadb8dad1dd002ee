#!/usr/bin/python3
"""kill -9 of any role, or of all, at an exact point of its work; then a
restart. No unit lost, none made twice, no certificate left ACTIVE that no
unit holds: held against the cloud (boto3), the ledger (sqlite3) and what
the units themselves say.

A point is the n-th durable write or the n-th sent message of a role
(kill_shim.c). The short form takes a sample, whose seed it prints; with
`--all` every point up to where the role has no more is taken."""
import argparse
import concurrent.futures
import os
import random
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import BUILD, Bench, check, finish  # noqa: E402
from patterns_test import LOTS, unit_certificate  # noqa: E402

SHIM = os.path.join(BUILD, "tools", "system", "kill_shim.so")
# How far each role's points reach in a lot of two units, a little more.
REACH = {
    ("ledger", "sync"): 60, ("all", "sync"): 60, ("ledger", "send"): 80,
    ("cloud", "send"): 16, ("vault", "send"): 12, ("slot", "send"): 30,
    ("line", "send"): 160,
}
# Lots for which the vault holds no key.
NO_KEY = ("demo-csr", "demo-register-thing", "demo-register-pem",
          "demo-readback", "demo-bulk")


def lot_redo(bench, lot, seconds):
    """Goes on until both units have passed, restarting what ends and putting
    failed units back."""
    deadline = time.monotonic() + seconds
    opened = False
    bulk = bench.conf.get("visits") == "2"
    while time.monotonic() < deadline:
        if bench.station.poll() is not None:
            # The parent or the line was taken: the next start recovers.
            bench.station_start(wait=False)
        if not opened:
            opened = bench.command("lot", "open", lot).returncode == 0
        rows = passed(bench)
        if rows is not None and len(rows) == 2:
            return
        if bulk and staged(bench) == 2:
            bulk = bench.command("bulk", lot, timeout=120).returncode != 0
        # The operator takes a failed unit out and puts it back.
        redo(bench, bulk)
        time.sleep(0.05)


def cloud_wrong(bench, lot):
    """What is wrong in the cloud, by boto3, and in the units."""
    wrong = []
    where = LOTS[lot][1]
    things = set(bench.cloud_things())
    wanted = {"device-" + row["serial"] for row in bench.manifest}
    if things != (wanted if where != "field" else set()):
        wrong.append("things: %s" % sorted(things))
    active = {name for name, state in bench.cloud_certificates().items()
              if state == "ACTIVE"}
    recorded = {row[0] for row in bench.sql(
        "SELECT DISTINCT o.certificate_id FROM outcome o JOIN verdict v "
        "ON v.attempt = o.attempt WHERE o.kind IN ('activate', 'confirm') "
        "AND v.verdict = 'PASS' AND o.certificate_id <> ''")}
    if where in ("none", "field"):
        return wrong + (["active: %s" % active] if active else [])
    held = {unit_certificate(bench, row, where) for row in bench.manifest}
    if len(active) != 2 or active != held or active != recorded:
        wrong.append("active: %s, held: %s, recorded: %s" % (
            active, held, recorded))
    return wrong


def one(lot, role, what, number):
    """One lot of two units with one kill; returns what is wrong."""
    wrong = []
    with Bench(lot, units=2, slots=2, seed=number) as bench:
        mark = bench.path("killed")
        open(mark, "w").close()
        bench.station_start(
            wait=False, LD_PRELOAD=SHIM, KILL_SHIM_MARK=mark,
            KILL_SHIM="%s:%s:%d" % (role, what, number))
        bench.hands_start()
        lot_redo(bench, lot, 120)
        rows = passed(bench) or []
        if sorted(rows) != sorted({row for row in rows}):
            wrong.append("a serial passed twice: %s" % rows)
        if len(rows) != 2:
            wrong.append("passed: %s; %s" % (rows, bench.sql(
                "SELECT attempt, verdict, cause, text FROM verdict")))
        bench.hands_end()
        # What the station still owes the cloud, it does by itself.
        deadline = time.monotonic() + 30
        left = cloud_wrong(bench, lot)
        while left and time.monotonic() < deadline:
            time.sleep(1)
            left = cloud_wrong(bench, lot)
        wrong += left
    return wrong


def staged(bench):
    try:
        return bench.sql(
            "SELECT count(DISTINCT g.manifest) FROM verdict v JOIN gate g "
            "ON g.attempt = v.attempt WHERE v.verdict = 'STAGED'")[0][0]
    except Exception:
        return 0


def passed(bench):
    try:
        return [row[0] for row in bench.sql(
            "SELECT DISTINCT m.serial, v.attempt FROM verdict v JOIN gate g "
            "ON g.attempt = v.attempt AND g.bound = 1 JOIN manifest m "
            "ON m.id = g.manifest WHERE v.verdict = 'PASS'")]
    except Exception:
        return None


def redo(bench, staging):
    """Units that were judged without a PASS are put back by hand; staged
    ones come back when they are registered."""
    snapshot = bench.status(quiet=True)
    if snapshot is None:
        return
    if snapshot["held"]:
        bench.command("release")
    again = ("FAIL", "ERROR", "ABORTED") if staging else (
        "FAIL", "ERROR", "ABORTED", "STAGED", "REFUSED")
    for slot in snapshot["slots"]:
        if slot["state"] == "done" and slot["verdict"] in again and \
                slot["lot"]:
            bench.command("unit", "make", "--lot", slot["lot"], "--slot",
                          slot["name"])


def points(everything, sample, seed, only=""):
    """All of them, or a sample with at least one of each lot; `only` such as
    "ledger:after-sync"."""
    full = [(lot, role, "%s-%s" % (when, what), number)
            for (role, what), reach in REACH.items()
            for when in ("before", "after")
            if only in ("", "%s:%s-%s" % (role, when, what))
            for lot in LOTS
            for number in range(1, reach + 1)
            if not (role == "vault" and lot in NO_KEY)]
    if everything:
        return full
    dice = random.Random(seed)
    one_each = [dice.choice([point for point in full if point[0] == lot])
                for lot in LOTS]
    return one_each + dice.sample(full, max(sample - len(one_each), 0))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--sample", type=int, default=48)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--one", help="lot:role:what:n")
    parser.add_argument("--only", default="", help="role:what")
    options = parser.parse_args()
    print("# seed %d" % options.seed, flush=True)
    if options.one:
        lot, role, what, number = options.one.split(":")
        cases = [(lot, role, what, int(number))]
    else:
        cases = points(options.all, options.sample, options.seed,
                       options.only)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        futures = {pool.submit(one, *case): case for case in cases}
        for future in concurrent.futures.as_completed(futures):
            case = futures[future]
            name = "kill %s: %s %s %d" % case
            try:
                wrong = future.result()
            except Exception as error:
                wrong = [repr(error)]
            check(name, not wrong, "; ".join(wrong))
    finish()


if __name__ == "__main__":
    main()
