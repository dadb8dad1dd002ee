"""What the tests of bench-cloud's provisioning work with.

A device that speaks MQTT, a factory that has authorities, and AWS's own two
example templates.
"""

import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import time
import traceback

from cloud_witness_test import (ACCOUNT, DEADLINE_S, REGION, ROLE, Failure,
                                Workshop, expect, openssl)

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
HOOK_ARN = "arn:aws:lambda:%s:%s:function:hook" % (REGION, ACCOUNT)
RULE_ARN = "arn:aws:lambda:%s:%s:function:rule" % (REGION, ACCOUNT)
CREATE = "$aws/certificates/create/json"
FROM_CSR = "$aws/certificates/create-from-csr/json"
EVERYTHING = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]})
PUBLISH = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["iot:Publish"],
                   "Resource": ["arn:aws:iot:us-east-1:123456789012:topic/"
                                "foo/bar"]}]})

# The two templates of AWS's own examples, as they stand there.
FLEET = {
    "Parameters": {"SerialNumber": {"Type": "String"},
                   "FirmwareVersion": {"Type": "String"},
                   "AWS::IoT::Certificate::Id": {"Type": "String"}},
    "Resources": {
        "certificate": {
            "Properties": {
                "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                "Status": "Active"},
            "Type": "AWS::IoT::Certificate"},
        "policy": {"Properties": {"PolicyName": "FleetDevicePolicy"},
                   "Type": "AWS::IoT::Policy"},
        "thing": {
            "OverrideSettings": {"AttributePayload": "MERGE",
                                 "ThingGroups": "DO_NOTHING",
                                 "ThingTypeName": "REPLACE"},
            "Properties": {
                "AttributePayload": {
                    "firmwareVersion": {"Ref": "FirmwareVersion"}},
                "ThingGroups": ["unprovisioned-devices"],
                "ThingName": {"Fn::Join": [
                    "", ["device-", {"Ref": "SerialNumber"}]]},
                "ThingTypeName": "SmartSensor"},
            "Type": "AWS::IoT::Thing"}}}
JITP = {
    "Parameters": {
        "AWS::IoT::Certificate::CommonName": {"Type": "String"},
        "AWS::IoT::Certificate::SerialNumber": {"Type": "String"},
        "AWS::IoT::Certificate::Country": {"Type": "String"},
        "AWS::IoT::Certificate::Id": {"Type": "String"}},
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"},
                "AttributePayload": {
                    "version": "v1",
                    "serialNumber": {
                        "Ref": "AWS::IoT::Certificate::SerialNumber"}},
                "ThingTypeName": "lightBulb-versionA",
                "ThingGroups": ["v1-lightbulbs", {
                    "Ref": "AWS::IoT::Certificate::Country"}]},
            "OverrideSettings": {"AttributePayload": "MERGE",
                                 "ThingTypeName": "REPLACE",
                                 "ThingGroups": "DO_NOTHING"}},
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {
                "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                "Status": "ACTIVE"}},
        "policy": {
            "Type": "AWS::IoT::Policy",
            "Properties": {
                "PolicyDocument": "{ \"Version\": \"2012-10-17\", "
                "\"Statement\": [{ \"Effect\": \"Allow\", \"Action\":"
                "[\"iot:Publish\"], \"Resource\": [\"arn:aws:iot:us-east-1:"
                "123456789012:topic/foo/bar\"] }] }"}}}}


def single(thing=None, certificate=None, policy=None, **sections):
    """A template of these properties, with what else is given."""
    resources = {}
    for name, kind, properties in (("thing", "Thing", thing),
                                   ("certificate", "Certificate", certificate),
                                   ("policy", "Policy", policy)):
        if properties is not None:
            properties = dict(properties)
            settings = properties.pop("OverrideSettings", None)
            resources[name] = {"Type": "AWS::IoT::" + kind,
                               "Properties": properties}
            if settings is not None:
                resources[name]["OverrideSettings"] = settings
    return dict({"Resources": resources}, **sections)


