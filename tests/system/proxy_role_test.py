#!/usr/bin/python3
"""Fleet provisioning in a unit's name, against bench-cloud's MQTT endpoint.

The cloud role and the vault role run under tools/system/proxy_role, joined as
the parent joins them; the claim's key is in the vault alone. What they leave
in the cloud is looked at with botocore, never with the station's own code.
BUILD (default build) says where the programs are. Prints "ok - NAME" or
"not ok - NAME: WHY" for each test; exits 1 when one failed.
"""

import datetime
import json
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import cloud_role_test as base
from cloud_role_test import Bench, Failure, Unit, expect, expect_equal

DEADLINE_S = 120
CSR = "mqtt:CreateCertificateFromCsr"
KEYS = "mqtt:CreateKeysAndCertificate"
PROVISION = "mqtt:RegisterThing"
TEMPLATE = {
    "Parameters": {"SerialNumber": {"Type": "String"},
                   "Firmware": {"Type": "String"},
                   "AWS::IoT::Certificate::Id": {"Type": "String"}},
    "Resources": {
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {
                "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                "Status": "Active"}},
        "policy": {"Type": "AWS::IoT::Policy",
                   "Properties": {"PolicyName": "FleetDevicePolicy"}},
        "thing": {
            "Type": "AWS::IoT::Thing",
            "OverrideSettings": {"AttributePayload": "MERGE",
                                 "ThingGroups": "DO_NOTHING",
                                 "ThingTypeName": "REPLACE"},
            "Properties": {
                "ThingName": {"Fn::Join": ["", [
                    "device-", {"Ref": "SerialNumber"}]]},
                "AttributePayload": {"fw": {"Ref": "Firmware"}}}}}}


def inactive():
    template = json.loads(json.dumps(TEMPLATE))
    template["Resources"]["certificate"]["Properties"]["Status"] = "Inactive"
    return template


def allow(*actions):
    return {"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": list(actions),
                           "Resource": "*"}]}


base.SETUP = {
    "policies": {"FleetDevicePolicy": allow("iot:*"),
                 "ClaimPolicy": allow("iot:*"),
                 "DeafPolicy": allow("iot:Connect", "iot:Publish")},
    "templates": {"FleetTemplate": {"body": TEMPLATE, "enabled": True}},
    "claim": [{"out": "claim", "policy": "ClaimPolicy"},
              {"out": "deaf", "policy": "DeafPolicy"}]}


class Skip(Exception):
    pass


