#!/usr/bin/python3
"""The whole main job on the virtual bench: both patterns from plug-in to
audited report, the gate's verdicts, faults, what the cloud holds afterwards
as boto3 sees it."""
import csv
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import Bench, check, finish, wait_until  # noqa: E402

COLUMNS = ["lot", "serial", "mac", "attempt", "slot", "station", "operator",
           "start", "end", "firmware_version", "firmware_sha256", "pattern",
           "thing", "certificate_id", "csr_key_sha256", "cloud_state",
           "verdict", "failure_class", "cause", "action"]


def claim_lot():
    with Bench("demo", units=6, slots=3) as bench:
        bench.start()
        batch = bench.batch("--units", "6")
        status = bench.wait_batch(batch)
        check("claim: batch ends with 0", status == 0, status)
        judged = bench.judged()
        check("claim: six verdicts, all PASS",
              [event["verdict"] for event in judged] == ["PASS"] * 6, judged)
        check("claim: the report of each says AWAITING-CONNECTION",
              all(event["cloud_state"] == "AWAITING-CONNECTION"
                  for event in judged), judged)
        things = bench.cloud_things()
        wanted = {"device-" + row["serial"] for row in bench.manifest}
        check("claim: the cloud has exactly the manifest's things",
              set(things) == wanted, sorted(things))
        attributes = [thing["attributes"] for thing in things.values()]
        check("claim: each thing carries serial, lot, station, firmware",
              all(a.get("lot") == "demo" and a.get("station") == "test-bench"
                  and a.get("firmware") == "1.0.0" and a.get("serial")
                  for a in attributes), attributes)
        check("claim: each thing has the lot's type",
              all(thing.get("thingTypeName") == "SmartSensor"
                  for thing in things.values()), things)
        members = bench.iot().list_things_in_thing_group(
            thingGroupName="factory", maxResults=250)["things"]
        check("claim: each thing is in the lot's group",
              set(members) == wanted, members)
        check("claim: no certificate but the claim's was made",
              bench.cloud_certificates() == {}, "certificates")
        rows, text = bench.report()
        check("claim: the report has a row an attempt",
              len(rows) == 6 and all(r["verdict"] == "PASS" for r in rows),
              rows)
        check("claim: the reconciliation adds up",
              "6 rows = 6 passed" in text, text)
        missing = [name for name in COLUMNS if name not in rows[0]]
        check("claim: the report has every column", not missing,
              "%s of %s" % (missing, list(rows[0])))
        with open(bench.path("cloud", "claim", "claim.key.pem")) as text:
            secret = text.read().splitlines()[1]
        leaked = []
        for folder, _, names in os.walk(bench.folder):
            for name in names:
                path = os.path.join(folder, name)
                if "claim" in name or ".flash" in name or \
                        path.startswith(bench.path("cloud")) or \
                        not os.path.isfile(path):
                    continue
                with open(path, "rb") as data:
                    if secret.encode() in data.read():
                        leaked.append(path)
        check("claim: the claim key is in no file of the station",
              not leaked, leaked)
        first = bench.judged()[0]
        transcripts = os.listdir(bench.path("state", "transcripts"))
        check("claim: every attempt has its transcript",
              len(transcripts) == 6 and any(
                  "%08d" % first["attempt"] in name for name in transcripts),
              transcripts)


def csr_lot():
    with Bench("demo-csr", units=6, slots=3) as bench:
        bench.start()
        status = bench.wait_batch(bench.batch("--units", "6"))
        judged = bench.judged()
        check("csr: batch ends with 0 and six PASS", status == 0 and
              [event["verdict"] for event in judged] == ["PASS"] * 6, judged)
        certificates = bench.cloud_certificates()
        ids = {event["certificate_id"] for event in judged}
        check("csr: the cloud's certificates are the units' own, ACTIVE",
              certificates == {name: "ACTIVE" for name in ids}, certificates)
        iot = bench.iot()
        for event in judged[:2]:
            principals = iot.list_thing_principals(
                thingName=event["thing"])["principals"]
            check("csr: thing %s has its certificate" % event["thing"],
                  [p.rsplit("/", 1)[1] for p in principals] ==
                  [event["certificate_id"]], principals)
            policies = iot.list_attached_policies(
                target=principals[0])["policies"]
            check("csr: and that has the lot's policy",
                  [p["policyName"] for p in policies] ==
                  ["FleetDevicePolicy"], policies)
        rows, _ = bench.report()
        check("csr: the report names certificate and key of each",
              all(len(r["certificate_id"]) == 64 and
                  len(r["csr_key_sha256"]) == 64 for r in rows), rows)


