#!/usr/bin/python3
"""A hostile cloud: requests get lost, answers get lost, come late, or the
call takes effect twice, as by a retry on the way. Both lots are worked until
every unit has passed; the operator puts back what failed. Then the cloud
(boto3) and the units themselves (their own consoles) must agree: one thing a
unit, and no ACTIVE certificate but the one that the unit of that thing holds.

The short form makes four units a lot; --units and --rounds make it longer."""
import argparse
import csv
import json
import os
import random
import re
import select
import subprocess
import sys
import termios
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import BIN, Bench, check, finish, wait_until  # noqa: E402

# The first one makes sure of a fault where a short lot's dice are kind.
RULES = [
    {"op": "*", "what": "drop-answer", "nth": 3},
    {"op": "*", "what": "drop-request", "probability": 0.05},
    {"op": "*", "what": "drop-answer", "probability": 0.1},
    {"op": "*", "what": "delay", "ms": 300, "probability": 0.1},
    {"op": "*", "what": "twice", "probability": 0.1},
    {"op": "*", "what": "error", "status": 503,
     "code": "ServiceUnavailableException", "probability": 0.05},
]
# How often the operator puts all units in again, at most.
TURNS = 12


def plan_repeat(bench):
    """The same units again and again; one that passed is refused."""
    with open(bench.path("plan.csv"), newline="") as text:
        head, *units = list(csv.reader(text))
    with open(bench.path("plan.csv"), "w", newline="") as text:
        csv.writer(text).writerows([head] + units * TURNS)


# ---- what a unit says ----