class Proxy:
    """The two roles with one lot."""

    def __init__(self, bench, claim="claim", **fields):
        self.holder = tempfile.TemporaryDirectory(prefix="proxy-role-")
        with open(bench.path("mqtt-endpoint"), encoding="utf-8") as file:
            mqtt = file.read().strip()
        setup = {
            "station": "bench-1", "cloud": "bench", "account": base.ACCOUNT,
            "region": base.REGION, "endpoint": bench.endpoint,
            "ca_file": bench.path("ca.pem"), "mqtt": mqtt, "lot": "L100",
            "root_ca": bench.path("ca.pem"), "template": "FleetTemplate",
            "thing": "device-${serial}",
            "parameters": {"SerialNumber": "${serial}",
                           "Firmware": "${manifest.fw}"},
            "claim_certificate": bench.path(claim + "/claim.cert.pem"),
            "claim_key": bench.path(claim + "/claim.key.pem")}
        setup.update(fields)
        if fields.get("trusted_user"):
            del setup["claim_certificate"], setup["claim_key"]
        path = os.path.join(self.holder.name, "setup.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(setup, file)
        self.log_path = os.path.join(self.holder.name, "stderr")
        self.errors = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [os.path.join(base.BUILD, "tools", "system", "proxy_role"), path],
            env={"PATH": "/usr/bin:/bin", "HOME": self.holder.name,
                 "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""),
                 "AWS_ACCESS_KEY_ID": bench.keys["aws_access_key_id"],
                 "AWS_SECRET_ACCESS_KEY":
                     bench.keys["aws_secret_access_key"]},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.buffer = b""
        self.sequence = 0
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
            expect(status == 0, "a role failed:\n" + log)

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def send(self, kind, **fields):
        self.sequence += 1
        request = dict({"type": kind, "sequence": self.sequence}, **fields)
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return self.sequence

    def wait(self, sequence):
        until = time.monotonic() + DEADLINE_S
        while sequence not in self.pending:
            while b"\n" not in self.buffer:
                left = max(until - time.monotonic(), 0)
                expect(select.select([self.process.stdout], [], [], left)[0],
                       "no answer:\n" + self.log())
                more = os.read(self.process.stdout.fileno(), 65536)
                expect(more, "a role ended:\n" + self.log())
                self.buffer += more
            line, _, self.buffer = self.buffer.partition(b"\n")
            message = json.loads(line)
            self.pending[message["sequence"]] = message
        return self.pending.pop(sequence)

    def ask(self, kind, cause="none", **fields):
        answer = self.wait(self.send(kind, **fields))
        expect_equal(answer["cause"], cause,
                     "%s (%s)" % (kind, answer["text"]))
        return answer

    def issue_send(self, unit, **fields):
        return self.send("issue", csr=unit.csr, serial=unit.serial,
                         thing=unit.thing, spki=unit.spki, **fields)

    def issue(self, unit, cause="none", **fields):
        answer = self.wait(self.issue_send(unit, **fields))
        expect_equal(answer["cause"], cause, "issue (%s)" % answer["text"])
        if cause == "none":
            base.certificate_check(unit, answer)
        return answer

    def activate_send(self, unit, issued, **fields):
        return self.send("activate", **dict({
            "serial": unit.serial, "thing": unit.thing,
            "certificate_id": issued["certificate_id"],
            "extra": '{"fw":"1.2.3"}'}, **fields))

    def activate(self, unit, issued, cause="none", **fields):
        answer = self.wait(self.activate_send(unit, issued, **fields))
        expect_equal(answer["cause"], cause, "activate (%s)" % answer["text"])
        return answer


def active_check(bench, unit, issued):
    """ACTIVE, attached to the unit's thing alone, with its attributes."""
    client = bench.client()
    until = time.monotonic() + 10
    expect_equal(base.status_of(bench, issued["certificate_id"]), "ACTIVE",
                 "status of " + unit.serial)
    # Lists may lag behind.
    while True:
        principals = client.list_thing_principals(thingName=unit.thing)[
            "principals"]
        if principals or time.monotonic() > until:
            break
    expect_equal(principals, [issued["arn"]], "principals of " + unit.thing)
    expect_equal(client.describe_thing(thingName=unit.thing)["attributes"][
        "fw"], "1.2.3", "attributes")


def statuses(bench):
    return sorted(c["status"] for c in bench.certificates())


# Tests

def test_journey_of_a_unit():
    with Bench() as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        units = [Unit("A%d" % i) for i in range(3)]
        for unit in units:
            issued = proxy.issue(unit)
            expect_equal(issued["stray"], 0, "strays")
            expect(base.status_of(bench, issued["certificate_id"]) !=
                   "ACTIVE", "ACTIVE before its unit has it")
            done = proxy.activate(unit, issued)
            expect_equal(done["cloud_state"], "ACTIVE", "state")
            active_check(bench, unit, issued)
            # A repeat changes nothing.
            proxy.activate(unit, issued)
            active_check(bench, unit, issued)
        expect_equal(len(bench.calls(PROVISION)), 3, "provisions")
        expect("PRIVATE KEY" not in proxy.log(), "a key in the log")


def test_keys_of_aws_go_to_the_vault():
    with Bench() as bench, Proxy(bench, keys_by_aws=True) as proxy:
        proxy.ask("lot")
        unit = Unit("K1")
        issued = proxy.ask("keys", attempt=7, serial=unit.serial,
                           thing=unit.thing)
        expect("PRIVATE" not in json.dumps(issued), "a key in the answer")
        certificate = x509.load_pem_x509_certificate(
            issued["certificate"].encode())
        granted = proxy.ask("grant", attempt=7)
        key = serialization.load_pem_private_key(
            granted["key"].encode(), None)
        form = (serialization.Encoding.DER,
                serialization.PublicFormat.SubjectPublicKeyInfo)
        expect_equal(key.public_key().public_bytes(*form),
                     certificate.public_key().public_bytes(*form), "key")
        proxy.activate(unit, issued, attempt=7)
        active_check(bench, unit, issued)
        # The lot says who makes the keys.
        proxy.issue(Unit("K2"), cause="bad-lot")
        expect("PRIVATE KEY" not in proxy.log(), "a key in the log")


def memory_has(pid, text):
    """Whether the bytes stand anywhere in a process's memory."""
    try:
        memory = open("/proc/%d/mem" % pid, "rb", 0)
    except PermissionError as why:
        raise Skip("only root reads another process's memory") from why
    with memory, open("/proc/%d/maps" % pid, encoding="utf-8") as maps:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if not rights.startswith("rw"):
                continue
            try:
                memory.seek(start)
                if text in memory.read(end - start):
                    return True
            except (OSError, OverflowError):
                continue
    return False


def test_keys_of_aws_leave_no_copy_behind():
    if "san" in base.BUILD:
        raise Skip("sanitizers keep freed memory as it is")
    for trusted in (False, True):
        with Bench() as bench, Proxy(bench, keys_by_aws=True,
                                     trusted_user=trusted) as proxy:
            proxy.ask("lot")
            proxy.ask("keys", attempt=7, serial="K1", thing="device-K1")
            key = proxy.ask("grant", attempt=7)["key"].splitlines()
            with open("/proc/%d/task/%d/children" % (
                    (proxy.process.pid,) * 2), encoding="utf-8") as file:
                roles = [int(pid) for pid in file.read().split()]
            expect_equal(len(roles), 2, "roles")
            for role in roles:
                for line in key[1:-1]:
                    expect(not memory_has(role, line.encode()),
                           "a line of the key is left in process %d" % role)
            # The looking itself works.
            expect(memory_has(roles[1], b"bench-1"), "nothing is found")


def test_a_claim_of_the_unit_s_own():
    with Bench() as bench, Proxy(bench, trusted_user=True) as proxy:
        proxy.ask("lot")
        for attempt in (11, 12):
            unit = Unit("T%d" % attempt)
            issued = proxy.issue(unit, attempt=attempt)
            proxy.activate(unit, issued, attempt=attempt)
            active_check(bench, unit, issued)
        # One claim did for both steps.
        expect_equal(len(bench.calls("CreateProvisioningClaim")), 2, "claims")


def test_a_claim_of_the_unit_s_own_with_keys_of_aws():
    with Bench() as bench, Proxy(bench, trusted_user=True,
                                 keys_by_aws=True) as proxy:
        proxy.ask("lot")
        unit = Unit("TK")
        issued = proxy.ask("keys", attempt=5, serial=unit.serial,
                           thing=unit.thing)
        granted = proxy.ask("grant", attempt=5)
        expect("PRIVATE KEY" in granted["key"], "no key")
        proxy.activate(unit, issued, attempt=5)
        active_check(bench, unit, issued)
        expect_equal(len(bench.calls("CreateProvisioningClaim")), 2, "claims")


def test_lost_issue_is_asked_again():
    with Bench() as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        for what in ("drop-answer", "drop-request"):
            unit = Unit("L-" + what)
            bench.faults({"op": CSR, "what": what, "nth": 1})
            issued = proxy.issue(unit)
            expect_equal(issued["stray"], 1, "strays of " + what)
            proxy.activate(unit, issued)
            active_check(bench, unit, issued)
        bench.faults({"op": CSR, "what": "drop-answer", "count": 9})
        answer = proxy.issue(Unit("L3"), cause="cloud-unsure")
        expect_equal(answer["stray"], 3, "strays of three lost calls")
        expect_equal(statuses(bench).count("ACTIVE"), 4,
                     "ACTIVE: two units and two claims")


def test_late_and_double_answers_meet_nobody_else():
    with Bench() as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        first, second = Unit("D1"), Unit("D2")
        bench.faults({"op": CSR, "what": "delay", "ms": 11000, "nth": 1})
        issued = proxy.issue(first)
        expect_equal(issued["stray"], 1, "strays")
        bench.faults({"op": CSR, "what": "twice", "nth": 1},
                     {"op": PROVISION, "what": "twice", "nth": 1})
        sent = [proxy.issue_send(second, attempt=2),
                proxy.activate_send(first, issued)]
        third = Unit("D3")
        sent.append(proxy.issue_send(third, attempt=3))
        answers = [proxy.wait(number) for number in sent]
        expect_equal([a["cause"] for a in answers], ["none"] * 3, "causes")
        base.certificate_check(second, answers[0])
        base.certificate_check(third, answers[2])
        active_check(bench, first, issued)
        for unit, answer in ((second, answers[0]), (third, answers[2])):
            proxy.activate(unit, answer)
            active_check(bench, unit, answer)


def test_lost_activation_is_found_out():
    with Bench("--consistency-ms", "500") as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        for what in ("drop-answer", "drop-request"):
            unit = Unit("V-" + what)
            issued = proxy.issue(unit)
            bench.faults({"op": PROVISION, "what": what, "nth": 1})
            proxy.activate(unit, issued)
            active_check(bench, unit, issued)


def test_rejections():
    with Bench() as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        unit = Unit("R1")
        bench.faults({"op": CSR, "what": "error", "status": 429,
                      "code": "ThrottlingException", "count": 2})
        issued = proxy.issue(unit)
        expect_equal(issued["stray"], 0, "a throttled call has no effect")
        bench.faults({"op": CSR, "what": "error", "status": 403,
                      "code": "AccessDeniedException", "count": 1})
        proxy.issue(Unit("R2"), cause="cloud-denied")
        bench.faults({"op": CSR, "what": "error", "status": 500,
                      "code": "InternalFailureException", "count": 1})
        expect_equal(proxy.issue(Unit("R3"))["stray"], 1, "strays")
        bench.faults({"op": PROVISION, "what": "error", "status": 403,
                      "code": "AccessDeniedException", "count": 1})
        answer = proxy.activate(unit, issued, cause="cloud-refused")
        expect("AccessDenied" in answer["text"], answer["text"])
        bench.faults()
        # A refusal does not spend the token.
        proxy.activate(unit, issued)
        active_check(bench, unit, issued)
        # What the unit's row has not cannot be asked with.
        other = proxy.issue(Unit("R4"))
        proxy.activate(Unit("R4"), other, cause="bad-lot", extra="{}")


def test_template_that_names_things_otherwise():
    with Bench() as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        unit = Unit("N1")
        issued = proxy.issue(unit)
        unit.thing = "unit-N1"
        answer = proxy.activate(unit, issued, cause="cloud-conflict")
        expect("device-N1" in answer["text"] and "unit-N1" in answer["text"],
               answer["text"])


def test_template_that_leaves_activation_to_the_station():
    with Bench() as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        # The preflight refuses such a template; this one is changed later.
        bench.client().create_provisioning_template_version(
            templateName="FleetTemplate", setAsDefault=True,
            templateBody=json.dumps(inactive()))
        unit = Unit("I1")
        issued = proxy.issue(unit)
        proxy.activate(unit, issued)
        active_check(bench, unit, issued)


def test_token_that_is_over_or_lost():
    with Bench("--token-ms", "1500") as bench:
        unit = Unit("O1")
        with Proxy(bench) as proxy:
            proxy.ask("lot")
            issued = proxy.issue(unit)
            until = time.monotonic() + 30
            while issued["certificate_id"] in [
                    c["certificateId"] for c in bench.certificates()]:
                expect(time.monotonic() < until, "AWS keeps it")
                time.sleep(0.1)
            proxy.activate(unit, issued, cause="cloud-refused")
        with Bench() as lasting:
            with Proxy(lasting) as proxy:
                proxy.ask("lot")
                issued = proxy.issue(unit)
            with Proxy(lasting) as proxy:
                proxy.ask("lot")
                answer = proxy.activate(unit, issued, cause="token-lost")
                expect("make the unit again" in answer["text"],
                       answer["text"])
                # The ledger knows it, but nobody has its token.
                again = proxy.issue(
                    unit, known_id=issued["certificate_id"],
                    known_certificate=issued["certificate"], look_up=1)
                expect(again["certificate_id"] != issued["certificate_id"],
                       "a certificate without token")
                expect_equal(again["stray"], 1, "strays")
                same = proxy.issue(
                    unit, known_id=again["certificate_id"],
                    known_certificate=again["certificate"])
                expect_equal(same["certificate_id"], again["certificate_id"],
                             "one whose token is here")
                proxy.activate(unit, same)
                active_check(lasting, unit, same)


class Relay:
    """TCP to the broker that can be cut, silenced and opened again."""

    def __init__(self, target):
        self.target = target
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "localhost:%d" % self.server.getsockname()[1]
        self.open = True
        self.ends = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            if not self.open:
                near.close()
                continue
            far = socket.create_connection(self.target)
            self.ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(source, sink),
                                 daemon=True).start()

    @staticmethod
    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.open = False
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.ends = []