def faults_lot():
    with Bench("demo-csr", units=24, slots=8, faults=True) as bench:
        with open(bench.path("plan.csv"), newline="") as text:
            plan = list(csv.DictReader(text))
        bench.start()
        status = bench.wait_batch(
            bench.batch("--units", str(len(plan))), 300)
        judged = bench.judged()
        check("faults: every unit has a verdict",
              len(judged) == len(plan), "%d of %d" % (len(judged), len(plan)))
        check("faults: batch ends with 1", status == 1, status)
        bad = [event for event in judged if event["verdict"] != "PASS"]
        check("faults: every failure names class, cause, text and action",
              all(event["class"] and event["cause"] and event["text"] and
                  event["action"] for event in bad), bad)
        good = [unit for unit in plan if unit["expect"] == "PASS"]
        passed = sum(1 for event in judged if event["verdict"] == "PASS")
        check("faults: all good units passed", passed == len(good),
              "%d of %d: %s" % (passed, len(good), [
                  (e["serial"], e["cause"], e["text"]) for e in bad]))
        causes = {event["cause"] for event in bad}
        words = {"brownout": {"flash-error"}, "done": {"already-made"},
                 "csr": {"csr-invalid", "csr-subject"},
                 "duplicate-key": {"key-reused"},
                 "flash-size": {"wrong-flash"},
                 "no-answer": {"no-answer", "garbage"},
                 "no-boot": {"reset-loop"}, "read-back": {"flash-mismatch"},
                 "secure-download": {"security-state"}}
        wanted = set().union(*(words.get(unit["expect"], {unit["expect"]})
                               for unit in plan)) - {"PASS"}
        print("# causes: %s; expected: %s" % (sorted(causes),
                                              sorted(wanted)))
        check("faults: each fault has its own cause", wanted == causes,
              "wanted %s, got %s" % (sorted(wanted), sorted(causes)))
        active = [name for name, state in
                  bench.cloud_certificates().items() if state == "ACTIVE"]
        ids = {event["certificate_id"] for event in judged
               if event["verdict"] == "PASS"}
        check("faults: only units that passed have an ACTIVE certificate",
              set(active) == ids, "%d active, %d passed" % (
                  len(active), len(ids)))
        rows, text = bench.report()
        check("faults: the sum is printed and adds up",
              "24 rows = " in text, text)


def gate():
    def plan(bench):
        rows = bench.manifest
        with open(bench.path("plan.csv"), "w") as text:
            text.write("serial,mac,chip,fault\n")
            for serial, mac in (
                    ("FIRST", "24:6f:28:ee:ee:00"),
                    (rows[0]["serial"], rows[0]["mac"]),
                    (rows[0]["serial"], rows[0]["mac"]),
                    ("STRANGER", "24:6f:28:ee:ee:01"),
                    (rows[1]["serial"], rows[1]["mac"]),
                    (rows[2]["serial"], rows[2]["mac"])):
                text.write("%s,%s,%s,\n" % (serial, mac, bench.chip))

    with Bench("demo", units=4, slots=1, plan=plan, quantity=1) as bench:
        bench.start()

        def slot(*states):
            found = bench.status()["slots"][0]
            return found if found["state"] in states else None

        wait_until(10, "a unit", lambda: slot("waiting"))
        result = bench.command("unit", "make", "--lot", "demo", "--slot",
                               "1")
        check("gate: a lot that is not open is named",
              "lot-not-open" in result.stdout + result.stderr and
              result.returncode == 1,
              (result.returncode, result.stdout, result.stderr))
        bench.next_unit("1")
        wait_until(10, "the next unit", lambda: slot("waiting"))
        bench.command("lot", "open", "demo", check_status=0)
        causes = []
        for _ in range(4):
            found = wait_until(20, "a verdict", lambda: slot("done"))
            causes.append(found["cause"] or found["verdict"])
            attempt = found["attempt"]
            bench.next_unit("1")
            wait_until(10, "the next unit", lambda: bench.status()[
                "slots"][0]["attempt"] != attempt)
        check("gate: made, made already, a stranger, over the quantity",
              causes == ["PASS", "already-made", "not-in-manifest",
                         "over-quantity"], causes)


