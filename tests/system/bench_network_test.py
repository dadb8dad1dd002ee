#!/usr/bin/python3
"""What the bench's devices do at the network and keep in their flash.

The other end is a broker of this test's own: MQTT 3.1.1 over TLS, from the
standard's text, that answers fleet provisioning's topics as AWS documents
them. It notes what it was asked and can drop, delay, repeat or reject.
"""

import hashlib
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench_device_test import (  # noqa: E402
    BIN, Device, check, equal, main, nvs_blob, nvs_image, nvs_text,
    openssl, provision, tlv_image, wait_for)

PASSWORD = "correct horse"
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run_openssl(folder, *arguments, data=None):
    status, out, why = openssl(folder, *arguments, data=data)
    equal(status, 0, "openssl %s: %r" % (arguments[0], why))
    return out


def ca_make(folder):
    """The one CA of these tests: of the server, claims and units."""
    run_openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                "ca.key.pem", "-out", "ca.pem", "-subj", "/CN=Test CA",
                "-days", "2")
    with open(os.path.join(folder, "ca.pem"), encoding="ascii") as file:
        return file.read()


def signed_make(folder, name, subject, alternative=None):
    """Key and certificate of the CA; returns both as PEM."""
    run_openssl(folder, "req", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                name + ".key", "-out", name + ".csr", "-subj",
                "/CN=" + subject)
    with open(os.path.join(folder, name + ".ext"), "w",
              encoding="ascii") as file:
        file.write("subjectAltName=%s\n" % alternative if alternative
                   else "basicConstraints=CA:FALSE\n")
    with open(os.path.join(folder, name + ".csr"), "rb") as file:
        pem = sign(folder, file.read(), name + ".ext")
    with open(os.path.join(folder, name + ".pem"), "w",
              encoding="ascii") as file:
        file.write(pem)
    with open(os.path.join(folder, name + ".key"), encoding="ascii") as file:
        return file.read(), pem


def sign(folder, csr, extensions=None):
    more = ["-extfile", extensions] if extensions else []
    return run_openssl(folder, "x509", "-req", "-CA", "ca.pem", "-CAkey",
                       "ca.key.pem", "-days", "2", "-set_serial",
                       str(int.from_bytes(os.urandom(8), "big") or 1), *more,
                       data=csr).decode()


