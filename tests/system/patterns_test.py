#!/usr/bin/python3
"""Every way of provisioning, from plug-in to audited report: all demo lots
on the virtual bench. Then the cloud, as Debian's `aws` sees it, and the units
themselves must agree: one certificate a unit, ACTIVE, attached to its thing,
and nothing else ACTIVE.

Each lot is made three times: on a good day; in an account that throttles far
below AWS's quotas; with a hostile network (10 % of the answers lost, past the
time-out or twice; the operator puts back what failed). Some are made a fourth
time, with units that misbehave. `patterns_test.py [--turn TURN] [LOT...]`
takes some of them."""
import argparse
import concurrent.futures
import csv
import hashlib
import json
import os
import random
import ssl
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import Bench, check, finish, wait_until  # noqa: E402

# Lot: what `pattern` says in its report, and where its certificates are.
LOTS = {
    "demo": ("claim", "none"),
    "demo-csr": ("csr", "own"),
    "demo-register-thing": ("register-thing", "own"),
    "demo-register-pem": ("register-thing", "birth"),
    "demo-readback": ("certificate-readback", "birth"),
    "demo-claim-bench": ("claim", "own"),
    "demo-claim-proxy": ("claim", "own"),
    "demo-claim-keys": ("claim", "own"),
    "demo-trusted-user": ("trusted-user", "own"),
    "demo-trusted-proxy": ("trusted-user", "own"),
    "demo-jitp": ("jitp", "field"),
    "demo-jitp-bench": ("jitp", "own"),
    "demo-jitr": ("jitr", "own"),
    "demo-bulk": ("bulk", "own"),
}
# What issues, registers or activates loses an answer and is done twice for
# certain, everything else by chance: 10 % of all answers. The requests behind
# them have taken effect. The station waits 20 s for an answer.
EFFECTS = ("CreateCertificateFromCsr", "CreateProvisioningClaim",
           "RegisterCertificate", "RegisterThing",
           "StartThingRegistrationTask", "UpdateCertificate",
           "mqtt:CreateCertificateFromCsr", "mqtt:CreateKeysAndCertificate",
           "mqtt:RegisterThing")
HOSTILE = [{"op": op, "what": "drop-answer", "nth": 1} for op in EFFECTS] + [
    {"op": op, "what": "twice", "nth": 3} for op in EFFECTS] + [
    {"op": "*", "what": "drop-answer", "nth": 4},
    {"op": "*", "what": "drop-answer", "probability": 0.04},
    {"op": "*", "what": "delay", "ms": 21500, "probability": 0.02},
    {"op": "*", "what": "twice", "probability": 0.04},
]
# Calls a second; the station thinks that it may have ten times as many.
THROTTLED = {name: 1 for name in (
    "AddThingToThingGroup", "AttachPolicy", "AttachThingPrincipal",
    "CreateCertificateFromCsr", "CreateProvisioningClaim", "CreateThing",
    "DescribeCertificate", "DescribeThing", "ListThingPrincipals",
    "RegisterCertificate", "RegisterThing", "UpdateCertificate",
    "mqtt:CreateCertificateFromCsr", "mqtt:CreateKeysAndCertificate",
    "mqtt:RegisterThing")}
# Units that misbehave, and what a good line says of them.
FAULTY = {
    "demo-claim-bench": {
        "wifi-never": "console-error", "wifi-keep": "readback-mismatch",
        "provision-rejected": "console-error",
        "claim-keep": "readback-mismatch", "no-connection": "not-connected",
        "old-certificate": "not-connected", "": ""},
    "demo-trusted-user": {
        "wifi-keep": "readback-mismatch", "no-connection": "not-connected",
        "": ""},
    "demo-jitp-bench": {
        "wifi-keep": "readback-mismatch", "no-connection": "not-connected",
        "old-certificate": "not-connected", "": ""},
    "demo-jitr": {"no-connection": "not-connected", "": ""},
    "demo-readback": {"wrong-birth": "csr-invalid", "": ""},
    "demo-register-pem": {"wrong-birth": "csr-invalid", "": ""},
}
TURNS = 12  # how often the operator puts all units in, at most
UNITS = 4
SLOTS = 2


