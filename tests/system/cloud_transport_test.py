#!/usr/bin/python3
"""Holds the servers of bench-cloud beside the HTTPS calls to witnesses.

MQTT with mosquitto_pub, mosquitto_sub and openssl s_client, S3 and STS with aws
and botocore, the credentials provider and the reports with curl, instance
metadata and container credentials with botocore's own providers. What no
witness can say, because it breaks the protocol, a small client here says.
BUILD (default build) says where bin/bench-cloud is; arguments choose tests.
Prints "ok - NAME" or "not ok - NAME: WHY" for each; exits 1 when one failed.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import random
import select
import socket
import ssl
import struct
import subprocess
import sys
import time
import traceback
import urllib.parse

import botocore.config
import botocore.exceptions
import botocore.utils

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cloud_witness_test import (  # noqa: E402
    ACCOUNT, AWS, DEADLINE_S, OPENSSL, REGION, SESSION, Failure, Workshop,
    expect, openssl, refused, within)

PUB, SUB, CURL = "/usr/bin/mosquitto_pub", "/usr/bin/mosquitto_sub", \
    "/usr/bin/curl"
ROLE = "arn:aws:iam::%s:role/station" % ACCOUNT
ACCEPTED = "$aws/certificates/create/json/accepted"
CREATE = "$aws/certificates/create/json"


def allow(*actions, resource="*"):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": list(actions), "Resource": resource}]})


class Device:
    """A certificate of the account with its key, and a policy or none."""

    def __init__(self, shop, bench, name, policy=None, status="ACTIVE"):
        self.shop, self.bench, self.name = shop, bench, name
        self.iot = bench.client()
        made = self.iot.create_certificate_from_csr(
            certificateSigningRequest=shop.csr(name),
            setAsActive=status == "ACTIVE")
        self.id, self.arn = made["certificateId"], made["certificateArn"]
        self.key = shop.path(name + ".key")
        self.certificate = shop.file(name + ".pem", made["certificatePem"])
        if policy is not None:
            self.iot.create_policy(policyName=name, policyDocument=policy)
            self.iot.attach_policy(policyName=name, target=self.arn)

    def arguments(self):
        host, port = self.bench.read("mqtt-endpoint").strip().split(":")
        return ["-h", host, "-p", port, "--cafile", self.bench.path("ca.pem"),
                "--cert", self.certificate, "--key", self.key]

    def publish(self, topic, message, qos=1, client="publisher", more=()):
        return subprocess.run(
            [PUB, *self.arguments(), "-i", client, "-q", str(qos), "-t", topic,
             "-s", *more], input=message, capture_output=True,
            timeout=DEADLINE_S, check=False).returncode

    def curl(self, path, *more, server="credentials-endpoint"):
        result = subprocess.run(
            [CURL, "-s", "--cacert", self.bench.path("ca.pem"), "--cert",
             self.certificate, "--key", self.key, "-w", "\n%{http_code}",
             *more, self.bench.read(server).strip() + path],
            capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        body, _, status = result.stdout.rpartition("\n")
        return int(status), json.loads(body) if body else None


class Subscriber:
    """mosquitto_sub, from its SUBACK on."""

    def __init__(self, device, *filters, qos=1, client="subscriber", more=()):
        self.process = subprocess.Popen(
            ["/usr/bin/stdbuf", "-oL", SUB, *device.arguments(), "-i", client, "-q", str(qos), "-F",
             "%t %q %p", "-d", *more] +
            [part for name in filters for part in ("-t", name)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.data = b""
        self.lines_until(lambda line: b"Subscribed (mid" in line)

    def lines_until(self, right):
        end = time.monotonic() + DEADLINE_S
        while True:
            line, found, rest = self.data.partition(b"\n")
            if found:
                self.data = rest
                if right(line):
                    return line
                continue
            left = end - time.monotonic()
            expect(left > 0 and select.select(
                [self.process.stdout], [], [], left)[0],
                   "mosquitto_sub said nothing in time")
            more = os.read(self.process.stdout.fileno(), 65536)
            expect(more, "mosquitto_sub ended")
            self.data += more

    def message(self):
        return self.lines_until(lambda line: not line.startswith(
            (b"Client ", b"Subscribed ")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


class Wire:
    """MQTT by hand, for one connection that does what it is told."""

    def __init__(self, device, name="localhost", version=None):
        context = ssl.create_default_context(
            cafile=device.bench.path("ca.pem"))
        if version is not None:
            context.maximum_version = version
        context.load_cert_chain(device.certificate, device.key)
        port = int(device.bench.read("mqtt-endpoint").split(":")[1])
        raw = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.socket = context.wrap_socket(raw, server_hostname=name)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def packet(first, body):
        size, left = b"", len(body)
        while True:
            size += bytes([left % 128 | (128 if left > 127 else 0)])
            left //= 128
            if not left:
                return bytes([first]) + size + body

    @staticmethod
    def string(text):
        data = text.encode()
        return struct.pack(">H", len(data)) + data

    def send(self, data):
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def receive(self):
        """The next packet as (first byte, body); None at the end."""
        while True:
            size = shift = 0
            for at, byte in enumerate(self.data[1:5]):
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    end = 2 + at + size
                    if len(self.data) >= end:
                        found = self.data[0], self.data[2 + at:end]
                        self.data = self.data[end:]
                        return found
                    break
            try:
                more = self.socket.recv(65536)
            except socket.timeout:
                raise Failure("the broker said nothing in time")
            except OSError:
                more = b""
            if not more:
                return None
            self.data += more

    def connect(self, client="wire", keep_alive=60, level=4, name="MQTT",
                flags=2):
        self.send(self.packet(0x10, self.string(name) + bytes([level, flags]) +
                              struct.pack(">H", keep_alive) +
                              self.string(client)))
        return self.receive()

    def subscribe(self, *filters, qos=1, number=7):
        self.send(self.packet(0x82, struct.pack(">H", number) + b"".join(
            self.string(name) + bytes([qos]) for name in filters)))
        return self.receive()

    def publish(self, topic, payload, qos=1, number=9):
        body = self.string(topic)
        if qos:
            body += struct.pack(">H", number)
        self.send(self.packet(0x30 | qos << 1, body + payload))

    def message(self):
        """The next PUBLISH as (topic, payload), acknowledged."""
        while True:
            packet = self.receive()
            expect(packet is not None, "the broker ended the connection")
            first, body = packet
            if first >> 4 != 3:
                continue
            size = struct.unpack(">H", body[:2])[0]
            topic, body = body[2:2 + size].decode(), body[2 + size:]
            if first & 6:
                self.send(self.packet(0x40, body[:2]))
                body = body[2:]
            return topic, body

    def ended(self, what):
        """Expects the end of the connection, after what still comes."""
        packet = self.receive()
        while packet is not None:
            expect(packet[0] >> 4 not in (2, 9), "%s: answered %s" %
                   (what, packet))
            packet = self.receive()


def connected(device, **named):
    wire = Wire(device)
    answer = wire.connect(**named)
    expect(answer == (0x20, b"\0\0"), "CONNACK is %s" % (answer,))
    return wire


def everything(shop, bench, name="device"):
    return Device(shop, bench, name, allow("iot:*"))


# MQTT

def test_mqtt_messages(shop):
    with shop.bench() as bench:
        device = everything(shop, bench)
        with Subscriber(device, "plant/+/state", "all/#") as sub:
            for topic, message, qos in (
                    ("plant/one/state", b"up", 1), ("all", b"a", 1),
                    ("all/of/it", b"b", 0)):
                expect(device.publish(topic, message, qos) == 0, topic)
                line = sub.message()
                expect(line == b"%s %d %s" % (topic.encode(), qos, message),
                       "%s came as %s" % (topic, line))
            # Not these: another level, and reserved topics.
            device.publish("plant/one/two/state", b"no")
            device.publish("plant/state", b"no")
            big = b"x" * 130000
            expect(device.publish("all/big", big) == 0, "130000 bytes")
            expect(sub.message() == b"all/big 1 " + big, "a large message")
        for version in ("tlsv1.2", "tlsv1.3"):
            expect(device.publish("a", b"b", more=("--tls-version", version))
                   == 0, version)
        expect(device.publish("all/big", b"x" * 140000) != 0, "140000 bytes")
        # What is granted and what is sent are never more than asked for.
        with Subscriber(device, "low", qos=0) as sub:
            device.publish("low", b"m", 1)
            expect(sub.message() == b"low 0 m", "QoS 0 was granted")


def test_mqtt_many(shop):
    with shop.bench() as bench:
        device = everything(shop, bench)
        count = 300
        with connected(device, client="a") as one, \
                connected(device, client="b") as two:
            expect(one.subscribe("t/#") == (0x90, b"\0\x07\1"), "SUBACK")
            for number in range(1, count + 1):
                two.publish("t/%d" % number, b"%d" % number, 1, number)
            # Not more than 100 are sent without a PUBACK.
            seen = []
            while len(seen) < count:
                seen.append(one.message()[1])
            expect(seen == [b"%d" % n for n in range(1, count + 1)],
                   "the order of the messages")
            acknowledged = {struct.unpack(">H", two.receive()[1])[0]
                            for _ in range(count)}
            expect(len(acknowledged) == count, "PUBACKs")


def test_mqtt_reserved(shop):
    with shop.bench() as bench:
        device = everything(shop, bench)
        with connected(device, client="one") as one, \
                connected(device, client="two") as two:
            for wire in (one, two):
                wire.subscribe(CREATE + "/+")
            two.subscribe("mark")
            one.publish(CREATE, b"{}")
            topic, payload = one.message()
            made = json.loads(payload)
            expect(topic == ACCEPTED and set(made) == {
                "certificateId", "certificatePem", "privateKey",
                "certificateOwnershipToken"}, "%s: %s" % (topic, made))
            one.publish("mark", b"m")
            expect(two.message() == ("mark", b"m"),
                   "another client has the answer")
            for what, fault in (
                    ("drop-request", {"what": "drop-request"}),
                    ("drop-answer", {"what": "drop-answer"})):
                bench.faults({"op": "mqtt:CreateKeysAndCertificate", "nth": 1,
                              **fault})
                with connected(device, client=what) as wire:
                    wire.subscribe(CREATE + "/+")
                    wire.publish(CREATE, b"{}")
                    wire.ended(what)
            bench.faults({"op": "mqtt:CreateKeysAndCertificate", "nth": 1,
                          "what": "twice"})
            one.publish(CREATE, b"{}")
            ids = {json.loads(one.message()[1])["certificateId"]
                   for _ in range(2)}
            expect(len(ids) == 2, "twice made %s" % ids)
            bench.faults({"op": "mqtt:CreateKeysAndCertificate",
                          "what": "delay", "ms": 500})
            started = time.monotonic()
            one.publish(CREATE, b"{}")
            one.publish("t", b"")
            one.message()
            expect(time.monotonic() - started >= 0.5, "not delayed")
            bench.faults()
            one.publish(ACCEPTED, b"{}")
            one.ended("PUBLISH to .../accepted")
        for topic in ("$SYS/x", "$aws/rules/x", "$aws/things/a/shadow/update"):
            with connected(device) as wire:
                wire.publish(topic, b"{}")
                wire.ended(topic)
        with connected(device) as wire:
            wire.send(wire.packet(0x82, b"\0\1" + wire.string("$SYS/#") +
                                  b"\0"))
            wire.ended("SUBSCRIBE to $SYS/#")
        ops = [entry["op"] for entry in bench.log()]
        expect("mqtt:CreateKeysAndCertificate" in ops, "the journal: %s" % ops)


def handshake(bench, *arguments, hold_s=DEADLINE_S):
    """What openssl s_client says until the broker ends it, or so long."""
    process = subprocess.Popen(
        [OPENSSL, "s_client", "-ign_eof", "-connect",
         bench.read("mqtt-endpoint").strip(), "-CAfile",
         bench.path("ca.pem"), *arguments, *(
             () if "-noservername" in arguments else
             ("-servername", "localhost"))], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output = process.communicate(timeout=hold_s)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        output = process.communicate()[0]
    return output.decode(errors="replace")


def ec_numbers(path):
    """Private and public number of a P-256 key."""
    der = openssl("ec", "-in", path, "-outform", "DER")
    return der[7:39], der[-65:]


def test_mqtt_refusals(shop):
    with shop.bench() as bench:
        device = everything(shop, bench)
        own = ("-cert", device.certificate, "-key", device.key)
        for version in ("-tls1_2", "-tls1_3"):
            said = handshake(bench, version, "-noservername", *own)
            expect("unrecognized name" in said, "no name: %s" % said)
            said = handshake(bench, version)
            expect("alert handshake failure" in said or
                   "alert certificate required" in said,
                   "no certificate: %s" % said)
            said = handshake(bench, version, *own, hold_s=1)
            expect(" alert " not in said, "refused: %s" % said)
        said = handshake(bench, "-tls1_1", *own)
        expect("Cipher is (NONE)" in said, "TLS 1.1: %s" % said)

        # The certificate of the device with another key: the private number
        # is another's, the public one its own, so that the client believes it.
        shop.csr("thief")
        private, _ = ec_numbers(shop.path("thief.key"))
        own_private, _ = ec_numbers(device.key)
        der = openssl("ec", "-in", device.key, "-outform", "DER")
        wrong = der.replace(own_private, private)
        expect(len(wrong) == len(der) and wrong != der, "no other key")
        shop.file("wrong.key", "-----BEGIN EC PRIVATE KEY-----\n%s"
                  "-----END EC PRIVATE KEY-----\n" %
                  base64.encodebytes(wrong).decode())
        for version in ("-tls1_2", "-tls1_3"):
            said = handshake(bench, version, "-cert", device.certificate,
                             "-key", shop.path("wrong.key"))
            expect("alert decrypt error" in said, "another key: %s" % said)

        shop.self_signed("stranger")
        stranger = Device.__new__(Device)
        stranger.bench, stranger.certificate, stranger.key = \
            bench, shop.path("stranger.pem"), shop.path("stranger.key")
        inactive = Device(shop, bench, "inactive", allow("iot:*"), "INACTIVE")
        for who in (stranger, inactive):
            with Wire(who) as wire:
                expect(wire.connect() is None, "%s may connect" %
                       who.certificate)
        # In service, then not any longer.
        with connected(device) as wire:
            device.iot.update_certificate(certificateId=device.id,
                                          newStatus="INACTIVE")
            wire.ended("an inactive certificate")


def test_mqtt_policies(shop):
    with shop.bench() as bench:
        prefix = "arn:aws:iot:%s:%s:" % (REGION, ACCOUNT)
        document = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": action, "Resource": prefix + name}
            for action, name in (
                ("iot:Connect", "client/good-*"),
                ("iot:Publish", "topic/out/*"),
                ("iot:Subscribe", "topicfilter/in/*"),
                ("iot:Receive", "topic/in/wanted"))]})
        device = Device(shop, bench, "narrow", document)
        sender = everything(shop, bench, "sender")
        with Wire(device) as wire:
            expect(wire.connect("bad-1") is None, "iot:Connect")
        with connected(device, client="good-1") as wire:
            wire.publish("elsewhere", b"")
            wire.ended("iot:Publish")
        with connected(device, client="good-2") as wire:
            wire.send(wire.packet(0x82, b"\0\1" + wire.string("out/#") +
                                  b"\1"))
            wire.ended("iot:Subscribe")
        with connected(device, client="good-3") as wire:
            wire.subscribe("in/#")
            wire.publish("out/x", b"")
            expect(wire.receive() == (0x40, b"\0\x09"), "PUBACK")
            sender.publish("in/unwanted", b"no")
            sender.publish("in/wanted", b"yes")
            expect(wire.message() == ("in/wanted", b"yes"), "iot:Receive")
        bare = Device(shop, bench, "bare")
        with Wire(bare) as wire:
            expect(wire.connect() is None, "a certificate without a policy")


def test_mqtt_protocol(shop):
    with shop.bench() as bench:
        device = everything(shop, bench)
        packet, string = Wire.packet, Wire.string
        with Wire(device) as wire:
            expect(wire.connect(level=5) == (0x20, b"\0\1"), "level 5")
            wire.ended("level 5")
        with Wire(device) as wire:
            expect(wire.connect(level=3, name="MQIsdp") == (0x20, b"\0\1"),
                   "MQTT 3.1")
        for client in ("", "c" * 129):
            with Wire(device) as wire:
                expect(wire.connect(client) == (0x20, b"\0\2"), "client id")
        with connected(device, client="c" * 128):
            pass
        first = packet(0x10, string("MQTT") + b"\4\2\0\x3c" + string("wire"))
        for what, data in (
                ("nothing first", packet(0xc0, b"")),
                ("SUBSCRIBE first", packet(0x82, b"\0\1\0\1a\0")),
                ("reserved flag", first.replace(b"\4\2", b"\4\3")),
                ("will of QoS 3", first.replace(b"\4\2", b"\4\x1e")),
                ("bytes left", packet(0x10, first[2:] + b"x")),
                ("short", packet(0x10, first[2:-1])),
                ("length", b"\x10\xff\xff\xff\xff\x01"),
                ("too large", b"\x10\x80\x80\x10")):
            with Wire(device) as wire:
                wire.send(data)
                wire.ended(what)
        for what, data in (
                ("a second CONNECT", first), ("QoS 2", packet(
                    0x34, string("a") + b"\0\1")),
                ("QoS 3", packet(0x36, string("a") + b"\0\1")),
                ("packet id 0", packet(0x32, string("a") + b"\0\0")),
                ("wildcards in a topic", packet(0x30, string("a/+"))),
                ("an empty topic", packet(0x30, string(""))),
                ("bad UTF-8", packet(0x30, b"\0\2\xc0\x80")),
                ("a NUL", packet(0x30, b"\0\1\0")),
                ("a surrogate", packet(0x30, b"\0\3\xed\xa0\x80")),
                ("257 bytes", packet(0x30, string("t" * 257))),
                ("8 slashes", packet(0x30, string("/" * 8))),
                ("no filter", packet(0x82, b"\0\1")),
                ("flags", packet(0x80, b"\0\1" + string("a") + b"\0")),
                ("no QoS", packet(0x82, b"\0\1" + string("a"))),
                ("QoS 3 asked", packet(0x82, b"\0\1" + string("a") + b"\3")),
                ("a/#/b", packet(0x82, b"\0\1" + string("a/#/b") + b"\0")),
                ("a+", packet(0x82, b"\0\1" + string("a+") + b"\0")),
                ("9 filters", packet(0x82, b"\0\1" + 9 * (
                    string("a") + b"\0"))),
                ("a server's packet", packet(0xd0, b"")),
                ("PUBACK too long", packet(0x40, b"\0\1\0"))):
            with connected(device) as wire:
                wire.send(data)
                wire.ended(what)
        with connected(device, client="good") as wire:
            expect(wire.subscribe("a/+/#", "#", "+", qos=2) ==
                   (0x90, b"\0\7\1\1\1"), "QoS 2 is granted as 1")
            wire.send(packet(0xc0, b""))
            expect(wire.receive() == (0xd0, b""), "PINGRESP")
            wire.publish("a", b"once", 0)
            expect(wire.message() == ("a", b"once"), "a and #")
            wire.send(packet(0xa2, b"\0\3" + string("#") + string("none")))
            expect(wire.receive() == (0xb0, b"\0\3"), "UNSUBACK")
            wire.publish("b/c", b"no", 0)
            wire.publish("b", b"yes", 0)
            expect(wire.message() == ("b", b"yes"), "after UNSUBSCRIBE")
            # Retained messages are not: the flag is let pass.
            wire.send(packet(0x31, string("kept") + b"x"))
            with connected(device, client="good") as other:
                wire.ended("the same client identifier")
                other.send(packet(0xe0, b""))
                other.ended("DISCONNECT")
        with connected(device, client="full") as wire:
            for number in range(50):
                expect(wire.subscribe("f/%d" % number), "a subscription")
            wire.send(packet(0x82, b"\0\1" + string("f/50") + b"\0"))
            wire.ended("51 subscriptions")
        # A quiet client is ended after 1.5 times its interval, others stay.
        with connected(device, client="quiet", keep_alive=1) as quiet, \
                connected(device, client="calm", keep_alive=60) as calm:
            started = time.monotonic()
            quiet.ended("a quiet client")
            took = time.monotonic() - started
            expect(took >= 1.4, "ended after %.2f s" % took)
            calm.send(packet(0xc0, b""))
            expect(calm.receive() == (0xd0, b""), "the other client")


def test_mqtt_rubbish(shop):
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print("# seed %d" % seed, flush=True)
    chance = random.Random(seed)
    with shop.bench() as bench:
        device = everything(shop, bench)
        for _ in range(150):
            with connected(device, client="r%d" % chance.randrange(4)) as wire:
                wire.socket.settimeout(0.02)
                for _ in range(chance.randrange(1, 12)):
                    body = chance.randbytes(chance.randrange(60))
                    wire.send(chance.choice((body, Wire.packet(
                        chance.randrange(256), body))))
        with connected(device) as wire:
            wire.send(Wire.packet(0xc0, b""))
            expect(wire.receive() == (0xd0, b""), "the broker is gone")


# S3

def s3(bench, **changes):
    config = botocore.config.Config(
        retries={"max_attempts": 0}, signature_version="s3v4",
        s3={"addressing_style": "path"}, read_timeout=DEADLINE_S)
    return bench.client("s3", endpoint_url=bench.read("s3-endpoint").strip(),
                        config=config, **changes)


def aws(bench, *arguments, check=True, **variables):
    """Runs aws with variables on top of the bench's; its JSON, or None."""
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": bench.folder, "AWS_PAGER": "",
        "AWS_CONFIG_FILE": "/dev/null", "AWS_DEFAULT_REGION": REGION,
        "AWS_CA_BUNDLE": bench.path("ca.pem"), "AWS_MAX_ATTEMPTS": "1"}
    if not variables:
        environment.update(
            AWS_SHARED_CREDENTIALS_FILE=bench.path("credentials"),
            AWS_PROFILE="bench", AWS_EC2_METADATA_DISABLED="true")
    environment.update(variables)
    result = subprocess.run(
        [AWS, "--output", "json", *arguments], env=environment,
        capture_output=True, text=True, timeout=2 * DEADLINE_S, check=False)
    if not check:
        return result
    expect(result.returncode == 0, "aws %s: %s" %
           (" ".join(arguments[-4:]), result.stderr.strip()))
    return json.loads(result.stdout or "{}")


