#!/usr/bin/python3
"""Where the station's AWS credentials come from, and what happens when they
lapse.

Sources other than files are played by small servers of this test, which
check what they are asked; what they give works in bench-cloud. The sources
are tried on the cloud role alone (cloud_role), credential_process and a lapse
in the middle of a shift on a whole station. BUILD (default build) says where
the programs are. Prints "ok - NAME" or "not ok - NAME: WHY" for each test;
exits 1 when one failed. Names as arguments run these alone.
"""

import datetime
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import bench as station_bench  # noqa: E402
from cloud_role_test import (Bench, Failure, Role, expect,  # noqa: E402
                             expect_equal)

# The numbers of enum credential_source and enum cloud_state.
FILE, DEFAULT, CONTAINER, INSTANCE, IOT = 1, 2, 6, 7, 8
UP, LAPSED = 0, 3


def moment(seconds):
    """That many seconds from now, as AWS writes it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=seconds)).strftime(
        "%Y-%m-%dT%H:%M:%SZ")


def write(path, text, mode=0o600):
    """Replaces a file by renaming, as tools that renew credentials do."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)


class Authority:
    """A CA in a folder, for servers and for a station's own certificate."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(
            NameOID.COMMON_NAME, "test authority")])
        self.path = self.save("ca.pem", self.sign(
            self.name, self.key.public_key(), None).public_bytes(
                serialization.Encoding.PEM))

    def save(self, name, data):
        path = os.path.join(self.folder, name)
        write(path, data.decode())
        return path

    def sign(self, name, public_key, host):
        now = datetime.datetime.utcnow()
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(
            self.name).public_key(public_key).serial_number(
                x509.random_serial_number()).not_valid_before(
                    now - datetime.timedelta(days=1)).not_valid_after(
                        now + datetime.timedelta(days=1)).add_extension(
                            x509.BasicConstraints(host is None, None), True)
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [x509.DNSName(host)]), False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, file, host):
        """A certificate and its key: paths and the serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self.sign(name, key.public_key(), host)
        key_path = self.save(file + ".key", key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        path = self.save(file + ".pem", certificate.public_bytes(
            serialization.Encoding.PEM))
        return path, key_path, certificate.serial_number


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        source = self.server.source
        with source.lock:
            status, text = source.take(self, body)
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = answer

    def date_time_string(self, timestamp=None):
        return super().date_time_string(
            (timestamp or time.time()) + self.server.source.ahead_s)

    def log_message(self, *_):
        pass


class Source:
    """A server of credentials; take(request, body) gives status and text."""

    def __init__(self, folder, bench, token, tls=None):
        self.lock = threading.Lock()
        self.bench = bench
        self.token = token
        self.requests = []
        self.lifetime_s = 3600
        self.down = False
        self.ahead_s = 0
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.source = self
        self.scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate, key, _ = tls.issue("server", "localhost")
            context.load_cert_chain(certificate, key)
            context.load_verify_locations(tls.path)
            context.verify_mode = ssl.CERT_OPTIONAL
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True,
                do_handshake_on_connect=False)
            self.scheme = "https"
        self.folder = folder
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       kwargs={"poll_interval": 0.05},
                                       daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def url(self, path=""):
        return "%s://localhost:%d%s" % (
            self.scheme, self.server.server_address[1], path)

    def keys(self, names=("AccessKeyId", "SecretAccessKey", "Token",
                          "Expiration")):
        return dict(zip(names, (
            self.bench.keys["aws_access_key_id"],
            self.bench.keys["aws_secret_access_key"], self.token,
            moment(self.lifetime_s))))

    def take(self, request, body):
        if self.down:
            return 500, "{}"
        return self.ask(request, body)

    def fetches(self):
        """How often it gave credentials."""
        with self.lock:
            return len(self.requests)