def plan_repeat(bench):
    """The same units again and again; one that passed is refused."""
    with open(bench.path("plan.csv"), newline="") as text:
        head, *units = list(csv.reader(text))
    with open(bench.path("plan.csv"), "w", newline="") as text:
        csv.writer(text).writerows([head] + units * TURNS)


# ---- what is true ----

def unit_certificate(bench, row, where):
    """The certificate that the unit has, by its own word: its id or ''."""
    if where == "birth":
        found = bench.unit_says(
            row, "birth cert", rb"(?s)(-----BEGIN CERT.*-----END "
            rb"CERTIFICATE-----)|error: no birth")
        pem = (found[1] or b"").decode().replace("\r", "")
        return hashlib.sha256(
            ssl.PEM_cert_to_DER_cert(pem)).hexdigest() if pem else ""
    found = bench.unit_says(row, "cert show",
                            rb"\ncert (?:sha256=([0-9a-f]{64})|none)\r")
    return (found[1] or b"").decode()


def claim_ids(bench):
    with open(bench.path("cloud", "claim", "claim.cert.pem")) as text:
        return {hashlib.sha256(
            ssl.PEM_cert_to_DER_cert(text.read())).hexdigest()}


def cloud_check(name, bench, where):
    """By aws: the manifest's things, and each with its unit's own."""
    things = {thing["thingName"]: thing for thing in
              bench.aws("iot", "list-things")["things"]}
    active = {entry["certificateId"] for entry in
              bench.aws("iot", "list-certificates")["certificates"]
              if entry["status"] == "ACTIVE"} - claim_ids(bench)
    wanted = {"device-" + row["serial"] for row in bench.manifest}
    held = {}
    if where != "none":
        held = {"device-" + row["serial"]: unit_certificate(bench, row, where)
                for row in bench.manifest}
        check(name + ": every unit holds a certificate of its own",
              all(held.values()) and
              len(set(held.values())) == len(held), held)
    if where in ("none", "field"):
        check(name + ": nothing is ACTIVE before the first connection",
              not active, active)
        check(name + ": the things are there when they should be",
              set(things) == (wanted if where == "none" else set()),
              sorted(things))
        return
    check(name + ": the cloud has the manifest's things and no other",
          set(things) == wanted, sorted(set(things) ^ wanted))
    check(name + ": ACTIVE is what a unit holds and nothing else",
          active == set(held.values()),
          "active %s, held %s" % (sorted(active), held))
    wrong = {}
    for thing in wanted & set(things):
        own = [arn.rsplit("/", 1)[1] for arn in bench.aws(
            "iot", "list-thing-principals", "--thing-name",
            thing)["principals"]]
        if [one for one in own if one in active] != [held[thing]]:
            wrong[thing] = own
    check(name + ": each thing has its unit's certificate alone in service",
          not wrong, wrong)
    arn = bench.aws("iot", "describe-certificate", "--certificate-id",
                    sorted(active)[0])["certificateDescription"][
                        "certificateArn"] if active else ""
    policies = bench.aws("iot", "list-attached-policies", "--target",
                         arn)["policies"] if arn else []
    check(name + ": and that has the policy",
          [one["policyName"] for one in policies] == ["FleetDevicePolicy"],
          policies)


def report_check(name, bench, pattern, where):
    rows, text = bench.report()
    count = len(bench.manifest)
    check(name + ": the report adds up", "%d rows = %d passed" % (
        count, count) in text, text)
    passed = [row for row in rows if row["verdict"] == "PASS"]
    check(name + ": every unit passed exactly once",
          sorted(row["serial"] for row in passed) ==
          sorted(row["serial"] for row in bench.manifest), rows)
    state = "ACTIVE" if where in ("own", "birth") else "AWAITING-CONNECTION"
    check(name + ": the report says pattern and cloud state",
          all(row["pattern"] == pattern and row["cloud_state"] == state
              for row in passed), passed)
    if where != "none":
        held = {row["serial"]: unit_certificate(bench, row, where)
                for row in bench.manifest}
        check(name + ": the report names each unit's certificate",
              {row["serial"]: row["certificate_id"] for row in passed} ==
              held, (held, passed))


