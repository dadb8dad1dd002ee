#!/usr/bin/python3
"""Drives the station's cloud role against bench-cloud.

The role runs under tools/system/cloud_role, which turns JSON lines into the
line's messages. What the role leaves in the cloud is looked at with botocore
and with the aws command, never with the station's own code. BUILD (default
build) says where the programs are. Prints "ok - NAME" or "not ok - NAME: WHY"
for each test; exits 1 when one failed.
"""

import concurrent.futures
import datetime
import hashlib
import json
import os
import random
import select
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

import botocore.config
import botocore.exceptions
import botocore.session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BUILD = os.environ.get("BUILD", "build")
REGION = "eu-west-1"
ACCOUNT = "123456789012"
DEADLINE_S = 90
DOCUMENT = {"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "iot:*",
                           "Resource": "*"}]}
SETUP = {"thingTypes": ["SmartSensor"], "thingGroups": ["factory", "line:1"],
         "policies": {"FleetDevicePolicy": DOCUMENT}}


class Failure(Exception):
    pass


def expect(condition, why):
    if not condition:
        raise Failure(why)


def expect_equal(actual, wanted, what):
    expect(actual == wanted, "%s: %r, not %r" % (what, actual, wanted))


class Unit:
    """A device: its serial, its key and its request."""

    def __init__(self, serial):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, serial)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(
            name).sign(key, hashes.SHA256())
        self.serial = serial
        self.thing = "device-" + serial
        self.csr = csr.public_bytes(serialization.Encoding.PEM).decode()
        self.spki_der = key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        self.spki = hashlib.sha256(self.spki_der).hexdigest()