def ref(name):
    return {"Ref": name}


# A device

class Device:
    """A small MQTT 3.1.1 client with a client certificate."""

    def __init__(self, bench, certificate, key, client_id="unit", sni=True):
        host, port = bench.read("mqtt-endpoint").strip().rsplit(":", 1)
        context = ssl.create_default_context(cafile=bench.path("ca.pem"))
        context.load_cert_chain(certificate, key)
        if not sni:
            context.check_hostname = False
        self.client_id = client_id
        self.packet_id = 0
        self.buffer = b""
        self.messages = []
        plain = socket.create_connection((host, int(port)), DEADLINE_S)
        plain.settimeout(DEADLINE_S)
        self.socket = context.wrap_socket(
            plain, server_hostname=host if sni else None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, body):
        length, size = len(body), b""
        while True:
            size += bytes([length % 128 | (128 if length > 127 else 0)])
            length //= 128
            if length == 0:
                break
        self.socket.sendall(bytes([kind]) + size + body)

    def fill(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed")
            self.buffer += data

    def packet(self):
        """The next packet: first byte and body."""
        at, length, shift = 1, 0, 0
        while True:
            self.fill(at + 1)
            length |= (self.buffer[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if self.buffer[at - 1] < 128:
                break
        self.fill(at + length)
        kind, body = self.buffer[0], self.buffer[at:at + length]
        self.buffer = self.buffer[at + length:]
        return kind, body

    def expect_packet(self, wanted):
        """The next packet of a kind; messages before it are kept."""
        while True:
            kind, body = self.packet()
            if kind >> 4 == 3:
                size = struct.unpack(">H", body[:2])[0]
                topic, rest = body[2:2 + size].decode(), body[2 + size:]
                if kind >> 1 & 3:
                    self.send(0x40, rest[:2])
                    rest = rest[2:]
                self.messages.append((topic, json.loads(rest)))
                if wanted == 3:
                    return None
            elif kind >> 4 == wanted:
                return body

    @staticmethod
    def string(text):
        data = text.encode()
        return struct.pack(">H", len(data)) + data

    def connect(self):
        self.send(0x10, self.string("MQTT") + b"\x04\x02\x00\x3c" +
                  self.string(self.client_id))
        body = self.expect_packet(2)
        expect(body[1] == 0, "CONNACK %d" % body[1])
        return self

    def subscribe(self, *topics):
        self.packet_id += 1
        self.send(0x82, struct.pack(">H", self.packet_id) + b"".join(
            self.string(topic) + b"\x01" for topic in topics))
        return list(self.expect_packet(9)[2:])

    def publish(self, topic, payload):
        self.packet_id += 1
        if not isinstance(payload, bytes):
            payload = json.dumps(payload).encode()
        self.send(0x32, self.string(topic) +
                  struct.pack(">H", self.packet_id) + payload)

    def message(self):
        while not self.messages:
            self.expect_packet(3)
        return self.messages.pop(0)

    def ask(self, topic, payload):
        """Publishes and waits for the answer; subscribed before."""
        self.publish(topic, payload)
        answer, body = self.message()
        expect(answer in (topic + "/accepted", topic + "/rejected"),
               "an answer on %s" % answer)
        return answer.endswith("/accepted"), body


def provision_topic(name):
    return "$aws/provisioning-templates/%s/provision/json" % name


def ready(bench, certificate, key, name="fleet", client_id="unit"):
    """A device that is connected and subscribed for fleet provisioning."""
    device = Device(bench, certificate, key, client_id).connect()
    for topic in (CREATE, FROM_CSR, provision_topic(name)):
        codes = device.subscribe(topic + "/accepted", topic + "/rejected")
        expect(codes == [1, 1], "SUBACK %s for %s" % (codes, topic))
    return device


def turned_away(bench, certificate, key, sni=True):
    """Expects a connection to end without service; not that it is said how."""
    try:
        with Device(bench, certificate, key, sni=sni) as device:
            device.connect()
    except (OSError, Failure):
        return
    raise Failure("a connection was let in")


# What the tests work with

class Factory(Workshop):
    """A workshop with authorities of its own."""

    def authority(self, name, *more):
        """Makes a CA; returns its PEM. Files NAME.pem and NAME.key."""
        return self.self_signed(name, "-addext",
                                "keyUsage=critical,keyCertSign", *more)

    def issue(self, name, authority, subject=None, days=30):
        """A certificate under the authority; returns paths and PEM."""
        self.csr(name)
        path = self.path(name + ".pem")
        arguments = ["x509", "-req", "-in", self.path(name + ".csr"), "-CA",
                     self.path(authority + ".pem"), "-CAkey",
                     self.path(authority + ".key"), "-set_serial",
                     str(0x1000 + self.serial()), "-days", str(days), "-out",
                     path]
        if subject is not None:
            openssl("req", "-new", "-key", self.path(name + ".key"), "-subj",
                    subject, "-out", self.path(name + ".csr"))
        openssl(*arguments)
        with open(path, encoding="utf-8") as file:
            return path, self.path(name + ".key"), file.read()

    def serial(self):
        self.count += 1
        return self.count

    def lambda_file(self, name, body):
        return self.file(name + ".py", "import json, os, time\n"
                         "def lambda_handler(event, context):\n" +
                         "".join("    %s\n" % line
                                 for line in body.splitlines()))

    def claim(self, bench, policy=EVERYTHING):
        """Files of a claim certificate with the policy."""
        iot = bench.client()
        made = iot.create_keys_and_certificate(setAsActive=True)
        name = "claim-%d" % self.serial()
        iot.create_policy(policyName=name, policyDocument=policy)
        iot.attach_policy(policyName=name, target=made["certificateArn"])
        return (self.file(name + ".pem", made["certificatePem"]),
                self.file(name + ".key", made["keyPair"]["PrivateKey"]),
                made["certificateId"])

    def identity(self, name, answer):
        """Files of the certificate and key of an answer."""
        key = answer.get("privateKey") or answer["keyPair"]["PrivateKey"]
        return (self.file(name + ".pem", answer["certificatePem"]),
                self.file(name + ".key", key))


def fingerprint(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def template_make(iot, name, body, **more):
    return iot.create_provisioning_template(**dict({
        "templateName": name, "templateBody": json.dumps(body),
        "provisioningRoleArn": ROLE, "enabled": True}, **more))


def registry_make(iot):
    """What the two example templates refer to."""
    for name in ("SmartSensor", "lightBulb-versionA", "Other"):
        iot.create_thing_type(thingTypeName=name)
    for name in ("unprovisioned-devices", "v1-lightbulbs", "DE", "extra"):
        iot.create_thing_group(thingGroupName=name)
    iot.create_policy(policyName="FleetDevicePolicy",
                      policyDocument=EVERYTHING)


def groups_of(iot, thing):
    return sorted(group["groupName"] for group in
                  iot.list_thing_groups_for_thing(
                      thingName=thing)["thingGroups"])


def status_of(iot, identity):
    return iot.describe_certificate(certificateId=identity)[
        "certificateDescription"]["status"]


def run(tests, title, shop):
    """Runs tests, or those whose names were asked for; the exit status."""
    failed = 0
    try:
        for name, test in sorted(tests.items()):
            if not name.startswith("test_") or \
                    (sys.argv[1:] and name[5:] not in sys.argv[1:]):
                continue
            started = time.monotonic()
            what = "%s: %s" % (title, name[5:].replace("_", " "))
            try:
                test(shop)
                print("ok - %s (%.1f s)" % (what, time.monotonic() - started),
                      flush=True)
            except Exception as error:
                failed += 1
                if not isinstance(error, Failure):
                    traceback.print_exc()
                print("not ok - %s: %s" % (what, error), flush=True)
        if failed:
            with open(shop.path("stderr"), encoding="utf-8",
                      errors="replace") as file:
                sys.stderr.write(file.read())
    finally:
        shop.close()
    return 1 if failed else 0