def test_s3(shop):
    with shop.bench("--bucket", "lots") as bench:
        endpoint = bench.read("s3-endpoint").strip()

        def api(*arguments):
            return aws(bench, "--endpoint-url", endpoint, "s3api", *arguments)

        data = random.randbytes(5 * 1024 * 1024 + 7)
        with open(shop.path("data"), "wb") as file:
            file.write(data)
        put = api("put-object", "--bucket", "lots", "--key", "a b/ü+c.jsonl",
                  "--body", shop.path("data"), "--content-type", "text/x")
        etag = '"%s"' % hashlib.md5(data).hexdigest()
        expect(put["ETag"] == etag, "the ETag is %s" % put)
        head = api("head-object", "--bucket", "lots", "--key",
                   "a b/ü+c.jsonl")
        expect(head["ContentLength"] == len(data) and head["ETag"] == etag and
               head["ContentType"] == "text/x", "HEAD says %s" % head)
        api("get-object", "--bucket", "lots", "--key", "a b/ü+c.jsonl",
            shop.path("back"))
        with open(shop.path("back"), "rb") as file:
            expect(file.read() == data, "another content")
        api("create-bucket", "--bucket", "more")
        api("head-bucket", "--bucket", "more")
        api("put-object", "--bucket", "more", "--key", "empty")
        expect(api("head-object", "--bucket", "more", "--key", "empty")
               ["ContentLength"] == 0, "an empty object")

        client = s3(bench)
        for payload in (True, False):
            signed = s3(bench)
            signed.meta.config.s3["payload_signing_enabled"] = payload
            signed.put_object(Bucket="lots", Key="k", Body=b"one")
            signed.put_object(Bucket="lots", Key="k", Body=b"two" * 9)
            expect(signed.get_object(Bucket="lots", Key="k")["Body"].read() ==
                   b"two" * 9, "replaced")
        expect(len(os.listdir(bench.path("objects"))) == 3,
               "files of objects: %s" % os.listdir(bench.path("objects")))
        client.delete_object(Bucket="lots", Key="k")
        refused("NoSuchKey", client.get_object, Bucket="lots", Key="k")
        refused("NoSuchBucket", client.put_object, Bucket="none", Key="k",
                Body=b"")
        refused("404", client.head_object, Bucket="lots", Key="k")
        refused("SignatureDoesNotMatch", s3(
            bench, aws_secret_access_key="wrong").get_object, Bucket="lots",
            Key="k")
        refused("InvalidAccessKeyId", s3(
            bench, aws_access_key_id="AKIDNOBODY").get_object, Bucket="lots",
            Key="k")
        refused("BadDigest", client.put_object, Bucket="lots", Key="k",
                Body=b"x", ContentMD5=base64.b64encode(b"0" * 16).decode())
        refused("NotImplemented", client.create_multipart_upload,
                Bucket="lots", Key="k")
        refused("NotImplemented", client.list_objects_v2, Bucket="lots")
        bench.faults({"op": "PutObject", "what": "error", "status": 503,
                      "code": "SlowDown", "count": 1})
        refused("SlowDown", client.put_object, Bucket="lots", Key="k",
                Body=b"")
        bench.faults({"op": "PutObject", "what": "drop-answer", "count": 1})
        try:
            client.put_object(Bucket="lots", Key="dropped", Body=b"there")
            raise Failure("not dropped")
        except (botocore.exceptions.ConnectionClosedError,
                botocore.exceptions.HTTPClientError):
            pass
        expect(client.get_object(Bucket="lots", Key="dropped")["Body"].read()
               == b"there", "dropped with its effect")
        expect(any(entry["op"] == "PutObject" for entry in bench.log()),
               "the journal")