def relay_of(bench):
    with open(bench.path("mqtt-endpoint"), encoding="utf-8") as file:
        host, _, port = file.read().strip().rpartition(":")
    return Relay((host, int(port)))


def test_endpoint_that_is_gone_and_comes_back():
    with Bench() as bench:
        relay = relay_of(bench)
        with Proxy(bench, mqtt=relay.address) as proxy:
            proxy.ask("lot")
            issued = proxy.issue(Unit("G1"))
            relay.cut()
            proxy.issue(Unit("G2"), cause="cloud-unavailable")
            waiting = proxy.issue_send(Unit("G3"))
            # Refused at least once before it is there again.
            time.sleep(0.3)
            relay.open = True
            expect_equal(proxy.wait(waiting)["cause"], "none", "cause")
            proxy.activate(Unit("G1"), issued)


def test_connections_that_break_under_load():
    with Bench() as bench:
        relay = relay_of(bench)
        with Proxy(bench, mqtt=relay.address) as proxy:
            proxy.ask("lot")
            done = [Unit("B%d" % i) for i in range(20)]
            issued = [proxy.issue(unit) for unit in done]
            units = [Unit("E%d" % i) for i in range(20)]
            # Both kinds wait for their turns while it breaks.
            sent = [proxy.issue_send(unit, attempt=i + 1)
                    for i, unit in enumerate(units)]
            started = [proxy.activate_send(unit, answer, attempt=i + 100)
                       for i, (unit, answer) in enumerate(zip(done, issued))]
            for _ in range(4):
                time.sleep(0.2)
                relay.cut()
                relay.open = True
            for unit, number in zip(units, sent):
                answer = proxy.wait(number)
                expect_equal(answer["cause"], "none", answer["text"])
                base.certificate_check(unit, answer)
            for number in started:
                answer = proxy.wait(number)
                expect_equal(answer["cause"], "none", answer["text"])
            for unit, answer in zip(done, issued):
                active_check(bench, unit, answer)