def lent_check(name, bench):
    """What units were lent is in none of them, nor in the records."""
    if "wifi" not in bench.conf:
        return
    left = [row["serial"] for row in bench.manifest if not bench.unit_says(
        row, "wifi status", rb"\nwifi none\r")]
    check(name + ": no unit keeps the factory's Wi-Fi", not left, left)
    with open(bench.path("wifi")) as text:
        password = text.read().splitlines()[1]
    leaks_check(name + ": the password is in no record", bench, password)


def leaks_check(name, bench, secret):
    leaked = []
    for part in ("state", "logs"):
        for folder, _, names in os.walk(bench.path(part)):
            for one in names:
                path = os.path.join(folder, one)
                if not os.path.isfile(path):
                    continue
                with open(path, "rb") as data:
                    if secret.encode() in data.read():
                        leaked.append(path)
    check(name, not leaked, leaked)


# ---- a lot ----

def lot_open(bench):
    wait_until(20, "the ledger", lambda: bench.status()["ledger"] == "up")

    def tried():
        result = bench.command("lot", "open", bench.lot)
        if result.returncode != 0:
            print("# opening again: %s" % result.stderr.strip())
        return result.returncode == 0
    wait_until(60, "the lot to open", tried)


def lot_until(bench, seconds, done):
    """The operator changes every judged unit for the next until it is done;
    returns the lot as the station has it then."""
    changed = set()
    deadline = time.monotonic() + seconds
    while True:
        snapshot = bench.status()
        lot = snapshot["lots"][0]
        if done(lot) or time.monotonic() > deadline:
            return lot
        if snapshot["held"]:
            print("# held: %s" % snapshot.get("hold_reason"))
            bench.command("release")
        for slot in snapshot["slots"]:
            judged = (slot["name"], slot["attempt"])
            if slot["state"] != "done" or judged in changed:
                continue
            changed.add(judged)
            if slot["verdict"] not in ("PASS", "STAGED", "REFUSED"):
                print("# put back: %s %s: %s" % (
                    slot["serial"], slot["cause"], slot.get("text")))
            bench.next_unit(slot["name"])
        time.sleep(0.05)


def visits(name, bench, seconds):
    """The lot's one visit, or its two with `station bulk` between them."""
    bench.hands_start()
    if bench.conf.get("visits") == "2":
        lot = lot_until(bench, seconds, lambda lot: staged(bench) == UNITS)
        check(name + ": every unit is staged", staged(bench) == UNITS, lot)
        bench.hands_end()
        bulk = bench.command("bulk", bench.lot, timeout=180)
        tries = 1
        while bulk.returncode != 0 and tries < 6:
            print("# bulk again: %s" % bulk.stderr.strip())
            bulk = bench.command("bulk", bench.lot, timeout=180)
            tries += 1
        check(name + ": station bulk registers them",
              bulk.returncode == 0, (bulk.returncode, bulk.stdout,
                                     bulk.stderr))
        bench.hands_start()
    lot = lot_until(bench, seconds, lambda lot: lot["passed"] == UNITS)
    check(name + ": the lot is completed", lot["passed"] == UNITS, lot)
    bench.hands_end()
    wait_until(60, "slots at rest", lambda: not any(
        slot["state"] == "busy" for slot in bench.status()["slots"]))


def obligations_wait(bench):
    """What the station still owes the cloud, it does by itself: but for
    strays, which it looks for twice, ten minutes apart."""
    deadline = time.monotonic() + 30
    while bench.status()["lots"][0]["obligations"] and \
            time.monotonic() < deadline:
        time.sleep(0.2)


def staged(bench):
    return bench.sql("SELECT count(DISTINCT g.manifest) FROM verdict v "
                     "JOIN gate g ON g.attempt = v.attempt "
                     "WHERE v.verdict = 'STAGED'")[0][0]


def rates_write(file, turn):
    json.dump(THROTTLED if turn == "throttled" else {}, file)
    file.flush()
    return file.name