def fetch(bench, url, *more):
    result = subprocess.run(
        [CURL, "-s", "--cacert", bench.path("ca.pem"), "-w", "\n%{http_code}",
         *more, url], capture_output=True, text=True, timeout=DEADLINE_S,
        check=False)
    body, _, status = result.stdout.rpartition("\n")
    return int(status), body


def s3_request(bench, body, digest):
    """PUT /lots/raw, signed with the digest that it is given."""
    request = botocore.awsrequest.AWSRequest(
        method="PUT", url=bench.read("s3-endpoint").strip() + "/lots/raw",
        data=body, headers={"x-amz-content-sha256": digest})
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(
        bench.key, bench.secret), "s3", REGION)
    signer.payload = lambda request: digest
    signer.add_auth(request)
    return request


def s3_signed(bench, body, digest, drop=()):
    request = s3_request(bench, body, digest)
    for name in drop:
        del request.headers[name]
    return bench.send_request(request)


def test_s3_signatures(shop):
    with shop.bench("--bucket", "lots") as bench:
        client = s3(bench)
        client.put_object(Bucket="lots", Key="a b/c", Body=b"content")
        good = {"Params": {"Bucket": "lots", "Key": "a b/c"}}
        url = client.generate_presigned_url("get_object", **good)
        expect(fetch(bench, url) == (200, "content"), "a presigned URL")
        status, body = fetch(bench, url.replace("a%20b", "a%20c"))
        expect(status == 403 and "SignatureDoesNotMatch" in body, body)
        status, body = fetch(bench, url, "-X", "DELETE")
        expect(status == 403, "another method: %d" % status)
        url = client.generate_presigned_url("get_object", ExpiresIn=1, **good)
        within(lambda: fetch(bench, url)[0] == 403, "the end of the URL")
        status, body = fetch(bench, url.partition("?")[0])
        expect(status == 403 and "AccessDenied" in body, "no signature")

        digest = hashlib.sha256(b"x").hexdigest()
        expect(s3_signed(bench, b"x", digest).status_code == 200, "signed")
        for answer, status, code in (
                (s3_signed(bench, b"y", digest), 400,
                 b"XAmzContentSHA256Mismatch"),
                (s3_signed(bench, b"x", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
                 501, b"NotImplemented"),
                (s3_signed(bench, b"x", digest, ["x-amz-content-sha256"]), 400,
                 b"InvalidRequest")):
            expect(answer.status_code == status and code in answer.content,
                   "%s: %d %s" % (code, answer.status_code, answer.content))
        # Not read at all: the length alone is too much.
        request = s3_request(bench, b"", "UNSIGNED-PAYLOAD")
        request.headers["Content-Length"] = str(512 * 1024 * 1024 + 1)
        host = urllib.parse.urlsplit(request.url).netloc
        connection = http.client.HTTPSConnection(
            host, timeout=DEADLINE_S, context=ssl.create_default_context(
                cafile=bench.path("ca.pem")))
        with contextlib.closing(connection):
            connection.request("PUT", "/lots/raw", None,
                               dict(request.headers))
            answer = connection.getresponse()
            body = answer.read()
        expect(answer.status == 400 and b"EntityTooLarge" in body,
               "huge: %d %s" % (answer.status, body))


# Registration tasks

TEMPLATE = {
    "Parameters": {"Name": {"Type": "String"}, "CSR": {"Type": "String"}},
    "Resources": {
        "thing": {"Type": "AWS::IoT::Thing",
                  "Properties": {"ThingName": {"Ref": "Name"}}},
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
            "CertificateSigningRequest": {"Ref": "CSR"}}}}}


