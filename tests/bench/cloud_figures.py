"""The cloud role's figures: what a call costs, and how much of a quota it
uses. The role runs on its own, as in tests/system/cloud_role_test.py, against
bench-cloud."""
import datetime
import json
import os
import subprocess
import sys
import time

from cloud_role_test import Bench, Role, Unit

CALLS, PEER_CALLS, IN_FLIGHT = 10000, 500, 8
QUOTA_SECONDS, UNITS_IN_FLIGHT = 20, 64
OPERATION = "UpdateCertificate"
NO_QUOTA = {name: 100000000 for name in (
    "CreateCertificateFromCsr", "GetCallerIdentity", OPERATION)}

# boto3 as it comes, with one connection kept alive.
PEER = """
import json, resource, sys
import boto3.session
from botocore.config import Config
setup = json.load(sys.stdin)
iot = boto3.session.Session().client(
    "iot", region_name="eu-west-1", endpoint_url=setup["endpoint"],
    verify=setup["ca"], aws_access_key_id=setup["access"],
    aws_secret_access_key=setup["secret"],
    config=Config(retries={"max_attempts": 0}))
def call(count):
    for _ in range(count):
        iot.update_certificate(certificateId=setup["id"], newStatus="ACTIVE")
def seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
call(20)
before = seconds()
call(setup["calls"])
print((seconds() - before) / setup["calls"])
"""


def cpu_s(pid):
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def role_pid(role):
    """The process below the harness that speaks for the line."""
    pid = role.process.pid
    with open("/proc/%d/task/%d/children" % (pid, pid)) as children:
        return int(children.read().split()[0])


def calls_make(role, certificate_id, count, in_flight):
    """That many calls, so many at once; raises when one fails."""
    waiting, sent = [], 0
    while sent < count or waiting:
        while sent < count and len(waiting) < in_flight:
            waiting.append(role.send(
                "activate", certificate_id=certificate_id,
                timeout_ms=60000))
            sent += 1
        answer = role.wait(waiting.pop(0))
        if answer["cause"] != "none":
            raise RuntimeError(answer["text"])


def call_cost():
    """CPU seconds of a signed call over HTTPS: the role's, and boto3's."""
    with Bench() as bench, Role(bench, cloud={
            "rates": NO_QUOTA, "share_percent": 100}) as role:
        role.ask("lot")
        unit = role.issue(Unit("1"))
        pid = role_pid(role)
        calls_make(role, unit["certificate_id"], 200, IN_FLIGHT)
        before = cpu_s(pid)
        calls_make(role, unit["certificate_id"], CALLS, IN_FLIGHT)
        own = (cpu_s(pid) - before) / CALLS
        seen = len([row for row in bench.calls(OPERATION)
                    if row["status"] == 200])
        if seen != CALLS + 200:
            raise RuntimeError("bench-cloud saw %d calls" % seen)
        peer = subprocess.run(
            [sys.executable, "-c", PEER], check=True, text=True,
            stdout=subprocess.PIPE, input=json.dumps({
                "endpoint": bench.endpoint, "ca": bench.path("ca.pem"),
                "access": bench.keys["aws_access_key_id"],
                "secret": bench.keys["aws_secret_access_key"],
                "id": unit["certificate_id"], "calls": PEER_CALLS}))
        return own, float(peer.stdout)


def row_seconds(row):
    return datetime.datetime.fromisoformat(
        row["time"].replace("Z", "+00:00")).timestamp()


def quota_use():
    """How much of AWS's default quota 64 units in flight use, counted from
    the second answer to the last, and how many calls were throttled. The
    quota is enforced by bench-cloud; the station has all of it."""
    # The last option counts: the quotas are AWS's own.
    with Bench("--rates", "default") as bench, Role(bench, cloud={
            "rates": {}, "share_percent": 100}) as role:
        role.ask("lot")
        unit = role.issue(Unit("1"))
        started = time.monotonic()
        waiting = []
        while time.monotonic() - started < QUOTA_SECONDS:
            while len(waiting) < UNITS_IN_FLIGHT:
                waiting.append(role.send(
                    "activate", certificate_id=unit["certificate_id"],
                    timeout_ms=60000))
            role.wait(waiting.pop(0))
        rows = bench.calls(OPERATION)
        throttled = sum(bool(row["throttled"]) for row in rows)
        times = sorted(row_seconds(row) for row in rows
                       if row["status"] == 200)
        return (len(times) - 2) / (times[-1] - times[1]), throttled
