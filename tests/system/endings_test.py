#!/usr/bin/python3
"""What becomes of units that do not reach their end: first articles that
hold a lot, rejected certificates of the lot's own CA, claims that were not
used, units whose first connection never comes, a reworked bulk unit. What
the cloud holds is asked for by boto3, what the units hold by themselves."""
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import Bench, check, finish, wait_until  # noqa: E402


def plan_of(*faults):
    """The manifest's units in order, each with its fault or none."""
    def plan(bench):
        with open(bench.path("plan.csv"), "w") as text:
            text.write("serial,mac,chip,fault\n")
            for row, fault in zip(bench.manifest, faults):
                text.write("%s,%s,%s,%s\n" % (row["serial"], row["mac"],
                                              bench.chip, fault))
    return plan


def states(bench):
    return [slot["state"] for slot in bench.status()["slots"]]


def connect_in_the_field(bench, serial):
    """What AWS IoT does when a unit provisions itself out there."""
    iot = bench.iot()
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_thing_principal(thingName="device-" + serial,
                               principal=made["certificateArn"])
    return made["certificateId"]


def first_article():
    """After the first unit the lot waits until that one has connected."""
    with Bench("demo", units=3, slots=2, lot_edit=lambda lot: lot.replace(
            "  limit:", "  first_article: 1\n  limit:")) as bench:
        bench.station_start()
        bench.command("lot", "open", "demo", check_status=0)
        bench.hands_start()
        wait_until(60, "the first article", lambda: bench.sql(
            "SELECT count(*) FROM verdict WHERE verdict = 'PASS'")[0][0] == 1)
        # The second slot has its unit in it, and it waits.
        wait_until(20, "the wait", lambda: "waiting" in states(bench))
        made = bench.sql("SELECT count(*) FROM attempt")[0][0]
        check("first article: one unit is made, the next one waits",
              made == 1, made)
        refused = bench.command("unit", "make", "--lot", "demo", "--slot",
                                bench.status()["slots"][1]["name"])
        check("first article: nor is it made by hand",
              refused.returncode != 0 and "first articles" in refused.stderr,
              refused.stderr)
        serial = bench.sql("SELECT serial FROM gate WHERE bound = 1")[0][0]
        # It holds also after a restart.
        bench.end(bench.station)
        bench.station_start()
        wait_until(20, "the wait", lambda: "waiting" in states(bench))
        held = connect_in_the_field(bench, serial)
        wait_until(90, "the lot to go on", lambda: bench.sql(
            "SELECT count(*) FROM attempt")[0][0] > 1)
        confirmed = bench.sql("SELECT certificate_id FROM outcome "
                              "WHERE kind = 'confirm' AND done = 1")
        check("first article: its connection is on record, with its "
              "certificate", confirmed == [(held,)], confirmed)
        row = [row for row in bench.report()[0]
               if row["serial"] == serial and row["verdict"] == "PASS"]
        check("first article: the report says ACTIVE of it",
              row and row[0]["cloud_state"] == "ACTIVE", row)


def signed_and_rejected():
    """A unit of a CA lot that never connected must not be able to later."""
    with Bench("demo-jitp-bench", units=1, slots=1,
               plan=plan_of("no-connection"),
               lot_edit=lambda lot: lot + "confirm_timeout: 4s\n") as bench:
        bench.start()
        bench.command("lot", "open", "demo-jitp-bench", check_status=0)
        wait_until(60, "the verdict", lambda: bench.sql(
            "SELECT count(*) FROM verdict")[0][0] == 1)
        verdict = bench.sql("SELECT verdict, cause FROM verdict")
        check("rejected: no first connection is named",
              verdict == [("FAIL", "not-connected")], verdict)
        rejected = bench.sql("SELECT certificate_id FROM outcome "
                             "WHERE kind = 'issue' AND done = 1")[0][0]
        found = wait_until(60, "the revocation", lambda: {
            name: state for name, state in
            bench.cloud_certificates().items() if state == "REVOKED"})
        check("rejected: its certificate is known and REVOKED",
              list(found) == [rejected], found)
        wait_until(20, "the obligation's end", lambda: bench.sql(
            "SELECT count(*) FROM due")[0][0] == 0)
        row = [row for row in bench.report()[0] if row["verdict"] == "FAIL"]
        check("rejected: the report says so",
              row and row[0]["cloud_state"] == "REVOKED" and
              row[0]["certificate_id"] == rejected, row)
        check("rejected: it is kept, so that it cannot be registered again",
              bench.cloud_certificates().get(rejected) == "REVOKED",
              bench.cloud_certificates())