class Sts(Source):
    """Each role gives other keys; the last one's work in the bench."""

    def ask(self, request, body):
        form = dict(urllib.parse.parse_qsl(body))
        self.requests.append({"form": form, "headers": dict(
            (name.lower(), value)
            for name, value in request.headers.items())})
        keys = self.keys()
        if form.get("RoleArn", "").endswith("/first"):
            keys.update(AccessKeyId="ASIAFIRST", SecretAccessKey="first",
                        Token="token-of-first")
        return 200, (
            "<R><Result><Credentials><AccessKeyId>%s</AccessKeyId>"
            "<SecretAccessKey>%s</SecretAccessKey><SessionToken>%s"
            "</SessionToken><Expiration>%s</Expiration></Credentials>"
            "</Result></R>" % tuple(keys.values()))


class Clock(Source):
    """STS whose clock is ahead; it checks the time of what is signed."""

    def ask(self, request, body):
        signed = datetime.datetime.strptime(
            request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(
                tzinfo=datetime.timezone.utc).timestamp()
        good = abs(signed - time.time() - self.ahead_s) < 300
        self.requests.append(good)
        if not good:
            return 403, ("<ErrorResponse><Error><Code>SignatureDoesNotMatch"
                         "</Code><Message>Signature expired</Message></Error>"
                         "</ErrorResponse>")
        return 200, "<R><Account>123456789012</Account></R>"


class Container(Source):
    def ask(self, request, body):
        self.requests.append(request.headers.get("Authorization"))
        return 200, json.dumps(self.keys())


class Instance(Source):
    def ask(self, request, body):
        path = "/latest/meta-data/iam/security-credentials/"
        if request.command == "PUT" and request.path == "/latest/api/token":
            good = request.headers.get(
                "X-aws-ec2-metadata-token-ttl-seconds") == "21600"
            return (200, "imds-token") if good else (400, "")
        if request.headers.get("X-aws-ec2-metadata-token") != "imds-token":
            return 401, ""
        if request.path == path:
            return 200, "line-role\n"
        if request.path != path + "line-role":
            return 404, ""
        self.requests.append(request.path)
        return 200, json.dumps(dict(self.keys(), Code="Success"))


class Provider(Source):
    """The AWS IoT credentials provider."""

    def ask(self, request, body):
        peer = request.connection.getpeercert()
        if not peer:
            return 403, json.dumps({"message": "no certificate"})
        if request.path != "/role-aliases/line%2Ctest/credentials":
            return 404, json.dumps({"message": request.path})
        if request.headers.get("x-amzn-iot-thingname") != "station-1":
            return 403, json.dumps({"message": "Access Denied"})
        self.requests.append(int(peer["serialNumber"], 16))
        return 200, json.dumps({"credentials": self.keys((
            "accessKeyId", "secretAccessKey", "sessionToken",
            "expiration"))})


class SessionBench(Bench):
    """A bench-cloud that can want another session's token."""

    def restart(self, *options):
        port = self.endpoint.rsplit(":", 1)[1]
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()
        self.process = subprocess.Popen(
            [os.path.join(station_bench.BIN, "bench-cloud"), "--dir",
             self.folder, "--rates", "none", "--port", port, *options],
            stdout=subprocess.PIPE, stderr=self.errors)
        expect(self.process.stdout.readline().startswith(b"ready "),
               "bench-cloud does not come back")


class Set:
    """A folder, an authority, a bench-cloud that wants a session token."""

    def __init__(self, *options, token="T1"):
        self.holder = tempfile.TemporaryDirectory(prefix="credentials-")
        self.folder = self.holder.name
        self.authority = Authority(self.folder)
        self.token = token
        self.bench = SessionBench("--session-token", token, *options)
        self.ca_file = self.path("both.pem")
        self.write("both.pem", open(
            self.bench.path("ca.pem"), encoding="utf-8").read() + open(
                self.authority.path, encoding="utf-8").read())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.bench.__exit__(*exc)
        self.holder.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        write(self.path(name), text)
        return self.path(name)

    def source(self, kind, tls=False):
        return kind(self.folder, self.bench, self.token,
                    self.authority if tls else None)

    def role(self, environment=None, **cloud):
        variables = {"HOME": self.folder, "AWS_CONFIG_FILE":
                     self.path("config"), "AWS_SHARED_CREDENTIALS_FILE":
                     self.path("credentials")}
        variables.update(environment or {})
        return Role(self.bench, environment=variables,
                    cloud=dict(cloud, ca_file=self.ca_file))


def state_wait(role, state, seconds=30):
    """Until the board was told that state; its text."""
    until = time.monotonic() + seconds
    while not role.states or role.states[-1]["state"] != state:
        expect(role.read(until), "the board was not told state %d: %s" %
               (state, role.states))
    return role.states[-1]["text"]


# Sources

def test_roles_are_assumed_one_with_the_other():
    with Set() as parts, parts.source(Sts, tls=True) as sts:
        parts.write("config", "[profile line]\nrole_arn = arn:aws:iam::1:role"
                    "/second\nsource_profile = middle\nexternal_id = E=&1\n"
                    "duration_seconds = 1800\n[profile middle]\nrole_arn = "
                    "arn:aws:iam::1:role/first\nsource_profile = base\n"
                    "role_session_name = by-hand\n")
        parts.write("credentials", "[base]\naws_access_key_id = AKIDBASE\n"
                    "aws_secret_access_key = base\n")
        with parts.role(credentials=DEFAULT, credentials_profile="line",
                        sts_endpoint=sts.url()) as role:
            # GetCallerIdentity goes to the endpoint of STS as well.
            sts_ask = sts.ask

            def ask(request, body):
                if "GetCallerIdentity" in body:
                    return 200, ("<R><Account>123456789012</Account><Arn>a"
                                 "</Arn><UserId>u</UserId></R>")
                return sts_ask(request, body)
            sts.ask = ask
            role.ask("lot")
            role.ask("preregister", serial="1", thing="unit-1")
        expect_equal(len(sts.requests), 2, "requests to STS")
        first, second = sts.requests
        expect_equal(first["form"], {
            "Action": "AssumeRole", "Version": "2011-06-15",
            "RoleArn": "arn:aws:iam::1:role/first",
            "RoleSessionName": "by-hand"}, "the first form")
        expect("Credential=AKIDBASE/" in first["headers"]["authorization"],
               "the first is not signed by the base keys")
        expect_equal(second["form"], {
            "Action": "AssumeRole", "Version": "2011-06-15",
            "RoleArn": "arn:aws:iam::1:role/second",
            "RoleSessionName": "station-bench-1", "ExternalId": "E=&1",
            "DurationSeconds": "1800"}, "the second form")
        expect("Credential=ASIAFIRST/" in second["headers"]["authorization"],
               "the second is not signed by the first role's keys")
        expect_equal(second["headers"]["x-amz-security-token"],
                     "token-of-first", "the second's token")


def test_web_identity_reads_its_token_again():
    with Set() as parts, parts.source(Sts, tls=True) as sts:
        token = parts.write("token", "first-token\n")
        sts.lifetime_s = 6
        sts_ask = sts.ask

        def ask(request, body):
            if "GetCallerIdentity" in body:
                return 200, "<R><Account>123456789012</Account></R>"
            return sts_ask(request, body)
        sts.ask = ask
        with parts.role({"AWS_WEB_IDENTITY_TOKEN_FILE": token,
                         "AWS_ROLE_ARN": "arn:aws:iam::1:role/web"},
                        credentials=DEFAULT, sts_endpoint=sts.url()) as role:
            role.ask("lot")
            parts.write("token", "second-token\n")
            station_bench.wait_until(30, "a second fetch",
                                     lambda: sts.fetches() > 1)
            role.ask("preregister", serial="1", thing="unit-1")
            expect("first-token" not in role.log(), "a token is logged")
        forms = [one["form"] for one in sts.requests]
        expect_equal(forms[0], {
            "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15",
            "RoleArn": "arn:aws:iam::1:role/web",
            "RoleSessionName": "station-bench-1",
            "WebIdentityToken": "first-token"}, "the first form")
        expect_equal(forms[1]["WebIdentityToken"], "second-token", "token")
        expect("authorization" not in sts.requests[0]["headers"],
               "a web identity is not signed")


def test_container_with_a_token_file():
    with Set() as parts, parts.source(Container) as container:
        token = parts.write("container-token", "Bearer xyz\n")
        environment = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url("/creds"),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "not-this-one",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token}
        with parts.role(environment, credentials=DEFAULT) as role:
            role.ask("lot")
            role.ask("preregister", serial="1", thing="unit-1")
        expect_equal(container.requests, ["Bearer xyz"], "requests")
        del environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
        with parts.role(environment, credentials=CONTAINER) as role:
            role.ask("lot")
        expect_equal(container.requests[1:], ["not-this-one"], "requests")


