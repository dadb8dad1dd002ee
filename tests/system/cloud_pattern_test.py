#!/usr/bin/python3
"""Drives the cloud role through every provisioning pattern.

As cloud_role_test.py, whose Bench and Role it uses: each pattern as it should
go, with answers that are lost, done twice, refused, repeated by a known id,
taken back, and with everything that is refused before a lot's first unit.
"""

import datetime
import hashlib
import json
import os
import random
import socket
import ssl
import sys
import tempfile
import time
import traceback

import botocore.config
import botocore.session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloud_role_test import (ACCOUNT, DEADLINE_S, DOCUMENT, REGION, Bench,
                             Failure, Role, Unit, certificate_check, expect,
                             expect_equal, status_of)

PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
ROLE_ARN = "arn:aws:iam::%s:role/provisioning" % ACCOUNT


# Templates

def template(certificate, parameters, status="INACTIVE", policy=None):
    """A template as RegisterThing takes it, with one certificate form."""
    return {
        "Parameters": {name: {"Type": "String"} for name in parameters},
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "OverrideSettings": {"AttributePayload": "MERGE",
                                     "ThingTypeName": "REPLACE",
                                     "ThingGroups": "DO_NOTHING"},
                "Properties": {
                    "ThingName": {"Ref": "ThingName"},
                    "AttributePayload": {"serial": {"Ref": "SerialNumber"}},
                    "ThingTypeName": "SmartSensor",
                    "ThingGroups": ["factory"]}},
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": dict(certificate, Status=status)},
            "policy": {
                "Type": "AWS::IoT::Policy",
                "Properties": {"PolicyName": policy or "FleetDevicePolicy"}},
        },
    }


COMMON = {"ThingName": "device-${serial}", "SerialNumber": "${serial}"}


def register_lot(form, **fields):
    names = {"csr": ("CertificateSigningRequest", "CSR", "${csr}"),
             "id": ("CertificateId", "Id", "${certificate_id}"),
             "pem": ("CertificatePem", "Pem", "${certificate_pem}")}
    member, parameter, rule = names[form]
    body = template({member: {"Ref": parameter}},
                    list(COMMON) + [parameter],
                    status=fields.pop("status", "INACTIVE"),
                    policy=fields.pop("policy_name", None))
    return dict({"pattern": "register-thing", "form": form, "thing_type": "",
                 "policy": "", "groups": [], "attributes": {},
                 "template_body": json.dumps(body),
                 "parameters": dict(COMMON, **{parameter: rule})}, **fields)