def test_tasks(shop):
    with shop.bench("--bucket", "lots") as bench:
        iot, store = bench.client(), s3(bench)
        csr = shop.csr("bulk")

        def start(key, body=json.dumps(TEMPLATE)):
            return iot.start_thing_registration_task(
                templateBody=body, inputFileBucket="lots", inputFileKey=key,
                roleArn=ROLE)["taskId"]

        def ended(task):
            answer = iot.describe_thing_registration_task(taskId=task)
            return answer["status"] not in ("InProgress", "Cancelling") and \
                answer

        def report(task, kind):
            answer = iot.list_thing_registration_task_reports(
                taskId=task, reportType=kind)
            expect(answer["reportType"] == kind, "reportType")
            for link in answer["resourceLinks"]:
                status, body = fetch(bench, link)
                expect(status == 200, "%s: %d" % (link, status))
                return [json.loads(line) for line in body.splitlines()]
            return []

        lines = [json.dumps({"Name": "bulk-%d" % n, "CSR": csr})
                 for n in range(5)]
        lines += ["{", "", json.dumps({"Name": "no csr"}), "[]",
                  '{"Name": "%s"}' % ("x" * 300000)]
        store.put_object(Bucket="lots", Key="in/one.jsonl",
                         Body="\n".join(lines).encode())
        task = start("in/one.jsonl")
        answer = within(lambda: ended(task), "the task")
        expect((answer["status"], answer["successCount"],
                answer["failureCount"], answer["percentageProgress"]) ==
               ("Completed", 5, 4, 100) and answer["inputFileKey"] ==
               "in/one.jsonl" and answer["roleArn"] == ROLE and
               json.loads(answer["templateBody"]) == TEMPLATE,
               "the task ended with %s" % answer)
        results = report(task, "RESULTS")
        things = set()
        for result in results:
            expect(set(result) == {"response"} and set(result["response"]) ==
                   {"CertificatePem", "ResourceArns"}, "a result: %s" % result)
            things.add(result["response"]["ResourceArns"]["thing"])
            openssl("x509", "-noout", data=result["response"]
                    ["CertificatePem"].encode())
        expect(things == {"arn:aws:iot:%s:%s:thing/bulk-%d" %
                          (REGION, ACCOUNT, n) for n in range(5)},
               "the things: %s" % things)
        expect(len(report(task, "ERRORS")) == 4, "errors")
        expect(len(iot.list_things()["things"]) == 5, "things")

        missing = start("in/none.jsonl")
        answer = within(lambda: ended(missing), "the end")
        expect(answer["status"] == "Failed" and answer["message"], "no file")
        expect(report(missing, "RESULTS") == [], "results of nothing")
        expect(iot.list_thing_registration_tasks()["taskIds"] ==
               [missing, task], "the tasks")
        expect(iot.list_thing_registration_tasks(status="Completed")
               ["taskIds"] == [task], "by status")
        page = iot.list_thing_registration_tasks(maxResults=1)
        expect(iot.list_thing_registration_tasks(
            maxResults=1, nextToken=page["nextToken"])["taskIds"] == [task],
            "the second page")
        refused("InvalidRequestException", start, "in/one.jsonl", "{")
        refused("ResourceNotFoundException",
                iot.describe_thing_registration_task, taskId="none")
        refused("ResourceNotFoundException", iot.stop_thing_registration_task,
                taskId="none")
        refused("InvalidRequestException",
                iot.list_thing_registration_task_reports, taskId="none",
                reportType="ERRORS")

    # At AWS's quota of 10 a second, so that there is time to stop it.
    with shop.bench("--bucket", "lots", "--rates", "default") as bench:
        iot, store = bench.client(), s3(bench)
        store.put_object(Bucket="lots", Key="k", Body="\n".join(
            json.dumps({"Name": "slow-%d" % n, "CSR": csr})
            for n in range(500)).encode())
        task = start("k")
        refused("InvalidRequestException", start, "k")
        answer = within(lambda: 0 < iot.describe_thing_registration_task(
            taskId=task)["percentageProgress"] < 100, "some progress")
        iot.stop_thing_registration_task(taskId=task)
        answer = within(lambda: ended(task), "the end")
        count = answer["successCount"]
        expect(answer["status"] == "Cancelled" and 0 < count < 500,
               "stopped: %s" % answer)
        expect(len(report(task, "RESULTS")) == count, "results")
        cut = start("k")
        bench.stop()
        bench.start()
        iot = bench.client()
        answer = iot.describe_thing_registration_task(taskId=cut)
        expect(answer["status"] == "Failed", "cut off: %s" % answer)