def calls_check(name, bench, turn):
    """The turn was what it is called."""
    with open(bench.path("cloud", "requests.jsonl")) as lines:
        calls = [json.loads(line) for line in lines]
    throttled = sum(1 for call in calls if call["throttled"])
    faults = {}
    for call in calls:
        if call["fault"]:
            faults[call["fault"]] = faults.get(call["fault"], 0) + 1
    print("# %s: %d calls, %d throttled, faults %s" % (
        name, len(calls), throttled, faults))
    if turn == "hostile":
        check(name + ": the cloud was hostile", faults, faults)
    elif turn == "throttled" and bench.lot != "demo-jitp":
        check(name + ": the cloud throttled", throttled > 0, throttled)


def lot_make(lot, turn, seed):
    pattern, where = LOTS[lot]
    name = "%s, %s" % (lot, turn)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as rates, \
            Bench(lot, units=UNITS, slots=SLOTS, seed=seed, plan=plan_repeat,
                  rates=rates_write(rates, turn)) as bench:
        if turn == "hostile":
            bench.faults_set(HOSTILE)
        bench.station_start()
        lot_open(bench)
        visits(name, bench, {"good": 90, "throttled": 150, "hostile": 300}[turn])
        bench.faults_set([])
        obligations_wait(bench)
        report_check(name, bench, pattern, where)
        cloud_check(name, bench, where)
        lent_check(name, bench)
        calls_check(name, bench, turn)


def plan_faulty(bench):
    """One unit a fault, and the good one last."""
    with open(bench.path("plan.csv"), "w") as text:
        text.write("serial,mac,chip,fault\n")
        for row, fault in zip(bench.manifest, FAULTY[bench.lot]):
            text.write("%s,%s,%s,%s\n" % (row["serial"], row["mac"],
                                          bench.chip, fault))


def lot_faulty(lot, turn, seed):
    name = "%s, %s" % (lot, turn)
    faults = FAULTY[lot]
    where = LOTS[lot][1]

    def edit(text):
        return text if "ending: bench" not in text else text.replace(
            "ending: bench", "ending: bench\nconfirm_timeout: 6s")
    with Bench(lot, units=len(faults), slots=SLOTS, seed=seed,
               plan=plan_faulty, lot_edit=edit) as bench:
        bench.start()
        bench.wait_batch(bench.batch("--units", str(len(faults))), 240)
        bench.hands_end()
        judged = {event["serial"]: event for event in bench.judged()}
        for row, (fault, cause) in zip(bench.manifest, faults.items()):
            event = judged.get(row["serial"], {"cause": "no verdict"})
            check("%s: %s: %s" % (name, fault or "a good unit",
                                  cause or "PASS"),
                  event["cause"] == cause, event)
        # A unit that failed after its first connection keeps its certificate
        # for the rework, or loses it as scrap.
        for row, cause in zip(bench.manifest, faults.values()):
            if cause == "readback-mismatch":
                bench.command("unit", "scrap", row["serial"], "--lot", lot,
                              "--reason", "kept what it was lent",
                              check_status=0)
        bench.command("lot", "open", lot, check_status=0)
        obligations_wait(bench)
        active = {entry["certificateId"] for entry in
                  bench.aws("iot", "list-certificates")["certificates"]
                  if entry["status"] == "ACTIVE"} - claim_ids(bench)
        held = {unit_certificate(bench, bench.manifest[-1], where)}
        check(name + ": only the good unit's certificate is ACTIVE",
              active == held, (active, held))


def one(lot, turn, seed):
    started = time.monotonic()
    try:
        if turn == "faulty":
            lot_faulty(lot, turn, seed)
        else:
            lot_make(lot, turn, seed)
    except Exception as error:  # a test that breaks is a failed one
        check("%s, %s" % (lot, turn), False, repr(error))
    print("# %s, %s: %.1f s" % (lot, turn, time.monotonic() - started),
          flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--turn", action="append",
                        choices=("good", "throttled", "hostile", "faulty"))
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("lots", nargs="*")
    options = parser.parse_args()
    print("# seed %d" % options.seed, flush=True)
    # Most of a lot's time is waiting.
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for turn in options.turn or ("good", "throttled", "hostile", "faulty"):
            for lot in options.lots or LOTS:
                # Each lot has dice of its own.
                if turn != "faulty" or lot in FAULTY:
                    pool.submit(one, lot, turn,
                                options.seed + sorted(LOTS).index(lot))
    finish()


if __name__ == "__main__":
    main()