def test_instance_is_asked_again_before_the_end():
    with Set() as parts, parts.source(Instance) as instance:
        instance.lifetime_s = 5
        with parts.role({"AWS_EC2_METADATA_DISABLED": "",
                         "AWS_EC2_METADATA_SERVICE_ENDPOINT":
                         instance.url("/")}, credentials=INSTANCE) as role:
            role.ask("lot")
            calls_beyond_the_end(role, 11)
        expect(3 <= instance.fetches() <= 6, "%d fetches in 11 s of "
               "credentials for 5 s" % instance.fetches())


def test_own_certificate_buys_credentials():
    with Set() as parts, parts.source(Provider, tls=True) as provider:
        provider.lifetime_s = 6
        certificate, key, serial = parts.authority.issue("own", "station-1")
        iot = {"endpoint": provider.url(), "role_alias": "line,test",
               "certificate": certificate, "key": key, "thing": "station-2"}
        with parts.role(credentials=IOT, iot=iot) as role:
            answer = role.ask("lot", cause="cloud-credentials")
            expect("Access Denied" in answer["text"] and
                   "line,test" in answer["text"], answer["text"])
        iot["thing"] = "station-1"
        with parts.role(credentials=IOT, iot=iot) as role:
            role.ask("lot")
            role.ask("preregister", serial="1", thing="unit-1")
            expect_equal(provider.requests, [serial], "certificates")
            # The certificate is renewed by renaming; the key as well.
            _, _, renewed = parts.authority.issue("own", "station-1")
            station_bench.wait_until(
                30, "a fetch with the renewed certificate",
                lambda: renewed in provider.requests)
            role.ask("preregister", serial="2", thing="unit-2")