# STS and keys

def keys(answer):
    answer = answer.get("Credentials", answer)
    return {"aws_access_key_id": answer["AccessKeyId"],
            "aws_secret_access_key": answer["SecretAccessKey"],
            "aws_session_token": answer["SessionToken"]}


def test_roles(shop):
    with shop.bench() as bench:
        answer = aws(bench, "--endpoint-url", bench.endpoint, "sts",
                     "assume-role", "--role-arn", ROLE, "--role-session-name",
                     "line-1", "--duration-seconds", "900")
        expect(answer["AssumedRoleUser"]["Arn"] ==
               "arn:aws:sts::%s:assumed-role/station/line-1" % ACCOUNT,
               "assumed %s" % answer)
        given = keys(answer)
        bench.client(**given).list_things()
        sts = bench.client("sts", **given)
        identity = sts.get_caller_identity()
        expect(identity["Arn"] == answer["AssumedRoleUser"]["Arn"] and
               identity["UserId"] == answer["AssumedRoleUser"]
               ["AssumedRoleId"] and identity["Account"] == ACCOUNT,
               "it is %s" % identity)
        for wrong in ({"aws_session_token": None},
                      {"aws_session_token": "another"}):
            refused("UnrecognizedClientException", bench.client(
                **{**given, **wrong}).list_things)
        refused("InvalidSignatureException", bench.client(
            **{**given, "aws_secret_access_key": "wrong"}).list_things)
        # The account's own key stays good beside it, without a token only.
        bench.client().list_things()
        refused("UnrecognizedClientException", bench.client(
            aws_session_token=given["aws_session_token"]).list_things)
        # By a role for an hour at most.
        chained = {"RoleArn": ROLE, "RoleSessionName": "again"}
        sts.assume_role(**chained)
        refused("ValidationError", sts.assume_role, DurationSeconds=7200,
                **chained)
        sts = bench.client("sts")
        unchecked = bench.client("sts", config=botocore.config.Config(
            parameter_validation=False, retries={"max_attempts": 0}))
        for wrong in ({"DurationSeconds": 899}, {"DurationSeconds": 43201},
                      {"DurationSeconds": "x"}, {"RoleSessionName": "a b"}):
            refused("ValidationError", unchecked.assume_role,
                    **{**chained, **wrong})
        refused("AccessDenied", sts.assume_role, RoleSessionName="line",
                RoleArn="arn:aws:iam::999999999999:role/other")
        bench.stop()
        bench.start()
        bench.client(**given).list_things()

    with shop.bench("--external-id", "factory/7", "--credential-seconds",
                    2) as bench:
        sts = bench.client("sts")
        wanted = {"RoleArn": ROLE, "RoleSessionName": "line"}
        refused("AccessDenied", sts.assume_role, **wanted)
        refused("AccessDenied", sts.assume_role, ExternalId="other", **wanted)
        answer = sts.assume_role(ExternalId="factory/7", **wanted)
        iot = bench.client(**keys(answer))
        iot.list_things()

        def expired():
            try:
                iot.list_things()
                return None
            except botocore.exceptions.ClientError as error:
                return error.response

        error = within(expired, "the end of the keys")
        expect(error["Error"]["Code"] == "ExpiredTokenException" and
               error["ResponseMetadata"]["HTTPStatusCode"] == 403,
               "expired: %s" % error)
        # STS and S3 have other names for the same.
        refused("ExpiredToken", bench.client(
            "sts", **keys(answer)).get_caller_identity)
        refused("ExpiredToken", s3(bench, **keys(answer)).get_object,
                Bucket="lots", Key="k")