def test_a_claim_whose_rest_is_short_is_not_used():
    with Bench("--claim-ms", "32000") as bench, \
            Proxy(bench, trusted_user=True) as proxy:
        proxy.ask("lot")
        unit = Unit("M1")
        issued = proxy.issue(unit, attempt=3)
        proxy.activate(unit, issued, attempt=3)
        expect_equal(len(bench.calls("CreateProvisioningClaim")), 1, "claims")
        unit = Unit("M2")
        issued = proxy.issue(unit, attempt=4)
        # What a unit takes to be written to.
        time.sleep(2.5)
        proxy.activate(unit, issued, attempt=4)
        active_check(bench, unit, issued)
        expect_equal(len(bench.calls("CreateProvisioningClaim")), 3, "claims")
    with Bench("--claim-ms", "5000") as bench, \
            Proxy(bench, trusted_user=True) as proxy:
        proxy.ask("lot")
        proxy.issue(Unit("M3"), cause="cloud-answer")


def test_a_silent_endpoint_holds_nobody_up():
    with Bench() as bench, socket.create_server(("127.0.0.1", 0)) as silent:
        address = "localhost:%d" % silent.getsockname()[1]
        with Proxy(bench, mqtt=address) as proxy:
            proxy.ask("lot")
            waiting = proxy.issue_send(Unit("S1"), timeout_ms=8000)
            for _ in range(5):
                started = time.monotonic()
                proxy.ask("lot")
                expect(time.monotonic() - started < 2, "the role stood")
            answer = proxy.wait(waiting)
            expect_equal(answer["cause"], "cloud-unavailable", "cause")