def fleet_body(policy="FleetDevicePolicy", **properties):
    """A template for units that provision themselves."""
    body = template({"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}},
                    ["SerialNumber", "AWS::IoT::Certificate::Id"],
                    status="ACTIVE", policy=policy)
    thing = body["Resources"]["thing"]
    thing["OverrideSettings"]["AttributePayload"] = "MERGE"
    thing["Properties"].update(
        {"ThingName": {"Fn::Join": ["", ["device-",
                                         {"Ref": "SerialNumber"}]]}},
        **properties)
    return body


def jitp_body():
    name = "AWS::IoT::Certificate::"
    body = template({"CertificateId": {"Ref": name + "Id"}},
                    [name + "CommonName", name + "Country", name + "Id"],
                    status="ACTIVE")
    body["Resources"]["thing"]["Properties"].update({
        "ThingName": {"Ref": name + "CommonName"},
        "AttributePayload": {"country": {"Ref": name + "Country"}}})
    return body


# Authorities and their units

def name_of(**parts):
    kinds = {"CN": NameOID.COMMON_NAME, "C": NameOID.COUNTRY_NAME,
             "O": NameOID.ORGANIZATION_NAME}
    return x509.Name([x509.NameAttribute(kinds[k], v)
                      for k, v in parts.items()])


class Authority:
    """A CA of the factory's own."""

    def __init__(self, name="Birth CA", certificate=None, key=None):
        if certificate is not None:
            with open(certificate, "rb") as file:
                self.certificate = x509.load_pem_x509_certificate(file.read())
            with open(key, "rb") as file:
                self.key = serialization.load_pem_private_key(
                    file.read(), None)
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
            self.certificate = self.sign(name_of(CN=name), self.key,
                                         name_of(CN=name), True)
        self.pem = self.certificate.public_bytes(PEM).decode()
        self.id = hashlib.sha256(
            self.certificate.public_bytes(DER)).hexdigest()

    def sign(self, subject, key, issuer=None, authority=False):
        now = datetime.datetime.utcnow()
        return x509.CertificateBuilder().subject_name(subject).issuer_name(
            issuer or self.certificate.subject).public_key(
            key.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(
            now - datetime.timedelta(days=1)).not_valid_after(
            now + datetime.timedelta(days=365)).add_extension(
            x509.BasicConstraints(authority, None), True).sign(
            self.key, hashes.SHA256())


class BornUnit(Unit):
    """A unit that holds a certificate of its maker's authority."""

    def __init__(self, serial, authority, **subject):
        super().__init__(serial)
        self.key = ec.generate_private_key(ec.SECP256R1())
        signed = authority.sign(name_of(CN=serial, **subject), self.key)
        self.certificate = signed.public_bytes(PEM).decode()
        self.id = hashlib.sha256(signed.public_bytes(DER)).hexdigest()
        self.arn = "arn:aws:iot:%s:%s:cert/%s" % (REGION, ACCOUNT, self.id)
        self.spki_der = self.key.public_key().public_bytes(
            DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.spki = hashlib.sha256(self.spki_der).hexdigest()

    def connect(self, bench):
        """Its first connections; True when one of them was served."""
        with open(bench.path("mqtt-endpoint"), encoding="utf-8") as file:
            host, port = file.read().strip().rsplit(":", 1)
        with tempfile.NamedTemporaryFile("w") as chain:
            chain.write(self.certificate)
            chain.write(self.key.private_bytes(
                PEM, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption()).decode())
            chain.flush()
            context = ssl.create_default_context(
                cafile=bench.path("ca.pem"))
            context.load_cert_chain(chain.name)
        hello = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04unit"
        try:
            with socket.create_connection((host, int(port)), 10) as plain, \
                    context.wrap_socket(plain, server_hostname=host) as link:
                link.sendall(hello)
                return len(link.recv(4)) == 4
        except (ssl.SSLError, ConnectionError):
            return False


class Patterns(Role):
    """The cloud role with one lot of the pattern."""

    def __init__(self, bench, cause="none", open_lot=True, **lot):
        rates = {name: 1000000 for name in (
            "RegisterThing", "RegisterCertificate", "ListPrincipalThings",
            "RegisterCertificateWithoutCA", "ListThingPrincipals",
            "CreateCertificateFromCsr", "ListCertificates",
            "DescribeCertificate", "UpdateCertificate", "DeleteCertificate",
            "AttachPolicy", "GetPolicy", "DescribeProvisioningTemplate",
            "DescribeThingRegistrationTask", "ListThingRegistrationTasks",
            "ListThingRegistrationTaskReports")}
        rates.update(lot.pop("rates", {}))
        objects = ""
        if lot.get("pattern") == "bulk":
            with open(bench.path("s3-endpoint"), encoding="utf-8") as file:
                objects = file.read().strip()
        super().__init__(bench, cloud={"rates": rates,
                                       "s3_endpoint": objects}, lot=lot)
        self.opened = self.ask("lot", cause=cause) if open_lot else None

    def register(self, unit, cause="none", **fields):
        if isinstance(unit, BornUnit):
            fields.setdefault("certificate", unit.certificate)
            fields.setdefault("spki", unit.spki)
        else:
            fields.setdefault("csr", unit.csr)
        return self.ask("issue", cause=cause, serial=unit.serial,
                        thing=unit.thing, **fields)

    def confirm(self, unit, cause="none", **fields):
        return self.ask("confirm", cause=cause, serial=unit.serial,
                        thing=unit.thing, **fields)

    def activate(self, certificate_id, cause="none"):
        return self.ask("activate", cause=cause,
                        certificate_id=certificate_id)


def principals(bench, thing):
    return bench.client().list_thing_principals(thingName=thing)["principals"]


def policies(bench, arn):
    return [p["policyName"] for p in bench.client().list_attached_policies(
        target=arn)["policies"]]


def check_registered(bench, unit, certificate_id, status):
    """What RegisterThing and its kin must leave behind."""
    arn = "arn:aws:iot:%s:%s:cert/%s" % (REGION, ACCOUNT, certificate_id)
    expect_equal(status_of(bench, certificate_id), status, "status")
    expect_equal(principals(bench, unit.thing), [arn], "principals")
    expect_equal(policies(bench, arn), ["FleetDevicePolicy"], "policies")


# register-thing, by the unit's request

def test_register_thing_by_request():
    with Bench() as bench, Patterns(bench, **register_lot("csr")) as role:
        unit = Unit("1")
        issued = role.register(unit)
        certificate_check(unit, issued)
        expect_equal(issued["stray"], 0, "strays")
        expect_equal(issued["cloud_state"], "INACTIVE", "state")
        check_registered(bench, unit, issued["certificate_id"], "INACTIVE")
        thing = bench.aws("iot", "describe-thing", "--thing-name", unit.thing)
        expect_equal(thing["attributes"], {"serial": "1"}, "attributes")
        expect_equal(thing["thingTypeName"], "SmartSensor", "type")
        role.activate(issued["certificate_id"])
        check_registered(bench, unit, issued["certificate_id"], "ACTIVE")
        # The ledger knows it: the same certificate, and nothing new.
        again = role.register(unit, known_id=issued["certificate_id"],
                              known_certificate=issued["certificate"])
        expect_equal(again["certificate_id"], issued["certificate_id"], "id")
        expect_equal(len(bench.certificates()), 1, "certificates")
        expect(not bench.call("/_bench/stats").get("unknownMembers"),
               "the role sent unknown members")


def test_register_thing_lost_answers():
    with Bench() as bench, Patterns(bench, **register_lot("csr")) as role:
        warm = Unit("warm")
        role.register(warm)
        units = [Unit(str(i)) for i in range(6)]
        bench.faults({"op": "RegisterThing", "what": "drop-answer",
                      "count": 4})
        sent = [role.send("issue", csr=u.csr, serial=u.serial, thing=u.thing)
                for u in units]
        for unit, answer in zip(units, [role.wait(s) for s in sent]):
            expect_equal(answer["cause"], "none", answer["text"])
            expect_equal(answer["stray"], 0, "strays")
            certificate_check(unit, answer)
            check_registered(bench, unit, answer["certificate_id"],
                             "INACTIVE")
        expect_equal(len(bench.certificates()), 7, "certificates")


def test_register_thing_dropped_request_is_counted():
    with Bench() as bench, Patterns(bench, **register_lot("csr")) as role:
        unit = Unit("1")
        bench.faults({"op": "RegisterThing", "what": "drop-request",
                      "count": 1})
        issued = role.register(unit)
        certificate_check(unit, issued)
        expect_equal(issued["stray"], 1, "strays")
        expect_equal(len(bench.certificates()), 1, "certificates")
        # Done twice on the way: one of the two is the unit's, and the other
        # one has the unit's key, so that a scan finds it.
        other = Unit("2")
        bench.faults({"op": "RegisterThing", "what": "twice", "count": 1})
        issued = role.register(other)
        certificate_check(other, issued)


def test_register_thing_looks_for_an_earlier_one():
    with Bench() as bench, Patterns(bench, **register_lot("csr")) as role:
        unit = Unit("1")
        first = role.register(unit)
        found = role.register(unit, look_up=1,
                              since_wall_ms=int(time.time() * 1000) - 60000)
        expect_equal(found["certificate_id"], first["certificate_id"], "id")
        expect_equal(found["stray"], 0, "strays")
        # And when it got no further than the certificate.
        half = Unit("2")
        made = bench.client().create_certificate_from_csr(
            certificateSigningRequest=half.csr, setAsActive=False)
        found = role.register(half, look_up=1)
        expect_equal(found["certificate_id"], made["certificateId"], "id")
        check_registered(bench, half, made["certificateId"], "INACTIVE")


def test_register_thing_that_breaks_is_unsure():
    with Bench() as bench, Patterns(bench, **register_lot("csr")) as role:
        unit = Unit("1")
        bench.faults({"op": "RegisterThing", "what": "error", "status": 400,
                      "code": "ResourceRegistrationFailureException",
                      "count": 1})
        answer = role.register(unit, cause="cloud-unsure")
        expect_equal(answer["stray"], 1, "strays")
        expect("ResourceRegistrationFailure" in answer["text"],
               answer["text"])
        # Another update of the same thing passes.
        bench.faults({"op": "RegisterThing", "what": "error", "status": 409,
                      "code": "ConflictingResourceUpdateException",
                      "count": 1})
        expect_equal(role.register(unit)["stray"], 1, "strays")
        # What AWS refuses at once has made nothing.
        bench.faults({"op": "RegisterThing", "what": "error", "status": 400,
                      "code": "InvalidRequestException", "count": 1})
        answer = role.register(unit, cause="cloud-refused")
        expect_equal(answer["stray"], 0, "strays")
        bench.faults({"op": "RegisterThing", "what": "error", "status": 400,
                      "code": "ThrottlingException", "count": 2})
        expect_equal(role.register(unit)["stray"], 0, "strays")


def test_register_thing_active_at_issue():
    with Bench() as bench, Patterns(
            bench, activate_at_issue=1,
            **register_lot("csr", status="ACTIVE")) as role:
        unit = Unit("1")
        bench.faults({"op": "RegisterThing", "what": "drop-answer",
                      "count": 1})
        issued = role.register(unit)
        certificate_check(unit, issued)
        expect_equal(issued["cloud_state"], "ACTIVE", "state")
        check_registered(bench, unit, issued["certificate_id"], "ACTIVE")
        expect_equal(len(bench.certificates()), 1, "certificates")


def test_register_thing_is_undone():
    with Bench() as bench, Patterns(bench, **register_lot("csr")) as role:
        unit = Unit("1")
        issued = role.register(unit)
        # By its key, as after a stray, and again when it is gone.
        for state in ("DELETED", "ABSENT"):
            answer = role.ask("discard", spki=unit.spki, thing=unit.thing)
            expect_equal(answer["cloud_state"], state, "state")
        expect_equal(bench.certificates(), [], "certificates")
        # What someone attached to a thing of theirs stays.
        issued = role.register(unit)
        client = bench.client()
        client.create_thing(thingName="someones")
        client.attach_thing_principal(thingName="someones",
                                      principal=issued["arn"])
        role.ask("discard", cause="cloud-conflict", thing=unit.thing,
                 certificate_id=issued["certificate_id"])
        expect_equal(principals(bench, "someones"), [issued["arn"]],
                     "principals of the other thing")


# register-thing, by a certificate's id

def test_register_thing_by_id():
    with Bench() as bench, Patterns(bench, **register_lot("id")) as role:
        unit = Unit("1")
        issued = role.register(unit)
        expect_equal(status_of(bench, issued["certificate_id"]), "INACTIVE",
                     "status")
        # A repeat is harmless here, and so is a lost answer.
        bench.faults({"op": "RegisterThing", "what": "drop-answer",
                      "count": 2})
        for _ in range(2):
            bound = role.bind(unit, issued)
            expect_equal(bound["cloud_state"], "INACTIVE", "state")
            check_registered(bench, unit, issued["certificate_id"],
                             "INACTIVE")
        role.activate(issued["certificate_id"])
        check_registered(bench, unit, issued["certificate_id"], "ACTIVE")
        bench.faults({"op": "RegisterThing", "what": "error", "status": 400,
                      "code": "ResourceRegistrationFailureException",
                      "count": 1})
        role.bind(unit, issued, cause="cloud-refused")


# register-thing, by a certificate that the unit holds

def test_register_thing_by_certificate():
    authority = Authority()
    with Bench() as bench:
        bench.client().register_ca_certificate(
            caCertificate=authority.pem, setAsActive=True,
            certificateMode="SNI_ONLY")
        with Patterns(bench, **register_lot("pem")) as role:
            unit = BornUnit("1", authority)
            bench.faults({"op": "RegisterThing", "what": "drop-answer",
                          "count": 1})
            issued = role.register(unit)
            expect_equal(issued["certificate_id"], unit.id, "id")
            expect_equal(issued["arn"], unit.arn, "ARN")
            expect_equal(issued["stray"], 0, "strays")
            check_registered(bench, unit, unit.id, "INACTIVE")
            for fields in ({"look_up": 1}, {"known_id": unit.id}, {}):
                again = role.register(unit, **fields)
                expect_equal(again["certificate_id"], unit.id, "id")
            check_registered(bench, unit, unit.id, "INACTIVE")
            role.activate(unit.id)
            check_registered(bench, unit, unit.id, "ACTIVE")
            role.register(unit, cause="csr-key", spki=Unit("1").spki)
            role.register(unit, cause="csr-invalid",
                          certificate=unit.certificate[:100])
            # Someone else's certificate is left alone.
            other = BornUnit("2", authority)
            client = bench.client()
            client.register_certificate(certificatePem=other.certificate,
                                        status="INACTIVE")
            client.create_thing(thingName="someones")
            client.attach_thing_principal(thingName="someones",
                                          principal=other.arn)
            role.register(other, look_up=1, cause="cloud-conflict")
            expect_equal(principals(bench, "someones"), [other.arn],
                         "principals of the other thing")


def test_random_faults_keep_the_promises():
    """One ACTIVE certificate a unit, and strays counted, whatever happens."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print("# seed %d" % seed)
    chance = random.Random(seed)
    kinds = [{"what": "drop-answer"}, {"what": "drop-request"},
             {"what": "error", "status": 400, "code": "ThrottlingException"},
             {"what": "error", "status": 409,
              "code": "ConflictingResourceUpdateException"},
             {"what": "error", "status": 500,
              "code": "InternalFailureException"}]
    authority = Authority()
    for lot in (register_lot("csr"), register_lot("id"), register_lot("pem"),
                READBACK):
        with Bench("--seed", seed) as bench:
            bench.client().register_ca_certificate(
                caCertificate=authority.pem, setAsActive=True,
                certificateMode="SNI_ONLY")
            with Patterns(bench, **lot) as role:
                holds = lot.get("form") == "pem" or lot is READBACK
                units = [BornUnit(str(i), authority) if holds else
                         Unit(str(i)) for i in range(8)]
                bench.faults(*[dict(
                    kind, op="RegisterThing" if kind.get("status") == 409
                    else "*", probability=round(chance.uniform(0, 0.15), 3))
                    for kind in kinds])
                random_journeys(bench, role, units, lot)


def random_journeys(bench, role, units, lot):
    """Brings every unit home, as the line does; then looks at the account."""
    strays = 0
    for unit in units:
        known, look_up = {}, 0
        for _ in range(20):
            if isinstance(unit, BornUnit):
                known.update(certificate=unit.certificate, spki=unit.spki)
            else:
                known.update(csr=unit.csr)
            issued = role.wait(role.send(
                "issue", serial=unit.serial, thing=unit.thing,
                look_up=look_up, **known))
            strays += issued["stray"]
            look_up = 1
            if issued["cause"] != "none":
                expect(issued["cause"] in ("cloud-unsure", "cloud-conflict",
                                           "cloud-unavailable"),
                       issued["text"])
                continue
            known.update(known_id=issued["certificate_id"],
                         known_certificate=issued["certificate"])
            if lot.get("form") in ("csr", "pem") or role.wait(role.send(
                    "bind", serial=unit.serial, thing=unit.thing,
                    arn=issued["arn"],
                    certificate_id=issued["certificate_id"]))[
                        "cause"] == "none":
                if role.wait(role.send(
                        "activate", certificate_id=issued["certificate_id"]))[
                            "cause"] == "none":
                    break
        else:
            raise Failure("unit %s does not come home" % unit.serial)
        unit.id = issued["certificate_id"]
    bench.faults()
    active = sorted(c["certificateId"] for c in bench.certificates()
                    if c["status"] == "ACTIVE")
    expect_equal(active, sorted(u.id for u in units), "ACTIVE certificates")
    spare = len(bench.certificates()) - len(units)
    expect(0 <= spare <= strays, "%d to spare, %d counted" % (spare, strays))
    for unit in units:
        arn = "arn:aws:iot:%s:%s:cert/%s" % (REGION, ACCOUNT, unit.id)
        expect(arn in principals(bench, unit.thing), "it is not attached")
        expect_equal(policies(bench, arn), ["FleetDevicePolicy"], "policies")


# certificate-readback

READBACK = {"pattern": "certificate-readback"}


def test_readback_under_an_authority():
    authority = Authority()
    with Bench() as bench:
        bench.client().register_ca_certificate(
            caCertificate=authority.pem, setAsActive=True,
            certificateMode="SNI_ONLY")
        with Patterns(bench, readback_ca=authority.pem, **READBACK) as role:
            readback_check(bench, role, BornUnit("1", authority))
            stranger = BornUnit("2", Authority("Another CA"))
            role.register(stranger, cause="cloud-refused")


def test_readback_without_an_authority():
    with Bench() as bench, Patterns(bench, **READBACK) as role:
        readback_check(bench, role, BornUnit("1", Authority()))
        expect_equal(len(bench.calls("RegisterCertificate")), 0,
                     "calls of RegisterCertificate")


def readback_check(bench, role, unit):
    bench.faults({"op": "RegisterCertificate", "what": "drop-answer",
                  "count": 1},
                 {"op": "RegisterCertificateWithoutCA", "what": "drop-answer",
                  "count": 1})
    issued = role.register(unit)
    expect_equal(issued["certificate_id"], unit.id, "id")
    expect_equal(issued["certificate"], unit.certificate, "certificate")
    expect_equal(issued["arn"], unit.arn, "ARN")
    expect_equal(issued["stray"], 0, "strays")
    expect_equal(status_of(bench, unit.id), "INACTIVE", "status")
    role.bind(unit, issued)
    role.register(unit)
    check_registered(bench, unit, unit.id, "INACTIVE")
    role.activate(unit.id)
    check_registered(bench, unit, unit.id, "ACTIVE")
    # ACTIVE already, and the ledger does not know it: not ours to take.
    answer = role.register(unit, cause="cloud-conflict")
    expect("ACTIVE" in answer["text"], answer["text"])
    known = role.register(unit, known_id=unit.id,
                          known_certificate=unit.certificate)
    expect_equal(known["certificate_id"], unit.id, "id")
    role.register(unit, cause="csr-key", spki=Unit("1").spki)


def test_readback_of_an_attached_certificate_is_a_conflict():
    with Bench() as bench, Patterns(bench, **READBACK) as role:
        unit = BornUnit("1", Authority())
        client = bench.client()
        client.register_certificate_without_ca(
            certificatePem=unit.certificate, status="INACTIVE")
        client.create_thing(thingName="someones")
        client.attach_thing_principal(thingName="someones",
                                      principal=unit.arn)
        answer = role.register(unit, cause="cloud-conflict")
        expect("another thing" in answer["text"], answer["text"])
        client.detach_thing_principal(thingName="someones",
                                      principal=unit.arn)
        until = time.monotonic() + DEADLINE_S
        while principals(bench, "someones") and time.monotonic() < until:
            time.sleep(0.05)
        role.register(unit)


# claim and trusted-user

FLEET = {"templates": {"Fleet": {"body": fleet_body(),
                                 "roleArn": ROLE_ARN}},
         "claim": {"out": "claim", "policy": "FleetDevicePolicy"}}


def claim_lot(bench, **fields):
    with open(bench.path("claim/claim.cert.pem"), encoding="utf-8") as file:
        certificate = file.read()
    return dict({"pattern": "claim", "ending": "bench", "policy": "",
                 "template_name": "Fleet",
                 "parameters": {"SerialNumber": "${serial}"},
                 "claim_certificate": certificate}, **fields)


def provision(bench, unit, active=True):
    """What a unit that provisions itself leaves in the registry."""
    client = bench.client()
    made = client.create_certificate_from_csr(
        certificateSigningRequest=unit.csr, setAsActive=active)
    client.attach_thing_principal(thingName=unit.thing,
                                  principal=made["certificateArn"])
    return made["certificateId"]


def test_confirmation_of_a_claim_unit():
    with Bench(setup=FLEET) as bench, \
            Patterns(bench, **claim_lot(bench)) as role:
        unit = Unit("1")
        answer = role.confirm(unit, cause="not-connected", timeout_ms=100)
        expect("does not exist" in answer["text"], answer["text"])
        role.ask("preregister", serial="1", thing=unit.thing)
        # The claim itself is no certificate of the unit's.
        claim = role_claim_id(bench)
        bench.client().attach_thing_principal(
            thingName=unit.thing,
            principal="arn:aws:iot:%s:%s:cert/%s" % (REGION, ACCOUNT, claim))
        answer = role.confirm(unit, cause="not-connected", timeout_ms=1700)
        expect("no certificate of the unit's own" in answer["text"] and
               "2 s" in answer["text"], answer["text"])
        waiting = role.send("confirm", serial="1", thing=unit.thing)
        first = provision(bench, unit, active=False)
        answer = role.confirm(unit, cause="not-connected", timeout_ms=100)
        expect("none is ACTIVE" in answer["text"], answer["text"])
        bench.client().update_certificate(certificateId=first,
                                          newStatus="ACTIVE")
        answer = role.wait(waiting)
        expect_equal(answer["cause"], "none", answer["text"])
        expect_equal(answer["certificate_id"], first, "id")
        expect_equal(answer["cloud_state"], "ACTIVE", "state")
        expect_equal(answer["others"], [], "others")
        expect(answer["arn"].endswith(":cert/" + first), answer["arn"])
        # It is made again: the newest counts, the older one is named. The
        # bench's times have whole milliseconds.
        time.sleep(0.01)
        second = provision(bench, unit)
        answer = role.confirm(unit)
        expect_equal(answer["certificate_id"], second, "id")
        expect_equal(answer["others"], [first], "others")


def role_claim_id(bench):
    with open(bench.path("claim/claim.cert.pem"), "rb") as file:
        certificate = x509.load_pem_x509_certificate(file.read())
    return hashlib.sha256(certificate.public_bytes(DER)).hexdigest()


def test_trouble_while_waiting_is_told_as_such():
    with Bench(setup=FLEET) as bench, \
            Patterns(bench, **claim_lot(bench)) as role:
        unit = Unit("1")
        role.ask("preregister", serial="1", thing=unit.thing)
        bench.faults({"op": "ListThingPrincipals", "what": "error",
                      "status": 403, "code": "UnauthorizedException"})
        role.confirm(unit, cause="cloud-denied")
        bench.faults({"op": "ListThingPrincipals", "what": "drop-request",
                      "count": 2})
        provision(bench, unit)
        role.confirm(unit)


def test_claim_of_a_trusted_user():
    with Bench(setup=FLEET) as bench, Patterns(
            bench, **claim_lot(bench, pattern="trusted-user",
                               claim_certificate="")) as role:
        bench.faults({"op": "CreateProvisioningClaim", "what": "drop-answer",
                      "count": 1})
        answer = role.ask("claim", serial="1", attempt=77)
        expect_equal(len(role.deposits), 1, "deposits")
        deposit = role.deposits[0]
        expect_equal(deposit["attempt"], 77, "attempt of the deposit")
        certificate = x509.load_pem_x509_certificate(
            answer["certificate"].encode())
        key = serialization.load_pem_private_key(deposit["key"].encode(),
                                                 None)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        expect_equal(key.public_key().public_bytes(DER, form),
                     certificate.public_key().public_bytes(DER, form),
                     "the claim's key")
        expect_equal(deposit["certificate"], answer["certificate"],
                     "the deposit's certificate")
        expect_equal(answer["certificate_id"], hashlib.sha256(
            certificate.public_bytes(DER)).hexdigest(), "id")
        left_s = answer["expires_wall_ms"] / 1000 - time.time()
        expect(200 < left_s <= 301, "it lasts %d s" % left_s)
        expect("PRIVATE KEY" not in role.log(), "the key is in the log")
        bench.faults({"op": "CreateProvisioningClaim", "what": "error",
                      "status": 403, "code": "UnauthorizedException"})
        role.ask("claim", serial="1", cause="cloud-denied")
        expect_equal(len(role.deposits), 1, "deposits after a refusal")


# Quota for what units spend themselves

def test_permits_come_at_the_share_of_the_quota():
    with Bench() as bench, Patterns(
            bench, rates={"RegisterThing": 10000},
            **register_lot("csr")) as role:
        for number in range(3):
            role.ask("permit", attempt=number + 1)
        started = time.monotonic()
        sent = [role.send("permit", attempt=i + 100) for i in range(16)]
        for s in sent:
            expect_equal(role.wait(s)["cause"], "none", "permit")
        took = time.monotonic() - started
        # 8 a second, and at most a moment's worth at once.
        expect(1.3 <= took <= 4, "16 permits in %.2f s" % took)
        sent = [role.send("permit", attempt=i + 200, timeout_ms=500)
                for i in range(16)]
        causes = [role.wait(s)["cause"] for s in sent]
        expect("cloud-throttled" in causes and "none" in causes,
               "permits in half a second: %s" % causes)
        expect_equal(len(bench.calls("RegisterThing")), 0, "calls")


# jitp and jitr

JIT = {"templates": {"Jitp": {"body": jitp_body(), "type": "JITP",
                              "roleArn": ROLE_ARN},
                     "Fleet": {"body": fleet_body(), "roleArn": ROLE_ARN}},
       "authorities": {"jitp-ca": {"template": "Jitp", "out": "jitp-ca",
                                   "autoRegistration": True},
                       "jitr-ca": {"out": "jitr-ca",
                                   "autoRegistration": True}}}


def authority_of(bench, name):
    return Authority(certificate=bench.path(name + "/ca.pem"),
                     key=bench.path(name + "/ca.key.pem"))


def jit_lot(pattern, authority, **fields):
    return dict({"pattern": pattern, "ending": "bench",
                 "thing": "${serial}" if pattern == "jitp" else "",
                 "subject": {"CN": "${serial}", "C": "DE"},
                 "ca": authority.pem}, **fields)


def test_confirmation_of_a_jitp_unit():
    with Bench(setup=JIT) as bench:
        authority = authority_of(bench, "jitp-ca")
        with Patterns(bench, policy="", thing_type="", groups=[],
                      attributes={}, template_name="Jitp",
                      **jit_lot("jitp", authority)) as role:
            unit = BornUnit("unit-1", authority, C="DE")
            unit.thing = unit.serial
            answer = role.confirm(unit, cause="not-connected",
                                  certificate_id=unit.id, timeout_ms=100)
            expect("has not seen" in answer["text"], answer["text"])
            waiting = role.send("confirm", serial=unit.serial,
                                thing=unit.thing, certificate_id=unit.id)
            connect_until(bench, unit, True)
            answer = role.wait(waiting)
            expect_equal(answer["cause"], "none", answer["text"])
            expect_equal(answer["certificate_id"], unit.id, "id")
            check_registered(bench, unit, unit.id, "ACTIVE")
            other = BornUnit("unit-2", authority, C="DE")
            connect_until(bench, other, True)
            other.thing = "device-2"
            answer = role.confirm(other, cause="cloud-conflict",
                                  certificate_id=other.id)
            expect("another thing" in answer["text"], answer["text"])


def connect_until(bench, unit, served):
    """Connects as a unit does: again, when it is dropped."""
    until = time.monotonic() + DEADLINE_S
    while unit.connect(bench) != served:
        expect(time.monotonic() < until, "it is not served")


def test_confirmation_of_a_jitr_unit():
    with Bench(setup=JIT) as bench:
        authority = authority_of(bench, "jitr-ca")
        with Patterns(bench, **jit_lot("jitr", authority)) as role:
            unit = BornUnit("1", authority)
            waiting = role.send("confirm", serial=unit.serial,
                                thing=unit.thing, certificate_id=unit.id,
                                extra='{"rev":"B2"}',
                                mac="24:6f:28:00:00:01")
            # AWS registers it and drops it: it waits for its activation.
            expect(not unit.connect(bench), "it was served at once")
            answer = role.wait(waiting)
            expect_equal(answer["cause"], "none", answer["text"])
            expect_equal(answer["cloud_state"], "ACTIVE", "state")
            check_registered(bench, unit, unit.id, "ACTIVE")
            groups = bench.client().list_thing_groups_for_thing(
                thingName=unit.thing)["thingGroups"]
            expect_equal(sorted(g["groupName"] for g in groups),
                         ["factory", "line:1"], "groups")
            expect(unit.connect(bench), "it is not served")
            # A repeat, after a crash before the answer was heard.
            again = role.confirm(unit, certificate_id=unit.id,
                                 extra='{"rev":"B2"}',
                                 mac="24:6f:28:00:00:01")
            expect_equal(again["certificate_id"], unit.id, "id")


def test_jitr_waits_for_the_lambda():
    with Bench(setup=JIT) as bench:
        authority = authority_of(bench, "jitr-ca")
        with Patterns(bench, lambda_activates=1,
                      **jit_lot("jitr", authority)) as role:
            unit = BornUnit("1", authority)
            unit.connect(bench)
            answer = role.confirm(unit, cause="not-connected",
                                  certificate_id=unit.id, timeout_ms=100)
            expect("PENDING_ACTIVATION" in answer["text"] and
                   "Lambda" in answer["text"], answer["text"])
            expect_equal(status_of(bench, unit.id), "PENDING_ACTIVATION",
                         "status")
            client = bench.client()
            client.update_certificate(certificateId=unit.id,
                                      newStatus="ACTIVE")
            answer = role.confirm(unit, cause="not-connected",
                                  certificate_id=unit.id, timeout_ms=100)
            expect("no thing" in answer["text"], answer["text"])
            client.create_thing(thingName=unit.thing)
            client.attach_thing_principal(thingName=unit.thing,
                                          principal=unit.arn)
            role.confirm(unit, certificate_id=unit.id)


def test_revocation():
    with Bench(setup=JIT) as bench:
        authority = authority_of(bench, "jitr-ca")
        with Patterns(bench, **jit_lot("jitr", authority)) as role:
            # One that AWS never saw, and one that has connected.
            unknown, known = BornUnit("1", authority), BornUnit("2", authority)
            known.connect(bench)
            expect_equal(status_of(bench, known.id), "PENDING_ACTIVATION",
                         "status")
            bench.faults({"op": "RegisterCertificate", "what": "drop-answer",
                          "count": 1},
                         {"op": "UpdateCertificate", "what": "drop-answer",
                          "count": 1})
            for unit in (unknown, known, known):
                answer = role.ask("discard", revoke=unit.certificate,
                                  certificate_id=unit.id)
                expect_equal(answer["cloud_state"], "REVOKED", "state")
                expect_equal(status_of(bench, unit.id), "REVOKED", "status")
            for unit in (unknown, known):
                expect(not unit.connect(bench), "it is served")
                expect_equal(status_of(bench, unit.id), "REVOKED", "status")
            answer = role.confirm(known, cause="cloud-conflict",
                                  certificate_id=known.id)
            expect("REVOKED" in answer["text"], answer["text"])
            role.ask("discard", cause="internal", revoke=known.certificate,
                     certificate_id=unknown.id)


# What is refused before the first unit

def refused(bench, *words, **lot):
    """Opens a lot, which must fail with a text that has these words."""
    before = len(bench.calls("UpdateCertificate"))
    with Patterns(bench, cause="bad-lot", **lot) as role:
        for word in words + ("L100",):
            expect(word in role.opened["text"],
                   "%r is not in %r" % (word, role.opened["text"]))
        # Units get the same answer, and nothing is done for them.
        answer = role.ask("activate", cause="bad-lot",
                          certificate_id="0" * 64)
        expect_equal(answer["text"], role.opened["text"], "text of a unit")
    expect_equal(len(bench.calls("UpdateCertificate")), before, "calls")


def test_what_a_lot_names_must_exist():
    with Bench() as bench:
        where = "account %s, Region %s" % (ACCOUNT, REGION)
        for field, value, noun in (
                ("thing_type", "NoType", "thing type NoType"),
                ("groups", ["factory", "nowhere"], "thing group nowhere"),
                ("policy", "NoPolicy", "policy NoPolicy")):
            refused(bench, noun, where, **{field: value})
        refused(bench, "policy Unknown", where,
                **register_lot("csr", policy_name="Unknown"))
        client = bench.client()
        client.create_thing_type(thingTypeName="Old")
        client.deprecate_thing_type(thingTypeName="Old")
        refused(bench, "Old is deprecated", thing_type="Old")
        with Patterns(bench) as role:
            role.register(Unit("1"))
        # What cannot be seen is not taken for granted.
        bench.faults({"op": "GetPolicy", "what": "error", "status": 403,
                      "code": "UnauthorizedException"})
        with Patterns(bench, cause="cloud-denied") as role:
            expect("GetPolicy" in role.opened["text"], role.opened["text"])


def test_fleet_template_must_fit_the_lot():
    templates = {
        "Fleet": {"body": fleet_body(), "roleArn": ROLE_ARN},
        "Off": {"body": fleet_body(), "roleArn": ROLE_ARN, "enabled": False},
        "Jitp": {"body": jitp_body(), "roleArn": ROLE_ARN, "type": "JITP"},
        "NoGroup": {"body": fleet_body(ThingGroups=["nowhere"]),
                    "roleArn": ROLE_ARN}}
    with Bench(setup=dict(FLEET, templates=templates)) as bench:
        def lot(**fields):
            return claim_lot(bench, **fields)
        refused(bench, "provisioning template None", "template.name",
                **lot(template_name="None"))
        refused(bench, "Off is not enabled", **lot(template_name="Off"))
        refused(bench, "Jitp is of type JITP", "FLEET_PROVISIONING",
                **lot(template_name="Jitp"))
        refused(bench, "thing group nowhere", **lot(template_name="NoGroup"))
        # The usual mistake: names are compared with their case.
        refused(bench, "serialNumber", "SerialNumber",
                **lot(parameters={"serialNumber": "${serial}"}))
        changed = fleet_body()
        changed["Resources"]["thing"]["Properties"]["AttributePayload"] = {}
        refused(bench, "template.file",
                **lot(template_body=json.dumps(changed)))
        # The same in another order and with other spaces is the same.
        same = json.dumps(fleet_body(), indent=4, sort_keys=True)
        with Patterns(bench, **lot(template_body=same)) as role:
            expect("no pre-provisioning hook" in role.log(), role.log())
        client = bench.client()
        client.update_certificate(certificateId=role_claim_id(bench),
                                  newStatus="INACTIVE")
        refused(bench, "claim certificate", "INACTIVE", **lot())
        refused(bench, "claim certificate",
                **lot(claim_certificate=Authority("no claim").pem))


def test_authority_of_a_jit_lot_must_be_ready():
    with Bench(setup=JIT) as bench:
        jitp = authority_of(bench, "jitp-ca")
        jitr = authority_of(bench, "jitr-ca")
        client = bench.client()

        def jitp_lot(authority, **fields):
            return dict(jit_lot("jitp", authority), policy="", thing_type="",
                        groups=[], attributes={}, **fields)
        refused(bench, "CA certificate", "register it",
                **jitp_lot(Authority("unknown")))
        refused(bench, "no provisioning template", "jitr", **jitp_lot(jitr))
        refused(bench, "has a provisioning template", "jitp",
                **jit_lot("jitr", jitp))
        refused(bench, "template Jitp", "names Other",
                **jitp_lot(jitp, template_name="Other"))
        # A certificate without the country could not be provisioned.
        refused(bench, "Country", **dict(jitp_lot(jitp),
                                         subject={"CN": "${serial}"}))
        with Patterns(bench, **jitp_lot(jitp, template_name="Jitp")):
            pass
        with Patterns(bench, **jit_lot("jitr", jitr)):
            pass
        client.update_ca_certificate(certificateId=jitr.id,
                                     newAutoRegistrationStatus="DISABLE")
        refused(bench, "auto-registration", **jit_lot("jitr", jitr))
        client.update_ca_certificate(certificateId=jitp.id,
                                     newStatus="INACTIVE")
        refused(bench, "is INACTIVE", **jitp_lot(jitp))
        refused(bench, "is INACTIVE", readback_ca=jitp.pem, **READBACK)
        refused(bench, "CA certificate",
                readback_ca=Authority("unknown").pem, **READBACK)


# bulk

def bulk_lot(**fields):
    return dict(register_lot("csr"), pattern="bulk", bucket="lots",
                role_arn=ROLE_ARN, **fields)


class BulkBench(Bench):
    """With a bucket for the lots' objects."""

    def __init__(self, *options, **fields):
        super().__init__(*options, **fields)
        with open(self.path("s3-endpoint"), encoding="utf-8") as file:
            objects = file.read().strip()
        botocore.session.Session().create_client(
            "s3", region_name=REGION, endpoint_url=objects,
            verify=self.path("ca.pem"),
            aws_access_key_id=self.keys["aws_access_key_id"],
            aws_secret_access_key=self.keys["aws_secret_access_key"],
            config=botocore.config.Config(
                s3={"addressing_style": "path"})).create_bucket(
            Bucket="lots", CreateBucketConfiguration={
                "LocationConstraint": REGION})


def bulk_input(units):
    return "".join(json.dumps({
        "ThingName": u.thing, "SerialNumber": u.serial, "CSR": u.csr}) + "\n"
        for u in units)


def bulk_end(role, started):
    """Polls a task to its end; returns the last answer."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        answer = role.ask("bulk-poll", key=started["key"],
                          task=started["task"])
        if answer["ended"]:
            return answer
        expect(answer["results"] is None and answer["errors"] is None,
               "there is a report before the end")
        time.sleep(0.1)
    raise Failure("the task does not end")


def lines(report):
    return [json.loads(line) for line in report.splitlines() if line.strip()]


def tasks(bench):
    return bench.client().list_thing_registration_tasks()["taskIds"]


def test_bulk_registration():
    with BulkBench() as bench, Patterns(bench, **bulk_lot()) as role:
        units = [Unit(str(i)) for i in range(12)]
        broken = Unit("broken")
        broken.csr = "no request"
        bench.faults({"op": "PutObject", "what": "drop-answer", "count": 1},
                     {"op": "StartThingRegistrationTask",
                      "what": "drop-answer", "count": 1})
        key = "lots/L100/bulk!1_(1)'*.json"
        started = role.ask("bulk-start", key=key,
                           input=bulk_input(units + [broken]))
        expect_equal(started["key"], key, "key")
        # Links break off and are fetched again, from their beginning.
        bench.faults({"op": "GetObject", "what": "drop-answer", "count": 1},
                     {"op": "GetObject", "what": "error", "status": 503,
                      "code": "SlowDown", "count": 1})
        end = bulk_end(role, started)
        expect_equal((end["status"], end["succeeded"], end["failed"],
                      end["percent"]), ("Completed", 12, 1, 100), "end")
        expect_equal(len(bench.calls("GetObject")), 4,
                     "calls of GetObject")
        found = {}
        for line in lines(end["results"]):
            pem = line["response"]["CertificatePem"]
            certificate = x509.load_pem_x509_certificate(pem.encode())
            der = certificate.public_key().public_bytes(
                DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            found[hashlib.sha256(der).hexdigest()] = hashlib.sha256(
                certificate.public_bytes(DER)).hexdigest()
        expect_equal(len(lines(end["errors"])), 1, "errors")
        for unit in units:
            check_registered(bench, unit, found[unit.spki], "INACTIVE")
            role.activate(found[unit.spki])
            check_registered(bench, unit, found[unit.spki], "ACTIVE")
        expect_equal(len(found), 12, "certificates in the report")
        # A repeat after a crash, with and without the task's id.
        for fields in ({}, {"task": started["task"]}):
            again = role.ask("bulk-start", key=key, input=bulk_input(units),
                             **fields)
            expect_equal(again["task"], started["task"], "task")
            expect_equal(again["ended"], 1, "ended")
        expect_equal(tasks(bench), [started["task"]], "tasks")
        expect_equal(len(bench.certificates()), 12, "certificates")


def test_bulk_needs_its_bucket():
    with BulkBench() as bench:
        refused(bench, "S3 bucket elsewhere", "bulk.bucket",
                **dict(bulk_lot(), bucket="elsewhere"))


def test_bulk_start_that_never_was_is_repeated():
    with BulkBench() as bench, Patterns(bench, **bulk_lot()) as role:
        bench.faults({"op": "StartThingRegistrationTask",
                      "what": "drop-request", "count": 1})
        started = role.ask("bulk-start", key="a", input=bulk_input(
            [Unit("1")]))
        end = bulk_end(role, started)
        expect_equal((end["status"], end["succeeded"]), ("Completed", 1),
                     "end")
        expect_equal(lines(end["errors"]), [], "errors")
        expect_equal(tasks(bench), [started["task"]], "tasks")


def test_bulk_waits_for_another_task():
    with tempfile.NamedTemporaryFile("w", suffix=".json") as rates:
        json.dump({"RegisterThing": 4}, rates)
        rates.flush()
        with BulkBench("--rates", rates.name) as bench, \
                Patterns(bench, **bulk_lot()) as role:
            first = role.ask("bulk-start", key="first", input=bulk_input(
                [Unit(str(i)) for i in range(40)]))
            answer = role.ask("bulk-start", key="second",
                              cause="cloud-throttled",
                              input=bulk_input([Unit("x")]))
            expect(first["task"] in answer["text"] and
                   "first" in answer["text"], answer["text"])
            again = role.ask("bulk-start", key="first",
                             input=bulk_input([Unit("x")]))
            expect_equal(again["task"], first["task"], "task")
            expect_equal(again["ended"], 0, "ended")
            # Someone stops it: that is an end, with the reports so far.
            bench.client().stop_thing_registration_task(taskId=first["task"])
            end = bulk_end(role, first)
            expect_equal(end["status"], "Cancelled", "status")
            expect_equal(len(lines(end["results"])), end["succeeded"],
                         "results")
            second = role.ask("bulk-start", key="second",
                              input=bulk_input([Unit("x")]))
            expect(second["task"] != first["task"], "one task for two")
            expect_equal(bulk_end(role, second)["succeeded"], 1, "succeeded")


def main():
    wanted = sys.argv[1:]
    failed = 0
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
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