def token_make(secret, **changes):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {"iss": "https://bench.localhost", "aud": "sts.amazonaws.com",
              "sub": "someone", "exp": int(time.time()) + 60, **changes}
    text = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(claims).encode())
    mac = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    return (text + b"." + part(mac)).decode()


def test_web_identity(shop):
    with shop.bench() as bench:
        anonymous = bench.client("sts", config=botocore.config.Config(
            signature_version=botocore.UNSIGNED,
            retries={"max_attempts": 0}))

        def assume(token, role=ROLE):
            return anonymous.assume_role_with_web_identity(
                RoleArn=role, RoleSessionName="pod",
                WebIdentityToken=token)

        token = bench.read("web-identity-token")
        answer = assume(token)
        expect(answer["AssumedRoleUser"]["Arn"] ==
               "arn:aws:sts::%s:assumed-role/station/pod" % ACCOUNT and
               answer["Audience"] == "sts.amazonaws.com" and
               answer["SubjectFromWebIdentityToken"], "assumed %s" % answer)
        bench.client(**keys(answer)).list_things()
        assume(token_make(bench.secret))
        for code, bad in (
                ("ExpiredTokenException",
                 token_make(bench.secret, exp=int(time.time()) - 1)),
                ("InvalidIdentityToken", token_make("another")),
                ("InvalidIdentityToken", token_make(bench.secret, aud="x")),
                ("InvalidIdentityToken", token_make(bench.secret, iss="x")),
                ("InvalidIdentityToken", "no token"),
                ("InvalidIdentityToken", "a.b.c"),
                ("InvalidIdentityToken", token[:-2] + "AA")):
            refused(code, assume, bad)
        refused("AccessDenied", assume, token,
                "arn:aws:iam::999999999999:role/other")
        # No other call comes without a signature.
        refused("MissingAuthenticationToken", anonymous.get_caller_identity)