def test_nothing_is_told_at_once():
    with Set() as parts:
        with parts.role(credentials=DEFAULT) as role:
            before = time.monotonic()
            answer = role.ask("lot", cause="cloud-credentials")
            expect("no credentials" in answer["text"], answer["text"])
            expect(time.monotonic() - before < 10, "it took long")
        parts.write("config", "[profile a]\nsso_session = x\n")
        with parts.role(credentials=DEFAULT,
                        credentials_profile="a") as role:
            answer = role.ask("lot", cause="cloud-credentials")
            expect("source iot" in answer["text"], answer["text"])


def calls_beyond_the_end(role, seconds, prefix="unit"):
    """Calls for longer than credentials live; no call fails."""
    until = time.monotonic() + seconds
    serial = 0
    while time.monotonic() < until:
        serial += 1
        name = "%s-%d" % (prefix, serial)
        role.ask("preregister", serial=name, thing=name)
        time.sleep(0.1)
    expect(all(state["state"] != LAPSED for state in role.states),
           "a lapse although the source works")


def test_sources_of_the_bench():
    """The bench's own STS, container and instance: what they give ends."""
    with Bench("--credential-seconds", "4", "--external-id", "E1") as bench, \
            tempfile.TemporaryDirectory(prefix="credentials-") as folder:
        config = os.path.join(folder, "config")
        write(config, "[profile role]\nrole_arn = arn:aws:iam::123456789012:"
              "role/station\nsource_profile = bench\nexternal_id = E1\n")
        with open(bench.path("metadata-endpoint"), encoding="utf-8") as file:
            metadata = file.read().strip()
        files = {"AWS_CONFIG_FILE": config,
                 "AWS_SHARED_CREDENTIALS_FILE": bench.path("credentials")}
        ways = {
            "role": (files, {"credentials_profile": "role"}),
            "web identity": (dict(
                AWS_WEB_IDENTITY_TOKEN_FILE=bench.path("web-identity-token"),
                AWS_ROLE_ARN="arn:aws:iam::123456789012:role/station"), {}),
            "container": (dict(
                AWS_CONTAINER_CREDENTIALS_FULL_URI=metadata +
                "/v2/credentials/bench-station",
                AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=bench.path(
                    "container-token")), {}),
            "instance": (dict(
                AWS_EC2_METADATA_DISABLED="",
                AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata), {})}
        for name, (environment, cloud) in ways.items():
            with Role(bench, environment=environment, cloud=dict(
                    cloud, credentials=DEFAULT)) as role:
                try:
                    role.ask("lot")
                    calls_beyond_the_end(role, 6, name.replace(" ", "-"))
                except Failure as why:
                    raise Failure("%s: %s" % (name, why)) from why