class Bench:
    """One bench-cloud in a folder of its own."""

    def __init__(self, *options, setup=None):
        self.holder = tempfile.TemporaryDirectory(prefix="cloud-role-")
        self.folder = os.path.join(self.holder.name, "cloud")
        setup_path = os.path.join(self.holder.name, "setup.json")
        with open(setup_path, "w", encoding="utf-8") as file:
            json.dump(dict(SETUP, **(setup or {})), file)
        # The log stays open: the process writes to it until it ends.
        self.errors = open(os.path.join(self.holder.name, "stderr"), "wb")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "bin", "bench-cloud"), "--dir", self.folder,
             "--setup", setup_path, "--rates", "none", *map(str, options)],
            stdout=subprocess.PIPE, stderr=self.errors)
        readable, _, _ = select.select([self.process.stdout], [], [],
                                       DEADLINE_S)
        line = self.process.stdout.readline().decode() if readable else ""
        expect(line.startswith("ready "), "bench-cloud said %r" % line)
        with open(self.path("endpoint"), encoding="utf-8") as file:
            self.endpoint = file.read().strip()
        self.keys = {}
        with open(self.path("credentials"), encoding="utf-8") as file:
            for line in file:
                name, equals, value = line.partition("=")
                if equals:
                    self.keys[name.strip()] = value.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()
        self.errors.close()
        self.holder.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def client(self):
        return botocore.session.Session().create_client(
            "iot", region_name=REGION, endpoint_url=self.endpoint,
            verify=self.path("ca.pem"),
            aws_access_key_id=self.keys["aws_access_key_id"],
            aws_secret_access_key=self.keys["aws_secret_access_key"],
            config=botocore.config.Config(retries={"max_attempts": 0}))

    def aws(self, *arguments):
        """Runs the aws command; returns its JSON answer."""
        run = subprocess.run(
            ["/usr/bin/aws", "--endpoint-url", self.endpoint, "--output",
             "json", *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": self.folder,
                 "AWS_ACCESS_KEY_ID": self.keys["aws_access_key_id"],
                 "AWS_SECRET_ACCESS_KEY": self.keys["aws_secret_access_key"],
                 "AWS_DEFAULT_REGION": REGION,
                 "AWS_CA_BUNDLE": self.path("ca.pem"), "AWS_PAGER": "",
                 "AWS_EC2_METADATA_DISABLED": "true"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=DEADLINE_S, check=False)
        expect(run.returncode == 0, run.stderr.decode().strip())
        return json.loads(run.stdout or b"{}")

    def call(self, path, body=None):
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        request = urllib.request.Request(
            self.endpoint + path,
            data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, context=context,
                                    timeout=DEADLINE_S) as answer:
            return json.loads(answer.read() or b"{}")

    def faults(self, *rules):
        self.call("/_bench/faults", list(rules))

    def certificates(self):
        listed = self.client().get_paginator("list_certificates").paginate()
        return [c for page in listed for c in page["certificates"]]

    def calls(self, operation):
        """What the bench saw of an operation, from its own log."""
        with open(self.path("requests.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        return [row for row in rows if row.get("op") == operation]


class Role:
    """The cloud role with two lots: 0 typed, 1 without a thing type."""

    def __init__(self, bench, cloud=None, lot=None, environment=None,
                 station="bench-1"):
        self.holder = tempfile.TemporaryDirectory(prefix="cloud-role-")
        setup = {
            "station": station,
            "clouds": [dict({
                "name": "bench", "account": ACCOUNT, "region": REGION,
                "endpoint": bench.endpoint, "ca_file": bench.path("ca.pem"),
                "share_percent": 80,
                # The bench has no quotas unless a test gives it some.
                "rates": {name: 1000000 for name in (
                    "GetCallerIdentity", "CreateCertificateFromCsr",
                    "ListCertificates", "DescribeCertificate",
                    "UpdateCertificate", "DeleteCertificate", "CreateThing",
                    "AttachPolicy", "DetachPolicy", "UpdateThing",
                    "AttachThingPrincipal", "AddThingToThingGroup")},
            }, **(cloud or {}))],
            "lots": [dict({
                "name": "L100", "cloud": "bench", "account": ACCOUNT,
                "pattern": "csr", "thing_type": "SmartSensor", "firmware": "1.2.3",
                "groups": ["factory", "line:1"],
                "policy": "FleetDevicePolicy",
                "attributes": {"rev": "${manifest.rev}", "mac": "${mac}"},
            }, **(lot or {})), {
                "name": "L200", "cloud": "bench", "account": ACCOUNT,
                "pattern": "csr", "firmware": "1.2.3", "policy": "FleetDevicePolicy"}],
        }
        path = os.path.join(self.holder.name, "setup.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(setup, file)
        variables = {"PATH": "/usr/bin:/bin", "HOME": self.holder.name,
                     "AWS_EC2_METADATA_DISABLED": "true",
                     "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}
        if environment is None:
            environment = {
                "AWS_ACCESS_KEY_ID": bench.keys["aws_access_key_id"],
                "AWS_SECRET_ACCESS_KEY": bench.keys["aws_secret_access_key"]}
        variables.update(environment)
        self.log_path = os.path.join(self.holder.name, "stderr")
        self.errors = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tools", "system", "cloud_role"), path],
            env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors)
        self.buffer = b""
        self.sequence = 0
        self.states = []
        self.deposits = []
        self.pending = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        status = self.process.wait(DEADLINE_S)
        self.process.stdout.close()
        self.errors.close()
        log = self.log()
        self.holder.cleanup()
        if kind is not None:
            sys.stderr.write(log)
        else:
            expect(status == 0, "the role failed:\n" + log)

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def send(self, kind, **fields):
        """Sends without waiting; returns the request's sequence."""
        self.sequence += 1
        request = {"type": kind, "sequence": self.sequence, "attempt": 1}
        if kind in ("bind", "preregister"):
            request.update(extra='{"rev":"B2"}', mac="24:6f:28:00:00:01")
        request.update(fields)
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return request["sequence"]

    def read(self, until):
        """One line of the role's, or None at that time."""
        while b"\n" not in self.buffer:
            left = until - time.monotonic()
            readable = select.select([self.process.stdout], [], [],
                                     max(left, 0))[0]
            if not readable:
                return None
            more = os.read(self.process.stdout.fileno(), 65536)
            expect(more, "the role ended:\n" + self.log())
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        message = json.loads(line)
        if message["type"] == "state":
            self.states.append(message)
        elif message["type"] == "deposit":
            self.deposits.append(message)
        else:
            expect(message["sequence"] not in self.pending,
                   "a request was answered twice")
            self.pending[message["sequence"]] = message
        return message

    def wait(self, sequence):
        until = time.monotonic() + DEADLINE_S
        while sequence not in self.pending:
            expect(self.read(until) is not None, "no answer")
        return self.pending.pop(sequence)

    def ask(self, kind, cause="none", **fields):
        """Sends and waits; fails when the answer has another cause."""
        answer = self.wait(self.send(kind, **fields))
        expect_equal(answer["cause"], cause,
                     "%s (%s)" % (kind, answer["text"]))
        return answer

    def issue(self, unit, cause="none", **fields):
        return self.ask("issue", cause=cause, csr=unit.csr,
                        serial=unit.serial, **fields)

    def bind(self, unit, issued, cause="none", **fields):
        return self.ask("bind", cause=cause, serial=unit.serial,
                        thing=unit.thing, arn=issued["arn"],
                        certificate_id=issued["certificate_id"], **fields)


def certificate_check(unit, issued):
    certificate = x509.load_pem_x509_certificate(
        issued["certificate"].encode())
    der = certificate.public_bytes(serialization.Encoding.DER)
    expect_equal(hashlib.sha256(der).hexdigest(), issued["certificate_id"],
                 "the certificate's id")
    expect_equal(certificate.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo), unit.spki_der,
        "the certificate's key")


def status_of(bench, certificate_id):
    return bench.client().describe_certificate(certificateId=certificate_id)[
        "certificateDescription"]["status"]


# Tests

def test_journey_of_a_csr_unit():
    with Bench() as bench, Role(bench) as role:
        unit = Unit("SN:000.1")
        unit.thing = "device-SN:0001"
        role.ask("lot")
        issued = role.issue(unit)
        certificate_check(unit, issued)
        expect(issued["request_id"], "no request id")
        expect_equal(issued["stray"], 0, "strays")
        expect_equal(issued["arn"], "arn:aws:iot:%s:%s:cert/%s" % (
            REGION, ACCOUNT, issued["certificate_id"]), "ARN")
        expect_equal(status_of(bench, issued["certificate_id"]), "INACTIVE",
                     "status after the issue")
        bound = role.bind(unit, issued)
        expect_equal(bound["cloud_state"], "INACTIVE", "state")
        expect_equal(status_of(bench, issued["certificate_id"]), "INACTIVE",
                     "status after the binding")
        thing = bench.aws("iot", "describe-thing", "--thing-name", unit.thing)
        expect_equal(thing["thingTypeName"], "SmartSensor", "type")
        expect_equal(thing["attributes"], {
            "serial": unit.serial, "lot": "L100", "station": "bench-1",
            "firmware": "1.2.3", "rev": "B2", "mac": "24:6f:28:00:00:01"},
            "attributes")
        expect_equal(bench.aws("iot", "list-thing-principals", "--thing-name",
                               unit.thing)["principals"], [issued["arn"]],
                     "principals")
        policies = bench.aws("iot", "list-attached-policies", "--target",
                             issued["arn"])["policies"]
        expect_equal([p["policyName"] for p in policies],
                     ["FleetDevicePolicy"], "policies")
        groups = bench.aws("iot", "list-thing-groups-for-thing",
                           "--thing-name", unit.thing)["thingGroups"]
        expect_equal(sorted(g["groupName"] for g in groups),
                     ["factory", "line:1"], "groups")
        active = role.ask("activate", certificate_id=issued["certificate_id"])
        expect_equal(active["cloud_state"], "ACTIVE", "state")
        expect_equal(status_of(bench, issued["certificate_id"]), "ACTIVE",
                     "status at the end")
        stats = bench.call("/_bench/stats")
        expect(not stats.get("unknownMembers", stats.get("unknown_members")),
               "the role sent unknown members: %s" % stats)


def test_repeats_change_nothing():
    with Bench() as bench, Role(bench) as role:
        unit = Unit("1")
        role.ask("lot")
        issued = role.issue(unit)
        role.bind(unit, issued)
        before = bench.aws("iot", "describe-thing", "--thing-name",
                           unit.thing)
        role.bind(unit, issued)
        role.ask("activate", certificate_id=issued["certificate_id"])
        role.ask("activate", certificate_id=issued["certificate_id"])
        after = bench.aws("iot", "describe-thing", "--thing-name", unit.thing)
        expect_equal(after, before, "the thing after a repeat")
        known = role.issue(unit, known_id=issued["certificate_id"],
                           known_certificate=issued["certificate"])
        expect_equal(known["certificate_id"], issued["certificate_id"], "id")
        expect_equal(known["arn"], issued["arn"], "ARN")
        expect_equal(len(bench.certificates()), 1, "certificates")
        other = Unit("1")
        role.issue(other, cause="cloud-answer",
                   known_id=issued["certificate_id"],
                   known_certificate=issued["certificate"])


def test_requests_are_verified_again():
    with Bench() as bench, Role(bench) as role:
        unit, other = Unit("1"), Unit("1")
        role.ask("lot")
        role.ask("issue", cause="csr-subject", csr=unit.csr, serial="2")
        role.ask("issue", cause="csr-invalid",
                 csr=unit.csr.replace("M", "N", 9), serial="1")
        role.ask("issue", cause="csr-key", csr=unit.csr, serial="1",
                 spki=other.spki)
        expect_equal(bench.certificates(), [], "certificates")


def test_thing_of_another_unit_is_a_conflict():
    with Bench() as bench, Role(bench) as role:
        unit = Unit("1")
        bench.client().create_thing(
            thingName=unit.thing, thingTypeName="SmartSensor",
            attributePayload={"attributes": {"owner": "someone"}})
        role.ask("lot")
        issued = role.issue(unit)
        answer = role.bind(unit, issued, cause="cloud-conflict")
        expect(unit.thing in answer["text"], answer["text"])
        role.ask("preregister", cause="cloud-conflict", serial="1",
                 thing=unit.thing)
        thing = bench.client().describe_thing(thingName=unit.thing)
        expect_equal(thing["attributes"], {"owner": "someone"}, "attributes")
        expect_equal(bench.client().list_thing_principals(
            thingName=unit.thing)["principals"], [], "principals")


def test_own_thing_is_updated_and_others_words_are_kept():
    with Bench() as bench, Role(bench) as role:
        unit = Unit("1")
        bench.client().create_thing(
            thingName=unit.thing, thingTypeName="SmartSensor",
            attributePayload={"attributes": {
                "serial": "1", "lot": "L100", "station": "bench-9",
                "firmware": "0.9", "note": "kept"}})
        role.ask("lot")
        # A claim unit that another station registered stays as it is.
        role.ask("preregister", serial="1", thing=unit.thing)
        thing = bench.client().describe_thing(thingName=unit.thing)
        expect_equal(thing["attributes"]["station"], "bench-9", "station")
        expect_equal(thing["version"], 1, "version")
        role.bind(unit, role.issue(unit))
        thing = bench.client().describe_thing(thingName=unit.thing)
        expect_equal(thing["attributes"], {
            "serial": "1", "lot": "L100", "station": "bench-1", "rev": "B2",
            "firmware": "1.2.3", "note": "kept", "mac": "24:6f:28:00:00:01"},
            "attributes")


def test_preregistration_of_a_claim_unit():
    with Bench() as bench, Role(bench) as role, \
            Role(bench, station="bench-2") as second:
        role.ask("lot")
        second.ask("lot")
        for station in (role, second, role):
            answer = station.ask("preregister", serial="7", thing="unit-7")
            expect_equal(answer["cloud_state"], "PRE-REGISTERED", "state")
        thing = bench.aws("iot", "describe-thing", "--thing-name", "unit-7")
        expect_equal(thing["attributes"], {
            "serial": "7", "lot": "L100", "station": "bench-1",
            "firmware": "1.2.3", "rev": "B2", "mac": "24:6f:28:00:00:01"},
            "attributes")
        expect_equal(thing["version"], 1, "version")
        role.ask("lot", lot=1)
        role.ask("preregister", lot=1, serial="8", thing="unit-8")
        thing = bench.aws("iot", "describe-thing", "--thing-name", "unit-8")
        expect_equal(thing["attributes"], {"serial": "8", "lot": "L200"},
                     "attributes without a thing type")
        expect("thingTypeName" not in thing, "a thing type")
        role.ask("preregister", cause="bad-lot", serial="9", thing="unit-9",
                 extra='{"rev":"with space"}')


def test_lost_answers_leave_no_duplicates():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        # The connections are warm: a repeat by the transport would show.
        first = Unit("warm")
        role.bind(first, role.issue(first))
        units = [Unit(str(i)) for i in range(8)]
        bench.faults(*[{"op": op, "what": "drop-answer", "count": 3}
                       for op in ("CreateCertificateFromCsr", "CreateThing",
                                  "AttachPolicy", "AttachThingPrincipal",
                                  "UpdateCertificate",
                                  "AddThingToThingGroup")])
        sent = [role.send("issue", csr=u.csr, serial=u.serial) for u in units]
        answers = [role.wait(s) for s in sent]
        for unit, issued in zip(units, answers):
            expect_equal(issued["cause"], "none", issued["text"])
            expect_equal(issued["stray"], 0, "strays")
            certificate_check(unit, issued)
            role.bind(unit, issued)
            role.ask("activate", certificate_id=issued["certificate_id"])
        expect_equal(len(bench.calls("CreateCertificateFromCsr")), 9,
                     "calls of CreateCertificateFromCsr")
        statuses = sorted(c["status"] for c in bench.certificates())
        expect_equal(statuses, ["ACTIVE"] * 8 + ["INACTIVE"], "statuses")


def test_unsure_issue_is_done_again_and_counted():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        unit = Unit("1")
        # It never took effect: looking finds none, so it is issued again.
        bench.faults({"op": "CreateCertificateFromCsr",
                      "what": "drop-request", "count": 1})
        issued = role.issue(unit)
        certificate_check(unit, issued)
        expect_equal(issued["stray"], 1, "strays")
        expect(len(bench.calls("ListCertificates")) >= 2,
               "it was not looked twice")
        expect_equal(len(bench.certificates()), 1, "certificates")
        # A 5xx says nothing of the effect either.
        bench.faults({"op": "CreateCertificateFromCsr", "what": "error",
                      "status": 500, "code": "InternalFailureException",
                      "count": 1})
        expect_equal(role.issue(Unit("2"))["stray"], 1, "strays after 500")


def test_earlier_issue_is_found_and_strays_are_discarded():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        unit, other = Unit("1"), Unit("1")
        role.issue(other)
        one = role.issue(unit)
        found = role.issue(unit, look_up=1,
                           since_wall_ms=int(time.time() * 1000) - 60000)
        expect_equal(found["certificate_id"], one["certificate_id"], "id")
        certificate_check(unit, found)
        two = role.issue(unit)
        expect(two["certificate_id"] != one["certificate_id"], "one id")
        role.bind(unit, one)
        answer = role.ask("discard", spki=unit.spki, thing=unit.thing,
                          keep_id=two["certificate_id"],
                          since_wall_ms=int(time.time() * 1000) - 60000)
        expect_equal(answer["cloud_state"], "DELETED", "state")
        left = [c["certificateId"] for c in bench.certificates()]
        expect(one["certificate_id"] not in left, "it is still there")
        expect(two["certificate_id"] in left, "the kept one went")
        expect_equal(len(left), 2, "certificates left")
        answer = role.ask("discard", spki=unit.spki, thing=unit.thing,
                          keep_id=two["certificate_id"])
        expect_equal(answer["cloud_state"], "ABSENT", "state of a scan")
        role.ask("activate", certificate_id=two["certificate_id"])
        answer = role.ask("discard", certificate_id=two["certificate_id"],
                          thing=unit.thing)
        expect_equal(answer["cloud_state"], "DELETED", "state")
        answer = role.ask("discard", certificate_id=two["certificate_id"],
                          thing=unit.thing)
        expect_equal(answer["cloud_state"], "ABSENT", "state of a repeat")
        role.ask("discard", cause="internal", keep_id="a" * 64,
                 certificate_id="a" * 64)


def test_what_others_attached_is_not_undone():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        unit = Unit("1")
        issued = role.issue(unit)
        client = bench.client()
        client.create_thing(thingName="someones")
        client.attach_thing_principal(thingName="someones",
                                      principal=issued["arn"])
        role.ask("discard", cause="cloud-conflict", thing=unit.thing,
                 certificate_id=issued["certificate_id"])
        expect_equal(client.list_thing_principals(
            thingName="someones")["principals"], [issued["arn"]],
            "principals of the other thing")


def test_lists_that_lag_are_not_believed():
    with Bench("--consistency-ms", 1000) as bench, Role(bench) as role:
        role.ask("lot")
        unit = Unit("1")
        bench.faults({"op": "CreateCertificateFromCsr",
                      "what": "drop-answer", "count": 1})
        issued = role.issue(unit)
        certificate_check(unit, issued)
        role.bind(unit, issued)
        role.ask("activate", certificate_id=issued["certificate_id"])
        statuses = [c["status"] for c in bench.certificates()]
        expect_equal(statuses.count("ACTIVE"), 1, "ACTIVE certificates")
        expect_equal(issued["stray"], len(statuses) - 1, "strays")


def test_throttling_slows_and_succeeds():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        bench.faults({"op": "CreateThing", "what": "error", "status": 400,
                      "code": "ThrottlingException", "count": 3},
                     {"op": "CreateCertificateFromCsr", "what": "error",
                      "status": 400, "code": "ThrottlingException",
                      "count": 2})
        unit = Unit("1")
        issued = role.issue(unit)
        expect_equal(issued["stray"], 0, "a throttled call has no effect")
        role.bind(unit, issued)
        until = time.monotonic() + 5
        while not any(s["state"] == 1 for s in role.states):
            expect(role.read(until), "the board was not told SLOW")
        expect(role.states[-1]["throttled"] > 0, "throttles")


def test_quotas_are_kept_by_sixty_four_slots():
    rates = tempfile.NamedTemporaryFile("w", suffix=".json")
    quotas = {"CreateThing": 40, "AttachPolicy": 40,
              "AttachThingPrincipal": 40, "AddThingToThingGroup": 60,
              "CreateCertificateFromCsr": 40, "UpdateCertificate": 40,
              "ListCertificates": 100}
    with rates:
        json.dump(quotas, rates)
        rates.flush()
        with Bench("--rates", rates.name) as bench, Role(bench, cloud={
                "rates": {k: v * 1000 for k, v in quotas.items()}}) as role:
            role.ask("lot")
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                units = list(pool.map(Unit, map(str, range(64))))
            started = time.monotonic()
            sent = [role.send("issue", csr=u.csr, serial=u.serial,
                              attempt=i + 1) for i, u in enumerate(units)]
            issued = [role.wait(s) for s in sent]
            sent = [role.send("bind", serial=u.serial, thing=u.thing,
                              arn=a["arn"], attempt=i + 1,
                              certificate_id=a["certificate_id"])
                    for i, (u, a) in enumerate(zip(units, issued))]
            for s in sent:
                expect_equal(role.wait(s)["cause"], "none", "bind")
            sent = [role.send("activate", attempt=i + 1,
                              certificate_id=a["certificate_id"])
                    for i, a in enumerate(issued)]
            for s in sent:
                expect_equal(role.wait(s)["cause"], "none", "activate")
            print("# 64 units in %.1f s" % (time.monotonic() - started))
            statuses = [c["status"] for c in bench.certificates()]
            expect_equal(statuses, ["ACTIVE"] * 64, "statuses")
            expect_equal(role.states[-1]["throttled"], 0, "throttles")


def test_random_faults_keep_the_promises():
    """Whatever goes wrong: one ACTIVE certificate a unit, strays counted."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print("# seed %d" % seed)
    chance = random.Random(seed)
    since = int(time.time() * 1000)
    with Bench("--seed", seed) as bench, Role(bench) as role:
        role.ask("lot")
        units = [Unit(str(i)) for i in range(16)]
        kinds = [{"what": "drop-answer"}, {"what": "drop-request"},
                 {"what": "error", "status": 400,
                  "code": "ThrottlingException"},
                 {"what": "error", "status": 500,
                  "code": "InternalFailureException"}]
        bench.faults(*[dict(kind, op="*",
                            probability=round(chance.uniform(0, 0.1), 3))
                       for kind in kinds])
        issued, strays = {}, 0

        def ask_all(kind, asked, fields):
            sent = [(u, role.send(kind, **fields(u))) for u in asked]
            return [(u, role.wait(s)) for u, s in sent]

        left = units
        while left:
            retry = []
            for unit, answer in ask_all("issue", left, lambda u: {
                    "csr": u.csr, "serial": u.serial}):
                strays += answer["stray"]
                if answer["cause"] == "none":
                    issued[unit] = answer
                else:
                    expect(answer["cause"].startswith("cloud-"),
                           answer["text"])
                    retry.append(unit)
            left = retry
        for kind in ("bind", "activate"):
            left = units
            while left:
                left = [u for u, a in ask_all(kind, left, lambda u: dict({
                    "certificate_id": issued[u]["certificate_id"]}, **({
                        "serial": u.serial, "thing": u.thing,
                        "arn": issued[u]["arn"]} if kind == "bind" else {})))
                    if a["cause"] != "none"]
        bench.faults()
        by_id = {c["certificateId"]: c["status"]
                 for c in bench.certificates()}
        for unit in units:
            certificate_check(unit, issued[unit])
            expect_equal(by_id.pop(issued[unit]["certificate_id"]), "ACTIVE",
                         "status of " + unit.serial)
        expect_equal(set(by_id.values()) - {"INACTIVE"}, set(),
                     "statuses of strays")
        expect(len(by_id) <= strays, "%d strays, %d were counted" % (
            len(by_id), strays))
        for unit in units:
            role.ask("discard", spki=unit.spki, thing=unit.thing,
                     keep_id=issued[unit]["certificate_id"],
                     since_wall_ms=since)
        expect_equal(len(bench.certificates()), len(units),
                     "certificates after the strays' end")


def test_wrong_account_is_named():
    with Bench() as bench:
        with Role(bench, cloud={"account": "999999999999"},
                  lot={"account": "999999999999"}) as role:
            answer = role.ask("lot", cause="cloud-account")
            expect(ACCOUNT in answer["text"] and
                   "999999999999" in answer["text"], answer["text"])
            role.issue(Unit("1"), cause="cloud-account")
        with Role(bench, lot={"account": "999999999999"}) as role:
            role.ask("lot", cause="cloud-account")
            role.issue(Unit("1"), cause="internal")
        expect_equal(bench.certificates(), [], "certificates")


def test_wrong_authority_is_a_matter_of_trust():
    with Bench() as bench, Bench() as other, \
            Role(bench, cloud={"ca_file": other.path("ca.pem")}) as role:
        started = time.monotonic()
        role.ask("lot", cause="cloud-tls")
        expect(time.monotonic() - started < 5, "it was tried again")


def test_wrong_keys_and_their_repair():
    with Bench() as bench:
        with Role(bench, environment={}) as role:
            answer = role.ask("lot", cause="cloud-credentials")
            expect("environment" in answer["text"], answer["text"])
        with Role(bench, environment={
                "AWS_ACCESS_KEY_ID": bench.keys["aws_access_key_id"],
                "AWS_SECRET_ACCESS_KEY": "wrong/secret"}) as role:
            answer = role.ask("lot", cause="cloud-credentials")
            expect("wrong/secret" not in role.log(), "a secret is logged")
        with tempfile.TemporaryDirectory(prefix="cloud-role-") as folder:
            path = os.path.join(folder, "credentials")

            def write(key):
                with open(path + ".new", "w", encoding="utf-8") as file:
                    file.write("[bench]\naws_access_key_id = %s\n"
                               "aws_secret_access_key = %s\n" % (
                                   key, bench.keys["aws_secret_access_key"]))
                os.chmod(path + ".new", 0o600)
                os.rename(path + ".new", path)

            write("AKIDUNKNOWN")
            with Role(bench, environment={}, cloud={
                    "credentials": 1, "credentials_file": path,
                    "credentials_profile": "bench"}) as role:
                role.ask("lot", cause="cloud-credentials")
                write(bench.keys["aws_access_key_id"])
                role.ask("lot")
                role.issue(Unit("1"))


def test_denial_has_its_cause_and_request_id():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        bench.faults({"op": "CreateCertificateFromCsr", "what": "error",
                      "status": 403, "code": "AccessDeniedException",
                      "count": 1})
        answer = role.issue(Unit("1"), cause="cloud-denied")
        expect(answer["fault_request_id"], "no request id")
        expect_equal(answer["stray"], 0, "strays")
        unit = Unit("2")
        issued = role.issue(unit)
        bench.faults({"op": "AttachPolicy", "what": "error", "status": 410,
                      "code": "LimitExceededException", "count": 1})
        role.bind(unit, issued, cause="cloud-refused")


def test_deadline_and_resend():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        unit = Unit("1")
        bench.faults({"op": "CreateThing", "what": "delay", "ms": 3000,
                      "count": 1})
        issued = role.issue(unit)
        started = time.monotonic()
        role.bind(unit, issued, cause="cloud-unsure", timeout_ms=700)
        expect(time.monotonic() - started < 2, "the deadline was passed")
        role.bind(unit, issued, cause="deadline", timeout_ms=-1000)
        bench.faults({"op": "AttachPolicy", "what": "delay", "ms": 500,
                      "count": 1})
        fields = {"serial": "1", "thing": unit.thing, "arn": issued["arn"],
                  "certificate_id": issued["certificate_id"],
                  "attempt": 5, "sequence": 500}
        for _ in range(3):
            role.send("bind", **fields)
        expect_equal(role.wait(500)["cause"], "none", "bind")
        role.ask("activate", certificate_id=issued["certificate_id"])
        expect(500 not in role.pending, "a resend was answered twice")


def test_end_with_work_under_way():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        bench.faults({"op": "*", "what": "delay", "ms": 5000, "count": 100})
        for i in range(20):
            role.send("preregister", serial=str(i), thing="unit-%d" % i)
        while not role.states or role.states[-1]["in_flight"] < 20:
            expect(role.read(time.monotonic() + 5), "nothing is sent")
    # Role.__exit__ closes the channel and expects a clean end.


def test_outage_is_told_and_overcome():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        bench.faults({"op": "CreateThing", "what": "drop-request",
                      "count": 5})
        role.ask("preregister", serial="1", thing="unit-1")
        bench.faults({"op": "CreateThing", "what": "error", "status": 503,
                      "code": "ServiceUnavailableException", "count": 1000})
        role.ask("preregister", cause="cloud-unsure", serial="2",
                 thing="unit-2", timeout_ms=6000)
        expect(any(s["state"] == 2 and s["text"] for s in role.states),
               "the board was not told DOWN: %s" % role.states)
        bench.faults()
        # Nobody asks for anything: the role finds out by itself.
        until = time.monotonic() + 30
        while role.states[-1]["state"] != 0:
            expect(role.read(until), "the board was not told UP")
        role.ask("preregister", serial="2", thing="unit-2")


def test_refused_signature_is_not_repeated_without_skew():
    with Bench() as bench, Role(bench) as role:
        role.ask("lot")
        bench.faults({"op": "CreateThing", "what": "error", "status": 403,
                      "code": "InvalidSignatureException", "count": 1})
        role.ask("preregister", cause="cloud-credentials", serial="1",
                 thing="unit-1")
        expect_equal(len(bench.calls("CreateThing")), 1, "calls")


def main():
    wanted = sys.argv[1:]
    failed = 0
    started = datetime.datetime.now()
    for name, test in list(globals().items()):
        if not name.startswith("test_") or wanted and name not in wanted:
            continue
        try:
            test()
            print("ok - " + name, flush=True)
        except Failure as why:
            failed += 1
            print("not ok - %s: %s" % (name, why), flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print("not ok - %s: %s" % (name, traceback.format_exc()),
                  flush=True)
    print("# %s" % (datetime.datetime.now() - started))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