def claim_withdrawn():
    """A claim of five minutes that was not used comes out of its unit."""
    with Bench("demo-trusted-user", units=1, slots=1,
               plan=plan_of("provision-rejected")) as bench:
        bench.start()
        bench.command("lot", "open", "demo-trusted-user", check_status=0)
        wait_until(60, "the verdict", lambda: bench.sql(
            "SELECT count(*) FROM verdict")[0][0] == 1)
        verdict = bench.sql("SELECT verdict, cause FROM verdict")
        check("withdrawn: the unit fails for what it said",
              verdict[0][0] == "FAIL" and verdict[0][1] != "claim-expired",
              verdict)
        bench.hands_end()
        said = bench.unit_says(bench.manifest[0], "claim status",
                               rb"claim (none|sha256=\w+)").group(1)
        check("withdrawn: no claim is left in the unit", said == b"none",
              said)
        state = bench.sql("SELECT state FROM unit")
        check("withdrawn: the unit may be tried again",
              state == [("failed",)], state)


def claim_out_of_reach():
    """A unit that goes away with an unused claim is quarantined."""
    with Bench("demo-trusted-user", units=1, slots=1,
               plan=plan_of("wifi-never")) as bench:
        bench.start()
        bench.command("lot", "open", "demo-trusted-user", check_status=0)
        # Its claim is in it, and it is pulled while it tries to join.
        wait_until(60, "the injection", lambda: bench.sql(
            "SELECT count(*) FROM outcome WHERE kind = 'inject'")[0][0] == 1)
        bench.hands_end()
        wait_until(90, "the verdict", lambda: bench.sql(
            "SELECT count(*) FROM verdict")[0][0] == 1)
        verdict = bench.sql("SELECT verdict, cause, text FROM verdict")
        check("out of reach: the verdict names the claim",
              verdict[0][:2] == ("FAIL", "claim-expired"), verdict)
        state = bench.sql("SELECT state FROM unit")
        check("out of reach: the unit is quarantined",
              state == [("quarantined",)], state)


def bulk_rework():
    """A staged unit that is reworked is staged anew, with a new key."""
    with Bench("demo-bulk", units=1, slots=1) as bench:
        bench.start()
        bench.command("lot", "open", "demo-bulk", check_status=0)
        wait_until(60, "the stage", lambda: bench.sql(
            "SELECT state FROM unit") == [("staged",)])
        early = bench.command("bulk", "demo", check_status=None)
        check("bulk: a lot that is not open is named",
              early.returncode != 0 and "not open" in early.stderr,
              early.stderr)
        ended = bench.command("bulk", "--json", "demo-bulk", timeout=120)
        check("bulk: every unit has its certificate", ended.returncode == 0,
              ended.stderr)
        again = bench.command("bulk", "demo-bulk")
        check("bulk: with nothing staged there is nothing to do",
              again.returncode != 0 and "no staged unit" in again.stderr,
              again.stderr)
        inactive = bench.cloud_certificates()
        check("bulk: the certificate is INACTIVE before the second visit",
              list(inactive.values()) == ["INACTIVE"], inactive)
        serial = bench.manifest[0]["serial"]
        bench.command("unit", "scrap", serial, "--lot", "demo-bulk",
                      "--reason", "cracked", check_status=0)
        wait_until(60, "the discard", lambda: not bench.cloud_certificates())
        check("bulk: a scrapped unit leaves no certificate", True)


SCENARIOS = [first_article, signed_and_rejected, claim_withdrawn,
             claim_out_of_reach, bulk_rework]


def main():
    wanted = sys.argv[1:]
    for scenario in SCENARIOS:
        if wanted and scenario.__name__ not in wanted:
            continue
        start = time.monotonic()
        try:
            scenario()
        except (RuntimeError, TimeoutError, subprocess.SubprocessError,
                OSError) as error:
            check(scenario.__name__, False, error)
        print("# %s: %.1f s" % (scenario.__name__,
                                time.monotonic() - start), flush=True)
    finish()


if __name__ == "__main__":
    main()