def test_provider_of_the_bench():
    with Bench("--credential-seconds", "4") as bench, \
            tempfile.TemporaryDirectory(prefix="credentials-") as folder:
        client = bench.client()
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s")])).sign(
                key, hashes.SHA256())
        made = client.create_certificate_from_csr(
            setAsActive=True, certificateSigningRequest=csr.public_bytes(
                serialization.Encoding.PEM).decode())
        client.create_role_alias(
            roleAlias="line", roleArn="arn:aws:iam::123456789012:role/station")
        client.create_policy(policyName="provider", policyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "iot:AssumeRoleWithCertificate",
                "Resource": "*"}]}))
        client.create_thing(thingName="station-1")
        client.attach_thing_principal(thingName="station-1",
                                      principal=made["certificateArn"])
        paths = {name: os.path.join(folder, name)
                 for name in ("certificate", "key")}
        write(paths["certificate"], made["certificatePem"])
        write(paths["key"], key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()).decode())
        with open(bench.path("credentials-endpoint"),
                  encoding="utf-8") as file:
            iot = dict(paths, endpoint=file.read().strip(),
                       role_alias="line", thing="station-1")
        with Role(bench, environment={}, cloud={
                "credentials": IOT, "iot": iot}) as role:
            answer = role.ask("lot", cause="cloud-credentials")
            expect("403" in answer["text"], answer["text"])
            # The administrator gives the right that was missing.
            client.attach_policy(policyName="provider",
                                 target=made["certificateArn"])
            role.ask("lot")
            calls_beyond_the_end(role, 6)


def test_clock_of_aws_is_followed():
    with Set() as parts, parts.source(Clock, tls=True) as sts:
        sts.ahead_s = 3600
        parts.write("credentials", "[default]\naws_access_key_id = AKID\n"
                    "aws_secret_access_key = s\n")
        with parts.role(credentials=FILE, sts_endpoint=sts.url()) as role:
            # It is the account's proof; AWS IoT does not take the keys.
            role.wait(role.send("lot"))
            expect("the clock is -3600 s off" in role.log() or
                   "the clock is -3599 s off" in role.log(), role.log())
        expect_equal(sts.requests, [False, True], "good times")


# Lapses