def already_made():
    def plan(bench):
        row = bench.manifest[0]
        with open(bench.path("plan.csv"), "w") as text:
            text.write("serial,mac,chip,fault\n")
            for _ in range(2):
                text.write("%s,%s,%s,\n" % (row["serial"], row["mac"],
                                            bench.chip))

    with Bench("demo", units=2, slots=1, plan=plan) as bench:
        bench.start()
        bench.wait_batch(bench.batch("--units", "2"))
        judged = [(event["verdict"], event["cause"])
                  for event in bench.judged()]
        check("gate: a finished unit put back is already made",
              judged == [("PASS", ""), ("REFUSED", "already-made")], judged)
        flashes = bench.sql(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table'")
        check("gate: the ledger can be read beside the daemon", flashes,
              flashes)


def twice():
    def plan(bench):
        row = bench.manifest[0]
        with open(bench.path("plan.csv"), "w") as text:
            text.write("serial,mac,chip,fault\n")
            for name in ("ONE", "OTHER"):
                text.write("%s,%s,%s,\n" % (name, row["mac"], bench.chip))

    with Bench("demo", units=2, slots=2, plan=plan) as bench:
        bench.start()
        bench.wait_batch(bench.batch("--units", "2"))
        judged = sorted((event["verdict"], event["cause"])
                        for event in bench.judged())
        check("gate: the same serial twice in the fixture",
              judged == [("PASS", ""), ("REFUSED", "twice-in-fixture")],
              judged)


def serial_next():
    with Bench("demo", units=3, slots=1, serial_from="next") as bench:
        bench.start()
        status = bench.wait_batch(bench.batch("--units", "3"))
        serials = [event["serial"] for event in bench.judged()]
        check("next: serials are given in the manifest's order",
              status == 0 and
              serials == [row["serial"] for row in bench.manifest],
              (status, serials))


def drain():
    with Bench("demo", units=2, slots=2, real_time=True) as bench:
        bench.start()
        batch = bench.batch("--units", "2")
        wait_until(20, "units at work", lambda: any(
            slot["state"] == "busy" for slot in bench.status()["slots"]))
        bench.station.send_signal(signal.SIGTERM)
        bench.station.wait(60)
        check("drain: SIGTERM ends the daemon with 0",
              bench.station.returncode == 0, bench.station.returncode)
        rows = bench.sql("SELECT count(*) FROM verdict")
        check("drain: units at work came to their verdict",
              rows == [(2,)], rows)
        batch.terminate()
        bench.wait_batch(batch)


def alarm_hold():
    def plan(bench):
        with open(bench.path("plan.csv"), "w") as text:
            text.write("serial,mac,chip,fault\n")
            for row in bench.manifest:
                text.write("%s,%s,%s,small-flash\n" % (
                    row["serial"], row["mac"], bench.chip))

    with Bench("demo", units=6, slots=1, plan=plan,
               alarm="{percent: 5, window: 10, minimum: 3, hold: true}"
               ) as bench:
        bench.start()
        status = bench.wait_batch(bench.batch())
        judged = bench.judged()
        check("alarm: it rings after the minimum and stops the lot",
              status == 2 and len(judged) == 3, (status, len(judged)))
        snapshot = bench.status()
        check("alarm: the line is held and says why",
              snapshot["held"] and snapshot["alarm"]["ringing"] and
              "3 / 0" in snapshot["hold_reason"], snapshot["hold_reason"])
        result = bench.command("unit", "make", "--lot", "demo", "--slot",
                               "1")
        check("alarm: nothing is made on a held line",
              "held" in result.stderr, result.stderr)
        bench.command("release", check_status=0)
        check("alarm: released, and the window is empty",
              not bench.status()["held"] and
              bench.status()["alarm"]["failures"] == 0, bench.status())


def dead_line():
    """What AWS refuses for every unit is refused before the shift; what
    changes during it holds the line at the first unit."""
    with Bench("demo-csr", units=3, slots=1, lot_edit=lambda lot: lot.replace(
            "policy: FleetDevicePolicy", "policy: NoSuchPolicy")) as bench:
        bench.station_start()
        opened = bench.command("lot", "open", "demo-csr")
        check("cloud: a lot with an unknown policy is not opened",
              opened.returncode != 0 and "NoSuchPolicy" in opened.stderr,
              opened.stderr)
    with Bench("demo-csr", units=3, slots=1) as bench:
        bench.station_start()
        bench.command("lot", "open", "demo-csr", check_status=0)
        bench.iot().delete_policy(policyName="FleetDevicePolicy")
        bench.hands_start()
        bench.wait_batch(bench.batch("--units", "1"))
        judged = bench.judged()
        check("cloud: a policy that went is named, with AWS's own name",
              judged[0]["verdict"] == "ERROR" and
              "ResourceNotFound" in judged[0]["text"], judged)
        active = [name for name, state in
                  bench.cloud_certificates().items() if state == "ACTIVE"]
        check("cloud: the unit's certificate stays INACTIVE", not active,
              active)


def full_disk():
    """The ledger's disk is full: nothing is made, nothing is lost, and it
    goes on when there is room again."""
    if os.geteuid() != 0:
        print("# full_disk: only root can mount a small file system")
        return
    with Bench("demo", units=2, slots=2) as bench:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs",
                        bench.path("state")], check=True)
        try:
            bench.station_start()
            bench.command("lot", "open", "demo", check_status=0)
            with open(bench.path("state", "fill"), "wb", 0) as fill:
                try:
                    while True:
                        fill.write(bytes(4096))
                except OSError:
                    pass
            bench.hands_start()
            wait_until(20, "the hold", lambda: bench.status()["held"])
            causes = [slot["cause"] for slot in bench.status()["slots"]
                      if slot["cause"]]
            check("disk: full is said, and the line is held",
                  causes and set(causes) == {"ledger-error"}, causes)
            check("disk: no verdict was recorded",
                  bench.sql("SELECT count(*) FROM verdict") == [(0,)],
                  "verdicts")
            os.unlink(bench.path("state", "fill"))
            bench.command("release", check_status=0)

            def both():
                for slot in bench.status()["slots"]:
                    if slot["state"] in ("done", "waiting") and \
                            slot["verdict"] != "PASS":
                        bench.command("unit", "make", "--lot", "demo",
                                      "--slot", slot["name"])
                return all(slot["verdict"] == "PASS"
                           for slot in bench.status()["slots"])
            check("disk: with room again both units pass",
                  wait_until(30, "PASS", both), "no PASS")
        finally:
            bench.end(bench.station)
            subprocess.run(["umount", bench.path("state")], check=True)


def wrong_account():
    with Bench("demo", units=1, slots=1, lot_edit=lambda lot: lot) as bench:
        path = bench.path("station.yaml")
        with open(path) as text:
            config = text.read()
        with open(path, "w") as text:
            text.write(config.replace("profile: bench}",
                                      "profile: nobody}"))
        bench.station_start()
        result = bench.command("lot", "open", "demo")
        check("cloud: missing credentials stop the opening with a clear "
              "word", result.returncode not in (0, 1) and
              "nobody" in result.stderr, result.stderr)


if __name__ == "__main__":
    only = sys.argv[1:]
    for test in (claim_lot, csr_lot, gate, already_made, twice, serial_next,
                 drain, alarm_hold, dead_line, full_disk, wrong_account, faults_lot):
        if only and test.__name__ not in only:
            continue
        started = time.monotonic()
        try:
            test()
        except Exception as error:  # a test that breaks is a failed one
            check(test.__name__, False, repr(error))
        print("# %s: %.1f s" % (test.__name__, time.monotonic() - started),
              flush=True)
    finish()