def test_metadata(shop):
    with shop.bench() as bench:
        endpoint = bench.read("metadata-endpoint").strip()
        # botocore of Debian wants the slash at the end.
        imds = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint + "/"}
        expect(len(aws(bench, "--endpoint-url", bench.endpoint, "iot",
                       "list-things", **imds)["things"]) == 0,
               "with aws and IMDS")
        expect(len(aws(
            bench, "--endpoint-url", bench.endpoint, "iot", "list-things",
            AWS_CONTAINER_CREDENTIALS_FULL_URI=endpoint +
            "/v2/credentials/bench-station",
            AWS_CONTAINER_AUTHORIZATION_TOKEN=bench.read("container-token"))
            ["things"]) == 0, "with aws in a container")
        identity = aws(bench, "--endpoint-url", bench.endpoint, "sts",
                       "get-caller-identity", **imds)
        expect(":assumed-role/bench-station/" in identity["Arn"],
               "it is %s" % identity)

        token_path = endpoint + "/latest/api/token"
        roles = endpoint + "/latest/meta-data/iam/security-credentials/"
        ttl = ("-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: ")
        status, token = fetch(bench, token_path, *ttl[:3], ttl[3] + "1")
        expect(status == 200, "a token: %d" % status)
        header = ("-H", "X-aws-ec2-metadata-token: " + token)
        expect(fetch(bench, roles, *header) == (200, "bench-station"), "roles")
        status, body = fetch(bench, roles + "bench-station", *header)
        body = json.loads(body)
        expect(body["Code"] == "Success" and body["Token"] and
               body["Type"] == "AWS-HMAC", "keys: %s" % body)
        within(lambda: fetch(bench, roles, *header)[0] == 401,
               "the end of the token")
        for status, arguments in (
                (401, (roles,)), (401, (roles, "-H",
                                        "X-aws-ec2-metadata-token: x")),
                (400, (token_path, "-X", "PUT")),
                (400, (token_path, *ttl[:3], ttl[3] + "0")),
                (400, (token_path, *ttl[:3], ttl[3] + "21601")),
                (403, (token_path, *ttl[:3], ttl[3] + "60", "-H",
                       "X-Forwarded-For: 10.0.0.1")),
                (401, (endpoint + "/v2/credentials/bench-station",)),
                (401, (endpoint + "/v2/credentials/bench-station", "-H",
                       "Authorization: x"))):
            answer = fetch(bench, *arguments)
            expect(answer[0] == status, "%s: %s" % (arguments, answer))

    with shop.bench("--credential-seconds", 3) as bench:
        endpoint = bench.read("metadata-endpoint").strip()
        fetcher = botocore.utils.InstanceMetadataFetcher(
            base_url=endpoint + "/")
        first = fetcher.retrieve_iam_role_credentials()
        expect(first["role_name"] == "bench-station", "it has %s" % first)
        within(lambda: fetcher.retrieve_iam_role_credentials()["access_key"]
               != first["access_key"], "new keys")


# The credentials provider