def test_lapse_of_a_source_is_waited_out():
    with Set() as parts, parts.source(Instance) as instance:
        instance.lifetime_s = 4
        with parts.role({"AWS_EC2_METADATA_DISABLED": "",
                         "AWS_EC2_METADATA_SERVICE_ENDPOINT":
                         instance.url()}, credentials=INSTANCE) as role:
            role.ask("lot")
            instance.down = True
            text = state_wait(role, LAPSED)
            expect("bench" in text and "metadata" in text and "since" in text,
                   text)
            answer = role.ask("preregister", cause="cloud-credentials",
                              serial="1", thing="unit-1", timeout_ms=1500)
            expect("since" in answer["text"], answer["text"])
            waiting = [role.send("preregister", serial=str(n),
                                 thing="unit-%d" % n) for n in range(1, 20)]
            expect(role.read(time.monotonic() + 1) is None,
                   "an answer without credentials")
            instance.lifetime_s = 3600
            instance.down = False
            for sequence in waiting:
                expect_equal(role.wait(sequence)["cause"], "none", "cause")
            state_wait(role, UP)
            expect(role.log().count("HTTP 500") <= 3,
                   "the lapse fills the log:\n" + role.log())


def test_keys_that_aws_refuses_are_waited_out():
    with Set() as parts:
        def keys(token):
            parts.write("credentials", "[line]\naws_access_key_id = %s\n"
                        "aws_secret_access_key = %s\n"
                        "aws_session_token = %s\n" % (
                            parts.bench.keys["aws_access_key_id"],
                            parts.bench.keys["aws_secret_access_key"], token))
        keys("T1")
        with parts.role(credentials=FILE, credentials_profile="line",
                        credentials_file=parts.path("credentials")) as role:
            role.ask("lot")
            role.ask("preregister", serial="1", thing="unit-1")
            # From here on AWS takes another session's keys only.
            parts.bench.restart("--session-token", "T2")
            waiting = role.send("preregister", serial="2", thing="unit-2")
            text = state_wait(role, LAPSED)
            expect("refuses" in text and "line" in text, text)
            keys("T2")
            expect_equal(role.wait(waiting)["cause"], "none", "cause")
            state_wait(role, UP)
            # A file that is gone for a while, in the middle of a shift.
            os.rename(parts.path("credentials"), parts.path("away"))
            parts.bench.restart("--session-token", "T3")
            waiting = role.send("preregister", serial="3", thing="unit-3")
            state_wait(role, LAPSED)
            keys("T3")
            expect_equal(role.wait(waiting)["cause"], "none", "cause")


# A whole station

COMMAND = """#!/usr/bin/python3
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
if sys.argv[1:] != ["two words", "$HOME"]:
    sys.exit("the words are not as they were quoted")
if any(name in os.environ for name in ("AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")):
    sys.exit("there is a secret in the environment")
if "AWS_CONFIG_FILE" not in os.environ:
    sys.exit("the environment is not the daemon's")
if sys.stdin.read() or os.getpgrp() != os.getpid():
    sys.exit("input, or no process group")
if len(os.listdir("/proc/self/fd")) != 4:
    sys.exit("descriptors: %s" % os.listdir("/proc/self/fd"))
try:
    open(os.path.join(here, "written"), "w")
    sys.exit("it could write")
except OSError:
    open(os.devnull, "w")
try:
    with open(os.path.join(here, "answer")) as answer:
        sys.stdout.write(answer.read())
except OSError:
    print("the vault of the plant is shut\\033", file=sys.stderr)
    sys.exit(3)
"""