def test_who_is_not_trusted():
    with Bench() as bench, Bench() as other:
        with Proxy(bench, root_ca=other.path("ca.pem")) as proxy:
            proxy.ask("lot")
            proxy.issue(Unit("X1"), cause="cloud-tls")
        # The right authority, another name than the certificate has.
        with open(bench.path("mqtt-endpoint"), encoding="utf-8") as file:
            port = file.read().strip().rpartition(":")[2]
        with Proxy(bench, mqtt="127.1:" + port) as proxy:
            proxy.ask("lot")
            proxy.issue(Unit("X2"), cause="cloud-tls")
        # A claim that has been taken out of service.
        with Proxy(bench) as proxy:
            proxy.ask("lot")
            with open(bench.path("claim/claim.cert.pem"), "rb") as file:
                claim = x509.load_pem_x509_certificate(file.read())
            bench.client().update_certificate(
                certificateId=claim.fingerprint(hashes.SHA256()).hex(),
                newStatus="INACTIVE")
            proxy.issue(Unit("X3"), cause="cloud-denied")
        # One that may not listen.
        with Proxy(bench, claim="deaf") as proxy:
            proxy.ask("lot")
            answer = proxy.issue(Unit("X4"), cause="cloud-denied")
            expect("subscri" in answer["text"], answer["text"])
        expect_equal(bench.calls(CSR), [], "calls")


