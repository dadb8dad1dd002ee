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

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import BUILD, Bench, check, finish, wait_until  # noqa: E402

SHIM = os.path.join(BUILD, "tools", "system", "kill_shim.so")
# How far each role's points reach in a lot of two units, a little more.
REACH = {
    ("ledger", "sync"): 40, ("all", "sync"): 40, ("ledger", "send"): 60,
    ("cloud", "send"): 16, ("vault", "send"): 6, ("slot", "send"): 24,
    ("line", "send"): 140,
}


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
        deadline = time.monotonic() + 60
        opened = False
        while time.monotonic() < deadline:
            if bench.station.poll() is not None:
                # The parent or the line was taken: the next start recovers.
                bench.station_start(wait=False)
            if not opened:
                opened = bench.command("lot", "open", lot).returncode == 0
            rows = passed(bench)
            if rows is not None and len(rows) == 2:
                break
            # The operator takes a failed unit out and puts it back.
            redo(bench)
            time.sleep(0.05)
        rows = passed(bench) or []
        if sorted(rows) != sorted({row for row in rows}):
            wrong.append("a serial passed twice: %s" % rows)
        if len(rows) != 2:
            wrong.append("passed: %s; %s" % (rows, [
                row for row in bench.sql(
                    "SELECT attempt, verdict, cause, text FROM verdict")]))
        things = set(bench.cloud_things())
        wanted = {"device-" + row["serial"] for row in bench.manifest}
        if things != wanted:
            wrong.append("things: %s" % sorted(things))
        certificates = bench.cloud_certificates()
        active = {name for name, state in certificates.items()
                  if state == "ACTIVE"}
        held = {row[0] for row in bench.sql(
            "SELECT o.certificate_id FROM outcome o JOIN verdict v "
            "ON v.attempt = o.attempt WHERE o.kind = 'activate' "
            "AND v.verdict = 'PASS'")}
        if lot == "demo" and active:
            wrong.append("certificates: %s" % active)
        if lot == "demo-csr" and (len(active) != 2 or active != held):
            wrong.append("active: %s, held: %s" % (active, held))
    return wrong


def passed(bench):
    try:
        return [row[0] for row in bench.sql(
            "SELECT DISTINCT m.serial, v.attempt FROM verdict v JOIN gate g "
            "ON g.attempt = v.attempt AND g.bound = 1 JOIN manifest m "
            "ON m.id = g.manifest WHERE v.verdict = 'PASS'")]
    except Exception:
        return None


def redo(bench):
    """Units that were judged without a PASS are put back by hand."""
    snapshot = bench.status(quiet=True)
    if snapshot is None:
        return
    if snapshot["held"]:
        bench.command("release")
    for slot in snapshot["slots"]:
        if slot["state"] == "done" and slot["verdict"] in (
                "FAIL", "ERROR", "ABORTED") and slot["lot"]:
            bench.command("unit", "make", "--lot", slot["lot"], "--slot",
                          slot["name"])


def points(everything, sample, seed):
    full = [(lot, role, "%s-%s" % (when, what), number)
            for (role, what), reach in REACH.items()
            for when in ("before", "after")
            for lot in ("demo", "demo-csr")
            for number in range(1, reach + 1)
            if not (role == "vault" and lot == "demo-csr")]
    if everything:
        return full
    return random.Random(seed).sample(full, sample)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--sample", type=int, default=48)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--one", help="lot:role:what:n")
    options = parser.parse_args()
    print("# seed %d" % options.seed, flush=True)
    if options.one:
        lot, role, what, number = options.one.split(":")
        cases = [(lot, role, what, int(number))]
    else:
        cases = points(options.all, options.sample, options.seed)
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