def digest(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


class Broker:
    """AWS IoT's MQTT endpoint, as little of it as is needed."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = ca_make(folder)
        self.claim_key, self.claim = signed_make(folder, "claim", "Claim")
        signed_make(folder, "server", "localhost", "DNS:localhost")
        self.active = {digest(self.claim)}
        self.drops = {}       # certificate id -> connections still dropped
        self.tokens = {}      # token -> certificate id
        self.connects = []    # (certificate id, client id, accepted)
        self.calls = []       # (topic, payload)
        self.plan = []        # what happens to the next calls, by turn
        self.lock = threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(folder, "server.pem"),
                                os.path.join(folder, "server.key"))
        context.load_verify_locations(os.path.join(folder, "ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        self.names = []
        context.sni_callback = lambda _s, name, _c: self.names.append(name)
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "localhost:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        try:
            with self.context.wrap_socket(connection,
                                          server_side=True) as tls:
                self.talk(tls)
        except (OSError, EOFError):
            pass
        finally:
            connection.close()

    @staticmethod
    def packet(tls):
        def exactly(count):
            data = b""
            while len(data) < count:
                more = tls.recv(count - len(data))
                if not more:
                    raise EOFError
                data += more
            return data
        kind = exactly(1)[0]
        length, shift = 0, 0
        while True:
            byte = exactly(1)[0]
            length |= (byte & 0x7f) << shift
            shift += 7
            if not byte & 0x80:
                return kind, exactly(length)

    @staticmethod
    def send(tls, kind, body):
        length, out = len(body), bytes([kind])
        while True:
            byte, length = length & 0x7f, length >> 7
            out += bytes([byte | (0x80 if length else 0)])
            if not length:
                break
        tls.sendall(out + body)

    def admit(self, ident, client):
        with self.lock:
            left = self.drops.get(ident, 0)
            self.drops[ident] = max(left - 1, 0)
            good = left == 0 and ident in self.active
            self.connects.append((ident, client, good))
            return good

    def talk(self, tls):
        ident = hashlib.sha256(tls.getpeercert(True)).hexdigest()
        subscribed = set()
        while True:
            kind, body = self.packet(tls)
            if kind >> 4 == 1:
                size = struct.unpack(">H", body[10:12])[0]
                if not self.admit(ident, body[12:12 + size].decode()):
                    return
                self.send(tls, 0x20, b"\0\0")
            elif kind >> 4 == 8:
                size = struct.unpack(">H", body[2:4])[0]
                subscribed.add(body[4:4 + size].decode())
                self.send(tls, 0x90, body[:2] + b"\1")
            elif kind >> 4 == 3:
                size = struct.unpack(">H", body[:2])[0]
                topic = body[2:2 + size].decode()
                self.send(tls, 0x40, body[2 + size:4 + size])
                if not self.publish(tls, topic, body[4 + size:], subscribed):
                    return
            elif kind >> 4 == 12:
                self.send(tls, 0xd0, b"")
            elif kind >> 4 == 14:
                return

    def publish(self, tls, topic, payload, subscribed):
        payload = json.loads(payload)
        with self.lock:
            self.calls.append((topic, payload))
            turn = self.plan.pop(0) if self.plan else "answer"
        if isinstance(turn, dict):
            answers = [("rejected", turn)]
        else:
            answers = [("accepted", self.answer(topic, payload))]
        if turn == "drop":
            return False
        if turn == "twice":
            answers *= 2
        for suffix, answer in answers:
            name = "%s/%s" % (topic, suffix)
            check(name in subscribed, name + " was not subscribed to")
            self.send(tls, 0x30, struct.pack(">H", len(name)) + name.encode()
                      + json.dumps(answer).encode())
        return True

    def answer(self, topic, payload):
        if topic == "$aws/certificates/create-from-csr/json":
            pem = sign(self.folder,
                       payload["certificateSigningRequest"].encode())
            token = os.urandom(200).hex()
            self.tokens[token] = digest(pem)
            return {"certificateOwnershipToken": token,
                    "certificateId": digest(pem), "certificatePem": pem}
        check(topic == "$aws/provisioning-templates/Fleet/provision/json",
              "topic " + topic)
        self.active.add(self.tokens[payload["certificateOwnershipToken"]])
        return {"thingName": "device-" + payload["parameters"][
            "SerialNumber"], "deviceConfiguration": {}}

    def records(self, claim=True):
        more = [(1, self.claim.encode() + b"\0"),
                (2, self.claim_key.encode() + b"\0")] if claim else []
        return tlv_image(
            [(0, self.ca.encode() + b"\0")] + more +
            [(51, b"SN0042\0"), (52, self.endpoint.encode() + b"\0"),
             (53, b"Fleet\0")])


def wifi_file(folder):
    path = os.path.join(folder, "wifi")
    with open(path, "w", encoding="ascii") as file:
        file.write("factory\n%s\n" % PASSWORD)
    return path


def fleet_device(folder, broker, *options, name="port"):
    device = Device(folder, "--wifi", wifi_file(folder), "--serial",
                    "FACTORY", *options, name=name)
    provision(device, folder, extra={0xD000: broker.records()})
    equal(device.say("wifi set factory " + PASSWORD), "wifi ok", "wifi set")
    return device


def ids(broker):
    """The units' certificates that may connect."""
    return broker.active - {digest(broker.claim)}


@test
def fleet_provisioning(folder):
    broker = Broker(folder)
    device = fleet_device(folder, broker)
    equal(device.say("wifi status"), "wifi ssid=factory state=joined",
          "wifi status")
    equal(device.say("claim status"), "claim sha256=" + digest(broker.claim),
          "claim status")
    answer = device.say("provision", seconds=30)
    equal(len(ids(broker)), 1, "certificates")
    ident = ids(broker).pop()
    equal(answer, "provision ok id=" + ident, "answer")
    equal(device.say("cert show"), "cert sha256=" + ident, "cert show")
    equal([topic for topic, _ in broker.calls],
          ["$aws/certificates/create-from-csr/json",
           "$aws/provisioning-templates/Fleet/provision/json"], "calls")
    equal(broker.calls[1][1]["parameters"],
          {"SerialNumber": "SN0042", "FirmwareVersion": "3.1.4"},
          "parameters")
    subject = run_openssl(
        folder, "req", "-verify", "-noout", "-subject", data=broker.calls[0]
        [1]["certificateSigningRequest"].encode())
    check(b"CN = SN0042" in subject, "subject %r" % subject)
    equal(broker.connects, [(digest(broker.claim), "SN0042", True),
                            (ident, "device-SN0042", True)], "connections")
    equal(set(broker.names), {"localhost"}, "server name")
    # Once it has an identity it needs no other, also after a restart.
    device.write(b"reset\r")
    device.console()
    equal(device.say("provision", seconds=30), "provision ok id=" + ident,
          "second time")
    equal(len(broker.calls), 2, "calls of the second time")
    device.stop()


@test
def lent_and_given_back(folder):
    broker = Broker(folder)
    device = fleet_device(folder, broker, "--state",
                          os.path.join(folder, "state"))
    equal(device.say("claim erase"), "claim ok", "claim erase")
    equal(device.say("claim status"), "claim none", "claim status")
    creds = device.say("creds")
    check("cert=none key=none serial=SN0042 endpoint=%s template=Fleet"
          % broker.endpoint in creds and "ca=none" not in creds,
          "what stays: " + creds)
    equal(device.say("wifi erase"), "wifi ok", "wifi erase")
    equal(device.say("wifi status"), "wifi none", "wifi status")
    equal(device.say("provision", seconds=20),
          "provision error Wi-Fi not joined", "without Wi-Fi")
    device.stop()
    # Nothing of it is left in the unit's memory.
    with open(os.path.join(folder, "state"), "rb") as file:
        flash = bytes(byte ^ 0xFF for byte in file.read())
    with open(os.path.join(folder, "state"), "rb") as file:
        raw = file.read()
    key = broker.claim_key.splitlines()[1].encode()
    for image in (flash, raw):
        check(key not in image, "the claim's key is left")
        check(PASSWORD.encode() not in image, "the password is left")


@test
def claim_in_nvs(folder):
    broker = Broker(folder)
    entries = (nvs_text(1, "serial_no", "SN0042")
               + nvs_text(1, "endpoint", broker.endpoint)
               + nvs_text(1, "template", "Fleet")
               + nvs_text(1, "ca_cert", broker.ca)
               + nvs_text(1, "client_cert", broker.claim)
               + nvs_blob(1, "client_key", broker.claim_key.encode()))
    device = Device(folder)
    provision(device, folder, extra={0x10000: nvs_image(entries)})
    answer = device.say("provision", seconds=30)
    equal(answer, "provision ok id=" + ids(broker).pop(), "answer")
    equal(device.say("claim erase"), "claim ok", "claim erase")
    equal(device.say("claim status"), "claim none", "claim status")
    creds = device.say("creds")
    check("cert=none key=none serial=SN0042 endpoint=%s template=Fleet"
          % broker.endpoint in creds and "ca=none" not in creds,
          "what stays: " + creds)
    device.stop()


@test
def lost_answers(folder):
    broker = Broker(folder)
    # The first certificate's answer is lost; then the registration's: it has
    # taken effect, and the unit finds out by connecting.
    broker.plan = ["drop", "answer", "drop"]
    device = fleet_device(folder, broker)
    answer = device.say("provision", seconds=60)
    equal(len(ids(broker)), 1, "certificates in service")
    equal(answer, "provision ok id=" + ids(broker).pop(), "answer")
    equal(len(broker.calls), 3, "calls")
    device.stop()


@test
def answers_twice(folder):
    broker = Broker(folder)
    broker.plan = ["twice", "twice"]
    device = fleet_device(folder, broker)
    answer = device.say("provision", seconds=30)
    equal(answer, "provision ok id=" + ids(broker).pop(), "answer")
    equal(len(broker.calls), 2, "calls")
    device.stop()


@test
def throttled_then_rejected(folder):
    broker = Broker(folder)
    broker.plan = [
        {"statusCode": 429, "errorCode": "TooManyRequests",
         "errorMessage": "Slow down"}, "answer",
        {"statusCode": 403, "errorCode": "AccessDenied",
         "errorMessage": "Denied by hook"}]
    device = fleet_device(folder, broker)
    equal(device.say("provision", seconds=30), "provision error provision "
          "rejected: 403 AccessDenied Denied by hook", "answer")
    equal(len(broker.calls), 3, "calls")
    # The certificate and its token are kept for the next try.
    answer = device.say("provision", seconds=60)
    equal(answer, "provision ok id=" + ids(broker).pop(), "second try")
    equal(len(broker.calls), 4, "calls of both")
    device.stop()


@test
def wrong_wifi(folder):
    broker = Broker(folder)
    device = fleet_device(folder, broker)
    equal(device.say("wifi set factory wrong-one"), "wifi ok", "wifi set")
    equal(device.say("wifi status"), "wifi ssid=factory state=failed",
          "state")
    equal(device.say("provision", seconds=20),
          "provision error Wi-Fi not joined", "provision")
    equal(device.say("wifi set x short"), "error: wifi set SSID PASSWORD",
          "short password")
    equal(broker.connects, [], "connections")
    device.stop()


@test
def a_stranger_answers(folder):
    broker = Broker(folder)
    other = os.path.join(folder, "other")
    os.mkdir(other)
    stranger = Broker(other)
    broker.endpoint = stranger.endpoint
    device = fleet_device(folder, broker)
    device.write(b"provision\r")
    device.drain(1)
    equal(stranger.connects, [], "told its client id to a stranger")
    # The console comes back; what the radio does ends with the reset.
    device.write(b"\x03")
    device.read_until(b"^C\r\n> ")
    equal(device.say("connect status"), "connect busy", "still at it")
    device.write(b"reset\r")
    device.console()
    equal(device.say("connect status"), "connect none", "after the reset")
    device.stop()


def connect_device(folder, broker, *options, name="port"):
    """A unit with a certificate of the CA, that AWS has not seen."""
    device = Device(folder, "--serial", "SN0042", *options, name=name)
    provision(device, folder, extra={0xD000: broker.records(claim=False)})
    equal(device.say("connect"), "error: no certificate", "too early")
    equal(device.say("key generate"), "key ok", "key generate")
    csr = device.say("csr")[:-len("csr ok")].replace("\r\n", "\n").encode()
    pem = sign(folder, csr)
    device.say("cert begin", b". ")
    for line in pem.splitlines() + ["."]:
        device.write(line.encode() + b"\n")
    device.read_until(b"cert stored")
    device.read_until(b"\r\n> ")
    return device, digest(pem)


@test
def first_connection(folder):
    broker = Broker(folder)
    device, ident = connect_device(folder, broker)
    broker.active.add(ident)
    broker.drops[ident] = 2
    equal(device.say("connect status"), "connect none", "before")
    equal(device.say("connect device-SN0042"), "connect started", "connect")
    equal(device.say("connect wait", seconds=30), "connect ok", "wait")
    equal(device.say("connect status"), "connect ok", "status")
    equal(broker.connects, [(ident, "device-SN0042", False)] * 2
          + [(ident, "device-SN0042", True)], "connections")
    device.stop()


@test
def first_connection_in_background(folder):
    broker = Broker(folder)
    device, ident = connect_device(folder, broker)
    equal(device.say("connect"), "connect started", "connect")
    wait_for(lambda: len(broker.connects) > 1, "tries")
    equal(device.say("connect status"), "connect busy", "status")
    broker.active.add(ident)
    equal(device.say("connect wait", seconds=30), "connect ok", "wait")
    equal(broker.connects[-1], (ident, "SN0042", True), "client id")
    device.stop()


@test
def fault_first_connection(folder):
    broker = Broker(folder)
    device, ident = connect_device(folder, broker, "--fault",
                                   "no-connection")
    broker.active.add(ident)
    device.say("connect")
    equal(device.say("connect wait", seconds=30), "connect ok", "says it")
    equal(broker.connects, [], "connections")
    device.stop()
    device, ident = connect_device(folder, broker, "--fault",
                                   "old-certificate", name="second")
    broker.active.add(ident)
    device.say("connect")
    equal(device.say("connect wait", seconds=30), "connect ok", "says it")
    check(ident not in [row[0] for row in broker.connects], "connected")
    device.stop()


@test
def fault_fleet(folder):
    broker = Broker(folder)
    for number, fault in enumerate(("no-connection", "old-certificate")):
        device = fleet_device(folder, broker, "--fault", fault,
                              name="unit%d" % number)
        check(device.say("provision", seconds=30).startswith(
            "provision ok id="), "says it")
        equal((broker.calls, ids(broker)), ([], set()), "did it")
        device.stop()
    device = fleet_device(folder, broker, "--fault", "provision-rejected",
                          name="misspelt")
    broker.plan = ["answer", {"statusCode": 400, "errorCode": "Invalid",
                              "errorMessage": "Missing SerialNumber"}]
    check("rejected: 400" in device.say("provision", seconds=30), "answer")
    check("SerialNumber" not in broker.calls[-1][1]["parameters"],
          "parameters %r" % (broker.calls[-1],))
    device.stop()


@test
def fault_lent(folder):
    broker = Broker(folder)
    device = fleet_device(folder, broker, "--fault", "wifi-never")
    equal(device.say("wifi status"), "wifi ssid=factory state=failed",
          "wifi-never")
    device.stop()
    device = fleet_device(folder, broker, "--fault", "wifi-keep", name="two")
    equal(device.say("wifi erase"), "wifi ok", "wifi erase")
    equal(device.say("wifi status"), "wifi ssid=factory state=joined",
          "wifi-keep")
    device.stop()
    device = fleet_device(folder, broker, "--fault", "claim-keep", name="two")
    equal(device.say("claim erase"), "claim ok", "claim erase")
    check(device.say("claim status").startswith("claim sha256="),
          "claim-keep")
    device.stop()


def birth_take(device):
    answer = device.say("birth cert")
    check(answer.endswith("birth ok"), "answer %r" % answer)
    return answer[:-len("birth ok")].replace("\r\n", "\n")


@test
def birth(folder):
    maker = os.path.join(folder, "maker")
    state = os.path.join(folder, "state")
    subprocess.run([os.path.join(BIN, "bench-units"), "--units", "1",
                    "--manifest", os.path.join(folder, "m.csv"), "--plan",
                    os.path.join(folder, "p.csv"), "--birth", maker],
                   check=True)
    equal(os.stat(os.path.join(maker, "ca.key.pem")).st_mode & 0o777, 0o600,
          "mode of the CA's key")
    device = Device(folder, "--serial", "SN7", "--birth", maker, "--state",
                    state)
    provision(device, folder)
    pem = birth_take(device)
    device.say("key erase")
    device.stop()
    run_openssl(folder, "verify", "-CAfile", "maker/ca.pem", data=pem.encode())
    text = run_openssl(folder, "x509", "-noout", "-subject",
                       data=pem.encode())
    check(b"CN = SN7" in text, "subject %r" % text)
    # It was born once.
    device.start()
    device.console()
    equal(birth_take(device), pem, "the second time")
    device.stop()
    for name, options in (("self", ("--birth", "self")),
                          ("wrong", ("--birth", maker, "--fault",
                                     "wrong-birth"))):
        device = Device(folder, "--serial", "SN7", *options, name=name)
        provision(device, folder)
        pem = birth_take(device)
        status, _, _ = openssl(folder, "verify", "-CAfile", "maker/ca.pem",
                               data=pem.encode())
        check(status != 0, name + " is of the maker")
        text = run_openssl(folder, "x509", "-noout", "-subject",
                           data=pem.encode())
        equal(b"CN = SN7" in text, name == "self", "subject %r" % text)
        device.stop()
    device = Device(folder, name="none")
    provision(device, folder)
    equal(device.say("birth cert"), "error: no birth certificate", "none")
    device.stop()


@test
def key_import(folder):
    ca_make(folder)
    key, pem = signed_make(folder, "unit", "SN1")
    der = run_openssl(folder, "pkey", "-pubout", "-outform", "DER",
                      data=key.encode())
    device = Device(folder)
    provision(device, folder)
    equal(device.say("key status"), "key none", "before")

    def paste(command, text):
        device.say(command, b". ")
        for line in text.splitlines() + ["."]:
            device.write(line.encode() + b"\n")
        shown = device.read_until(b"\r\n> ").decode()
        return shown, shown.splitlines()[-2]

    shown, answer = paste("key import", key)
    equal(answer, "key stored", "import")
    check(key.splitlines()[1] not in shown, "the key is echoed")
    equal(device.say("key status"),
          "key sha256=" + hashlib.sha256(der).hexdigest(), "status")
    equal(paste("cert begin", pem)[1],
          "cert stored %d bytes" % len(ssl.PEM_cert_to_DER_cert(pem)), "cert")
    equal(paste("key import", "junk")[1], "error: bad key", "junk")
    equal(device.say("cert show"), "cert sha256=" + digest(pem), "kept")
    paste("key import", key)
    equal(device.say("cert show"), "cert none", "a key has no certificate")
    device.stop()


@test
def radio_ends_with_the_unit(folder):
    broker = Broker(folder)
    device, _ = connect_device(folder, broker)
    device.say("connect")
    wait_for(lambda: broker.connects, "a try")
    children = "/proc/%d/task/%d/children" % (device.process.pid,
                                              device.process.pid)
    with open(children, encoding="ascii") as file:
        radio = int(file.read().split()[0])
    device.stop()
    wait_for(lambda: not os.path.exists("/proc/%d" % radio), "end")
    begun = len(broker.connects)
    time.sleep(0.5)
    equal(len(broker.connects), begun, "tries of a unit that is gone")


if __name__ == "__main__":
    main(TESTS)