def test_credentials_provider(shop):
    with shop.bench() as bench:
        iot = bench.client()
        endpoints = {name: iot.describe_endpoint(endpointType=name)
                     ["endpointAddress"] for name in
                     ("iot:Data-ATS", "iot:CredentialProvider", "iot:Jobs")}
        expect(endpoints["iot:Data-ATS"] ==
               bench.read("mqtt-endpoint").strip() and
               "https://" + endpoints["iot:CredentialProvider"] ==
               bench.read("credentials-endpoint").strip() and
               "https://" + endpoints["iot:Jobs"] == bench.endpoint,
               "the endpoints: %s" % endpoints)
        alias = "arn:aws:iot:%s:%s:rolealias/" % (REGION, ACCOUNT)
        device = Device(shop, bench, "device", allow(
            "iot:AssumeRoleWithCertificate", resource=[
                alias + "boot", alias + "none", alias + "foreign"]))
        bare = Device(shop, bench, "bare")
        path = "/role-aliases/boot/credentials"

        def cli(*arguments):
            return aws(bench, "--endpoint-url", bench.endpoint, "iot",
                       *arguments)

        made = cli("create-role-alias", "--role-alias", "boot", "--role-arn",
                   ROLE, "--credential-duration-seconds", "900")
        expect(made == {"roleAlias": "boot", "roleAliasArn": alias + "boot"},
               "made %s" % made)
        iot.create_role_alias(
            roleAlias="foreign",
            roleArn="arn:aws:iam::999999999999:role/other")
        refused("ResourceAlreadyExistsException", iot.create_role_alias,
                roleAlias="boot", roleArn=ROLE)
        expect(cli("list-role-aliases")["roleAliases"] == ["foreign", "boot"],
               "the aliases")
        page = iot.list_role_aliases(pageSize=1, ascendingOrder=True)
        expect(page["roleAliases"] == ["boot"] and iot.list_role_aliases(
            pageSize=1, ascendingOrder=True, marker=page["nextMarker"])
               ["roleAliases"] == ["foreign"], "pages")
        described = iot.describe_role_alias(
            roleAlias="boot")["roleAliasDescription"]
        expect(described["credentialDurationSeconds"] == 900 and
               described["owner"] == ACCOUNT and described["roleArn"] == ROLE,
               "described as %s" % described)
        iot.update_role_alias(roleAlias="boot",
                              credentialDurationSeconds=1800)
        refused("ResourceNotFoundException", iot.update_role_alias,
                roleAlias="nothing")

        status, body = device.curl(path)
        expect(status == 200, "keys: %s" % body)
        given = body["credentials"]
        expect(set(given) == {"accessKeyId", "secretAccessKey",
                              "sessionToken", "expiration"}, "%s" % given)
        bench.client(aws_access_key_id=given["accessKeyId"],
                     aws_secret_access_key=given["secretAccessKey"],
                     aws_session_token=given["sessionToken"]).list_things()
        # In the order that AWS has: thing, policy, alias, role.
        named = ("-H", "x-amzn-iot-thingname: sensor")
        iot.create_thing(thingName="sensor")
        for who, where, more, status, message in (
                (device, path, named, 403, "Invalid thing name passed"),
                (bare, path, named, 403, "Invalid thing name passed"),
                (bare, path, (), 403, "Access Denied"),
                (device, path.replace("boot", "other"), (), 403,
                 "Access Denied"),
                (device, path.replace("boot", "none"), (), 404,
                 "Role alias does not exist"),
                (device, path.replace("boot", "foreign"), (), 400,
                 "Unable to assume the role, or the role to assume does not "
                 "exist")):
            answer = who.curl(where, *more)
            expect(answer == (status, {"message": message}), "%s: %s" %
                   (message, answer))
        iot.attach_thing_principal(thingName="sensor", principal=device.arn)
        expect(device.curl(path, *named)[0] == 200, "an attached thing")
        for where, more in (("/role-aliases/boot", ()), ("/", ()),
                            (path, ("-X", "POST"))):
            expect(device.curl(where, *more)[0] == 404, where)

        bench.faults({"op": "AssumeRoleWithCertificate", "what": "error",
                      "status": 500, "count": 1})
        expect(device.curl(path)[0] == 500, "a fault")
        bench.faults({"op": "AssumeRoleWithCertificate", "what":
                      "drop-answer", "count": 1})
        expect(device.curl(path)[0] == 0, "a dropped answer")
        url = bench.read("credentials-endpoint").strip() + path
        own = ("--cert", device.certificate, "--key", device.key)

        def curl(*arguments):
            return subprocess.run(
                [CURL, "-s", "--cacert", bench.path("ca.pem"), "-w",
                 "%{num_connects}", *arguments], capture_output=True,
                text=True, timeout=DEADLINE_S, check=False)

        both = curl(*own, url, url).stdout
        expect(both.count("accessKeyId") == 2 and "}}1{" in both and
               both.endswith("}}0"), "two requests on a connection: " + both)
        expect(curl(*own, url.replace("localhost", "127.0.0.1")).returncode ==
               35, "without a name")
        expect(curl(url).returncode != 0, "without a certificate")
        iot.update_certificate(certificateId=device.id, newStatus="INACTIVE")
        expect(device.curl(path) == (403, {
            "message": "Certificate is invalid on this endpoint"}),
               "an inactive certificate")
        iot.delete_role_alias(roleAlias="foreign")
        refused("ResourceNotFoundException", iot.delete_role_alias,
                roleAlias="foreign")

    with shop.bench("--consistency-ms", 700) as bench:
        iot = bench.client()
        device = Device(shop, bench, "late", allow(
            "iot:AssumeRoleWithCertificate"))
        iot.create_role_alias(roleAlias="boot", roleArn=ROLE)
        iot.create_thing(thingName="sensor")
        named = ("-H", "x-amzn-iot-thingname: sensor")
        iot.attach_thing_principal(thingName="sensor", principal=device.arn)
        within(lambda: device.curl(path, *named)[0] == 200, "the attachment")
        iot.detach_thing_principal(thingName="sensor", principal=device.arn)
        within(lambda: device.curl(path, *named)[0] == 403, "the detachment")


def main():
    shop = Workshop()
    failed = 0
    chosen = sys.argv[1:]
    try:
        for name, test in sorted(globals().items()):
            if not name.startswith("test_") or \
                    (chosen and name[5:] not in chosen):
                continue
            started = time.monotonic()
            title = name[5:].replace("_", " ")
            try:
                test(shop)
                print("ok - cloud: %s (%.1f s)" %
                      (title, time.monotonic() - started), flush=True)
            except Exception as error:
                failed += 1
                if not isinstance(error, Failure):
                    traceback.print_exc()
                print("not ok - cloud: %s: %s" % (title, error), flush=True)
        if failed and os.path.exists(shop.path("stderr")):
            with open(shop.path("stderr"), encoding="utf-8",
                      errors="replace") as file:
                sys.stderr.write(file.read())
    finally:
        shop.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