class Station(station_bench.Bench):
    """A bench whose credentials come from a command."""

    def __init__(self, mode=0o600, **more):
        super().__init__(**more)
        self.mode = mode
        self.lifetime_s = 3600

    def config_write(self):
        super().config_write()
        path = self.path("station.yaml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        wanted = ("credentials: {source: file, file: cloud/credentials,"
                  " profile: bench}")
        expect(wanted in text, "the configuration has other credentials")
        write(path, text.replace(
            wanted, "credentials: {source: process, profile: line}"), 0o644)
        write(self.path("command"), COMMAND, 0o755)
        write(self.path("config"), "[profile line]\ncredential_process = "
              "%s 'two words' $HOME\n" % self.path("command"), self.mode)
        self.environment = {
            "AWS_CONFIG_FILE": self.path("config"),
            "AWS_SHARED_CREDENTIALS_FILE": self.path("none"),
            "AWS_SESSION_TOKEN": "not-for-the-command",
            "AWS_ACCESS_KEY_ID": "not-for-the-command",
            "AWS_SECRET_ACCESS_KEY": "not-for-the-command"}
        self.answer()

    def answer(self):
        """The command gives the bench's keys from now on."""
        keys = {}
        with open(self.path("cloud", "credentials"), encoding="utf-8") as file:
            for line in file:
                name, equals, value = line.partition("=")
                if equals:
                    keys[name.strip()] = value.strip()
        write(self.path("answer"), json.dumps({
            "Version": 1, "AccessKeyId": keys["aws_access_key_id"],
            "SecretAccessKey": keys["aws_secret_access_key"],
            "Expiration": moment(self.lifetime_s)}))

    def silence(self):
        """The command fails from now on."""
        os.unlink(self.path("answer"))

    def log(self):
        with open(self.path("logs", "stationd.log"), encoding="utf-8",
                  errors="replace") as file:
            return file.read()

    def lot_open(self):
        self.command("lot", "open", self.lot, "--operator", "test",
                     check_status=0)

    def held(self):
        status = self.status()
        return status["hold_reason"] if status["held"] else None


def test_command_of_a_profile():
    with Station(lot="demo", units=2, slots=2) as station:
        station.start()
        expect_equal(station.wait_batch(station.batch("--units", "2")), 0,
                     "status of the batch")
        expect_equal([event["verdict"] for event in station.judged()],
                     ["PASS"] * 2, "verdicts")
        expect("not-for-the-command" not in station.log(), "a secret is told")


def test_command_that_fails_is_named():
    with Station(lot="demo", units=1, slots=1) as station:
        station.silence()
        station.station_start()
        result = station.command("lot", "open", "demo")
        expect(result.returncode != 0, "the lot was opened")
        expect("status 3" in result.stderr + result.stdout and
               "line" in result.stderr, result.stderr)
        expect("the vault of the plant is shut\\x1b" in station.log(),
               "what the command said is not in the log")
        station.answer()
        station.lot_open()


def test_file_that_others_may_write_runs_nothing():
    with Station(lot="demo", units=1, slots=1, mode=0o666) as station:
        station.station_start()
        result = station.command("lot", "open", "demo")
        expect("others may write it" in result.stderr, result.stderr)


def test_lapse_in_the_middle_of_a_shift():
    units = 40
    with Station(lot="demo", units=units, slots=2) as station:
        station.lifetime_s = 4
        station.answer()
        station.start()
        batch = station.batch("--units", str(units))
        station_bench.wait_until(60, "a first unit", station.judged)
        station.silence()
        reason = station_bench.wait_until(60, "the hold", station.held)
        expect("since" in reason and "bench" in reason and
               "credential_process" in reason, reason)
        # What was at work waits; nothing new begins.
        before = len(station.judged())
        time.sleep(2)
        expect(len(station.judged()) == before, "a verdict without a cloud")
        expect(batch.poll() is None, "the batch gave up")
        station.lifetime_s = 3600
        station.answer()
        station_bench.wait_until(60, "the release",
                                 lambda: not station.status()["held"])
        expect_equal(station.wait_batch(batch), 0, "status of the batch")
        expect_equal([event["verdict"] for event in station.judged()],
                     ["PASS"] * units, "verdicts")
        expect_equal(len(station.cloud_things()), units, "things")


def test_lapse_leaves_an_operators_hold():
    with Station(lot="demo", units=1, slots=1) as station:
        station.lifetime_s = 4
        station.answer()
        station.station_start()
        station.lot_open()
        station.silence()
        station_bench.wait_until(60, "the hold", station.held)
        station.command("hold", "lunch", check_status=0)
        station.lifetime_s = 3600
        station.answer()
        station_bench.wait_until(
            60, "the cloud", lambda: station.status()["cloud"] == "up")
        expect_equal(station.held(), "lunch", "the hold")


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