def test_vault_that_is_away():
    with Bench() as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        proxy.send("break")
        proxy.issue(Unit("W1"), cause="role-down")
        waiting = proxy.issue_send(Unit("W2"))
        proxy.send("join")
        expect_equal(proxy.wait(waiting)["cause"], "none", "cause")


def test_one_at_a_time_and_within_the_quota():
    with Bench() as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        units = [Unit("Q%d" % i) for i in range(30)]
        started = time.monotonic()
        sent = [proxy.issue_send(unit, attempt=i + 1)
                for i, unit in enumerate(units)]
        issued = []
        for unit, number in zip(units, sent):
            answer = proxy.wait(number)
            expect_equal(answer["cause"], "none", answer["text"])
            base.certificate_check(unit, answer)
            issued.append(answer)
        spent = time.monotonic() - started
        # 20 a second, with a quarter of a second's worth at the start.
        expect(spent > (30 - 6) / 20, "30 issues in %.2f s" % spent)
        sent = [proxy.activate_send(unit, answer, attempt=i + 1)
                for i, (unit, answer) in enumerate(zip(units, issued))]
        for number in sent:
            expect_equal(proxy.wait(number)["cause"], "none", "activation")
        for unit, answer in zip(units, issued):
            active_check(bench, unit, answer)


def test_random_faults_keep_the_promises():
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print("# seed %d" % seed)
    with Bench("--seed", seed) as bench, Proxy(bench) as proxy:
        proxy.ask("lot")
        bench.faults(*[{"op": op, "what": what, "probability": 0.08}
                       for op in (CSR, PROVISION)
                       for what in ("drop-answer", "drop-request", "twice")])
        units = [Unit("F%d" % i) for i in range(24)]
        left, issued, strays = units, {}, 0
        while left:
            sent = [(unit, proxy.issue_send(unit, attempt=i + 1))
                    for i, unit in enumerate(left)]
            left = []
            for unit, number in sent:
                answer = proxy.wait(number)
                strays += answer["stray"]
                if answer["cause"] == "none":
                    base.certificate_check(unit, answer)
                    issued[unit] = answer
                else:
                    expect_equal(answer["cause"], "token-lost",
                                 answer["text"])
                    left.append(unit)
        left = units
        while left:
            sent = [(unit, proxy.activate_send(unit, issued[unit],
                                               attempt=i + 1))
                    for i, unit in enumerate(left)]
            left = [unit for unit, number in sent
                    if proxy.wait(number)["cause"] != "none"]
        bench.faults()
        for unit in units:
            active_check(bench, unit, issued[unit])
        expect_equal(statuses(bench).count("ACTIVE"), len(units) + 2,
                     "ACTIVE: the units and two claims")


def test_lots_come_and_go():
    with Bench() as bench, Proxy(bench) as proxy:
        for _ in range(3):
            proxy.ask("lot")
            unit = Unit("C%d" % proxy.sequence)
            proxy.activate(unit, proxy.issue(unit))
            # One that is under way does not lose its connection.
            waiting = proxy.issue_send(Unit("Z%d" % proxy.sequence))
            proxy.ask("close")
            expect_equal(proxy.wait(waiting)["cause"], "none", "cause")


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
        except Skip as why:
            print("ok - %s # SKIP %s" % (name, why), flush=True)
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