def port_open(path):
    port = os.open(path, os.O_RDWR | os.O_NOCTTY)
    mode = termios.tcgetattr(port)
    mode[0] = mode[1] = mode[3] = 0
    mode[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
    mode[4] = mode[5] = termios.B115200
    termios.tcsetattr(port, termios.TCSANOW, mode)
    return port


def unit_certificate(bench, row):
    """The digest of the certificate that the unit says it holds, or ''."""
    link = bench.path("bench", "asked")
    device = subprocess.Popen(
        [os.path.join(BIN, "bench-device"), "--link", link, "--chip",
         bench.chip, "--mac", row["mac"], "--serial", row["serial"],
         "--heartbeat-ms", "0", "--state", bench.path(
             "bench", "unit-%s.flash" % row["serial"])],
        stderr=subprocess.DEVNULL)
    port = -1
    heard = b""
    try:
        wait_until(10, "the unit's port", lambda: os.path.exists(link))
        port = port_open(link)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            os.write(port, b"\x03cert show\r")
            while select.select([port], [], [], 0.3)[0]:
                heard += os.read(port, 4096)
            found = re.search(rb"\ncert (sha256=([0-9a-f]{64})|none)\r",
                              heard)
            if found:
                return (found[2] or b"").decode()
        raise TimeoutError("%s does not answer: %r" % (row, heard[-200:]))
    finally:
        if port != -1:
            os.close(port)
        bench.end(device)


# ---- what is true in the cloud ----

def cloud_faults(bench):
    with open(bench.path("cloud", "requests.jsonl")) as lines:
        calls = [json.loads(line) for line in lines]
    return sum(1 for call in calls if call.get("fault")), len(calls)


def things_check(name, bench):
    things = bench.cloud_things()
    wanted = {"device-" + row["serial"] for row in bench.manifest}
    check(name + ": one thing a unit and no other",
          set(things) == wanted, sorted(set(things) ^ wanted))
    bad = [thing for thing in things.values()
           if thing.get("thingTypeName") != "SmartSensor" or
           thing["attributes"].get("lot") != bench.lot]
    check(name + ": every thing has its type and attributes", not bad, bad)
    members = bench.iot().list_things_in_thing_group(
        thingGroupName="factory", maxResults=250)["things"]
    check(name + ": every thing is in the group", set(members) == wanted,
          sorted(set(members) ^ wanted))


def certificates_check(name, bench):
    active = {certificate for certificate, state in
              bench.cloud_certificates().items() if state == "ACTIVE"}
    if bench.lot == "demo":
        check(name + ": no certificate but the claim is ACTIVE", not active,
              active)
        return
    held = {row["serial"]: unit_certificate(bench, row)
            for row in bench.manifest}
    check(name + ": every unit holds a certificate", all(held.values()),
          held)
    check(name + ": ACTIVE is what a unit holds and nothing else",
          active == set(held.values()), "active %s, held %s" % (
              sorted(active), held))
    iot = bench.iot()
    loose = []
    for serial, certificate in held.items():
        principals = iot.list_thing_principals(
            thingName="device-" + serial)["principals"]
        policies = [policy["policyName"] for arn in principals
                    for policy in iot.list_attached_policies(
                        target=arn)["policies"]]
        if not any(arn.endswith("/" + certificate) for arn in principals) \
                or "FleetDevicePolicy" not in policies:
            loose.append((serial, principals, policies))
    check(name + ": every unit's certificate is its thing's, with policy",
          not loose, loose)


# ---- a lot ----

def lot_open(bench):
    """The account is looked at in the cloud: that may want several tries."""
    wait_until(20, "the ledger", lambda: bench.status()["ledger"] == "up")

    def tried():
        result = bench.command("lot", "open", bench.lot)
        if result.returncode != 0:
            print("# opening again: %s" % result.stderr.strip())
        return result.returncode == 0
    wait_until(30, "the lot to open", tried)


def lot_make(bench, seconds):
    """The operator changes every judged unit for the next until all rows of
    the manifest have passed; returns the lot as the station has it then."""
    changed = set()
    deadline = time.monotonic() + seconds
    while True:
        snapshot = bench.status()
        lot = snapshot["lots"][0]
        if lot["passed"] == len(bench.manifest) or \
                time.monotonic() > deadline:
            return lot
        for slot in snapshot["slots"]:
            judged = (slot["name"], slot["attempt"])
            if slot["state"] == "done" and judged not in changed:
                changed.add(judged)
                bench.hands.stdin.write(json.dumps(
                    {"event": "verdict", "slot": slot["name"]}).encode() +
                    b"\n")
                bench.hands.stdin.flush()
        time.sleep(0.05)


def report_check(name, bench):
    rows, text = bench.report()
    for row in rows:
        if row["serial"] and row["verdict"] not in ("PASS", "REFUSED"):
            print("# put back: %s %s" % (row["serial"], row["cause"]))
    check(name + ": the report adds up", "%d rows = %d passed" % (
        len(bench.manifest), len(bench.manifest)) in text, text)
    passed = [row["serial"] for row in rows if row["verdict"] == "PASS"]
    check(name + ": every unit passed exactly once", sorted(passed) ==
          sorted(row["serial"] for row in bench.manifest), sorted(passed))


def lot_work(lot, units, seed):
    name = "%s, seed %d" % (lot, seed)
    with Bench(lot, units=units, slots=min(units, 8), seed=seed,
               plan=plan_repeat) as bench:
        with open(bench.path("cloud", "faults.json"), "w") as text:
            json.dump(RULES, text)
        bench.station_start()
        lot_open(bench)
        bench.hands_start()
        state = lot_make(bench, 20 + 5 * units)
        check(name + ": the lot is completed", state["passed"] == units,
              state)
        # The units come out; what the station still owes the cloud, it does.
        bench.end(bench.hands)
        wait_until(30, "slots at rest", lambda: not any(
            slot["state"] == "busy" for slot in bench.status()["slots"]))
        with open(bench.path("cloud", "faults.json"), "w") as text:
            json.dump([], text)
        faults, calls = cloud_faults(bench)
        print("# %s: %d of %d calls met a fault" % (name, faults, calls))
        check(name + ": the cloud was hostile", faults > 0, faults)
        report_check(name, bench)
        things_check(name, bench)
        certificates_check(name, bench)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    options = parser.parse_args()
    print("# seed %d" % options.seed, flush=True)
    for turn in range(options.rounds):
        for lot in ("demo", "demo-csr"):
            started = time.monotonic()
            try:
                lot_work(lot, options.units, options.seed + turn)
            except Exception as error:  # a test that breaks is a failed one
                check(lot, False, repr(error))
            print("# %s: %.1f s" % (lot, time.monotonic() - started),
                  flush=True)
    finish()


if __name__ == "__main__":
    main()
