#!/usr/bin/python3
"""Holds bench-cloud to Debian's aws and botocore as witnesses.

Every operation is called with the aws command and with botocore; every answer
is compared with the output shapes of botocore's service model. BUILD (default
build) says where bin/bench-cloud is. Prints "ok - NAME" or "not ok - NAME: WHY"
for each test; exits 1 when one failed.
"""

import base64
import concurrent.futures
import datetime
import hashlib
import http.client
import json
import os
import random
import select
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.httpsession
import botocore.session

AWS = "/usr/bin/aws"
OPENSSL = "/usr/bin/openssl"
REGION = "eu-west-1"
ACCOUNT = "123456789012"
DEADLINE_S = 60
DOCUMENT = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "iot:Connect",
                   "Resource": "*"}]})
TEMPLATE = json.dumps({"Parameters": {}, "Resources": {}})
ROLE = "arn:aws:iam::%s:role/provisioning" % ACCOUNT

SESSION = botocore.session.Session()
MODEL = SESSION.get_service_model("iot")


class Failure(Exception):
    pass


def expect(condition, why):
    if not condition:
        raise Failure(why)


# Shapes

def shape_compare(shape, value, at):
    """Raises Failure where a raw JSON value is not what the shape says."""
    kind = shape.type_name
    if kind == "structure":
        expect(isinstance(value, dict), "%s is not an object" % at)
        names = {member.serialization.get("name", name): (name, member)
                 for name, member in shape.members.items()}
        for name in value:
            expect(name in names, "%s has the unknown member %s" % (at, name))
            shape_compare(names[name][1], value[name], at + "." + name)
        for name in shape.required_members:
            expect(name in value, "%s lacks %s" % (at, name))
    elif kind == "list":
        expect(isinstance(value, list), "%s is not a list" % at)
        for item in value:
            shape_compare(shape.member, item, at + "[]")
    elif kind == "map":
        expect(isinstance(value, dict), "%s is not a map" % at)
        for name, item in value.items():
            shape_compare(shape.value, item, at + "." + name)
    elif kind == "string":
        expect(isinstance(value, str), "%s is not a string" % at)
        if shape.enum:
            expect(value in shape.enum, "%s is %s" % (at, value))
    elif kind == "boolean":
        expect(isinstance(value, bool), "%s is not a boolean" % at)
    elif kind in ("integer", "long"):
        expect(isinstance(value, int) and not isinstance(value, bool),
               "%s is not an integer" % at)
    elif kind == "timestamp":
        expect(isinstance(value, (int, float)) and
               not isinstance(value, bool) and 1e9 < value < 4e9,
               "%s is not in epoch seconds" % at)
    else:
        raise Failure("%s: nothing is known of type %s" % (at, kind))


def answer_compare(model, http_response, **_):
    """botocore's after-call event: the raw answer against the model."""
    if http_response.status_code >= 300 or \
            model.service_model.service_name != "iot":
        return
    body = json.loads(http_response.content or b"{}")
    if model.output_shape is None:
        expect(body == {}, "%s answers %s" % (model.name, body))
    else:
        shape_compare(model.output_shape, body, model.name)
    expect("x-amzn-requestid" in http_response.headers, "no request id")


# The bench

class Bench:
    """One bench-cloud in a folder of its own."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.options = [str(option) for option in options]
        self.process = None
        self.start()

    def start(self):
        binary = os.path.join(os.environ.get("BUILD", "build"), "bin",
                              "bench-cloud")
        with open(os.path.join(os.path.dirname(self.folder), "stderr"),
                  "ab") as errors:
            self.process = subprocess.Popen(
                [binary, "--dir", self.folder] + self.options,
                stdout=subprocess.PIPE, stderr=errors)
        readable, _, _ = select.select([self.process.stdout], [], [],
                                       DEADLINE_S)
        line = self.process.stdout.readline().decode() if readable else ""
        expect(line.startswith("ready "),
               "bench-cloud said %r and not that it is ready" % line)
        self.endpoint = self.read("endpoint").strip()
        credentials = {}
        for line in self.read("credentials").splitlines()[1:]:
            name, _, value = line.partition(" = ")
            credentials[name] = value
        self.key = credentials["aws_access_key_id"]
        self.secret = credentials["aws_secret_access_key"]
        self.token = credentials.get("aws_session_token")

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = "killed: it did not end"
        self.process.stdout.close()
        self.process = None
        expect(status == 0, "bench-cloud ended with %s" % status)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.stop()
        except Failure:
            if kind is None:
                raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def client(self, service="iot", **changes):
        settings = {
            "region_name": REGION,
            "endpoint_url": self.endpoint,
            "verify": self.path("ca.pem"),
            "aws_access_key_id": self.key,
            "aws_secret_access_key": self.secret,
            "aws_session_token": self.token,
            "config": botocore.config.Config(
                retries={"max_attempts": 0}, max_pool_connections=64,
                read_timeout=DEADLINE_S, connect_timeout=DEADLINE_S),
        }
        settings.update(changes)
        client = SESSION.create_client(service, **settings)
        client.meta.events.register("after-call.iot", answer_compare)
        return client

    def aws(self, *arguments, **environment):
        """Runs the aws command; returns its JSON answer."""
        variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": self.folder,
            "AWS_SHARED_CREDENTIALS_FILE": self.path("credentials"),
            "AWS_PROFILE": "bench",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_CA_BUNDLE": self.path("ca.pem"),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }
        variables.update(environment)
        if arguments[0] != "sts":
            arguments = ("iot",) + arguments
        result = subprocess.run(
            [AWS, "--endpoint-url", self.endpoint, "--output", "json"] +
            list(arguments), env=variables, capture_output=True, text=True,
            timeout=2 * DEADLINE_S, check=False)
        expect(result.returncode == 0, "aws %s: %s" %
               (" ".join(arguments[:2]), result.stderr.strip()))
        return json.loads(result.stdout or "{}")

    def send(self, method, path, body=None, headers=None):
        """Sends what it is given, unsigned."""
        request = botocore.awsrequest.AWSRequest(
            method=method, url=self.endpoint + path, data=body,
            headers=headers or {})
        return self.send_request(request)

    def send_request(self, request):
        session = botocore.httpsession.URLLib3Session(
            verify=self.path("ca.pem"), timeout=DEADLINE_S)
        try:
            return session.send(request.prepare())
        finally:
            session.close()

    def signed(self, method, path, body=None, headers=None, service="iot",
               region=REGION, age_s=0, change=None):
        """Sends a signed request, changed after it was signed."""
        request = botocore.awsrequest.AWSRequest(
            method=method, url=self.endpoint + path, data=body,
            headers=headers or {})
        signer = botocore.auth.SigV4Auth(
            botocore.credentials.Credentials(self.key, self.secret,
                                             self.token), service, region)
        moment = datetime.datetime.utcnow() - \
            datetime.timedelta(seconds=age_s)
        request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
        signer._modify_request_before_signing(request)
        text = signer.string_to_sign(request,
                                     signer.canonical_request(request))
        signer._inject_signature_to_request(
            request, signer.signature(text, request))
        if change is not None:
            change(request)
        return self.send_request(request)

    def connection(self):
        return Connection(self)

    def stats(self):
        return json.loads(self.send("GET", "/_bench/stats").content)

    def faults(self, *rules):
        answer = self.send("POST", "/_bench/faults", json.dumps(rules))
        expect(answer.status_code == 200, "faults: %s" % answer.content)

    def log(self):
        return [json.loads(line)
                for line in self.read("requests.jsonl").splitlines()]


class Connection:
    """Keeps a connection and sends targets and bodies exactly as given."""

    def __init__(self, bench):
        self.bench = bench
        host = urllib.parse.urlsplit(bench.endpoint).netloc
        self.connection = http.client.HTTPSConnection(
            host, timeout=DEADLINE_S, context=ssl.create_default_context(
                cafile=bench.path("ca.pem")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def call(self, method, target, body):
        request = botocore.awsrequest.AWSRequest(
            method=method, url=self.bench.endpoint + target, data=body)
        botocore.auth.SigV4Auth(
            botocore.credentials.Credentials(self.bench.key,
                                             self.bench.secret),
            "sts" if target.split("?")[0] == "/" else "iot",
            REGION).add_auth(request)
        self.connection.request(method, target, body, dict(request.headers))
        answer = self.connection.getresponse()
        answer.read()
        expect(answer.headers["Date"], "no date")
        return answer.status


class Workshop:
    """Folders, benches and keys for the tests; cleans up after them."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="cloud-witness-")
        self.count = 0
        self.benches = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def bench(self, *options):
        self.count += 1
        folder = self.path("bench-%d" % self.count)
        if "--rates" not in options:
            options += ("--rates", "none")
        bench = Bench(folder, *options)
        self.benches.append(bench)
        return bench

    def file(self, name, content):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(content)
        return self.path(name)

    def csr(self, name, *key):
        path = self.path(name + ".csr")
        openssl("req", "-new", "-newkey", *(key or (
            "ec", "-pkeyopt", "ec_paramgen_curve:P-256")), "-nodes", "-subj",
                "/O=Bench/CN=" + name, "-keyout", self.path(name + ".key"),
                "-out", path)
        with open(path, encoding="utf-8") as file:
            return file.read()

    def self_signed(self, name, *more):
        path = self.path(name + ".pem")
        openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                "-days", "30", "-keyout", self.path(name + ".key"), "-out",
                path, *more)
        with open(path, encoding="utf-8") as file:
            return file.read()

    def close(self):
        for bench in self.benches:
            try:
                bench.stop()
            except Failure:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)


def openssl(*arguments, data=None):
    result = subprocess.run([OPENSSL] + list(arguments), input=data,
                            capture_output=True, check=False)
    expect(result.returncode == 0, "openssl %s: %s" %
           (arguments[0], result.stderr.decode()))
    return result.stdout


def refused(name, call, *arguments, **named):
    """Expects a call to be refused with the error of that name."""
    try:
        call(*arguments, **named)
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        expect(code == name, "%s and not %s: %s" % (code, name, error))
        expect(error.response["Error"]["Message"], "no message in " + name)
        return error.response
    raise Failure("%s was expected" % name)


def within(call, what):
    """Repeats call until it returns something true."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        result = call()
        if result:
            return result
        time.sleep(0.02)
    raise Failure("%s did not happen in time" % what)


# Tests

def test_every_operation_with_aws(shop):
    with shop.bench("--type-wait-ms", 0) as bench, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        operations = set()

        def together(*commands):
            for command in commands:
                operations.add("".join(
                    "CA" if part == "ca" else part.capitalize()
                    for part in (command[1] if command[0] == "sts" else
                                 command[0]).split("-")))
            return list(pool.map(lambda command: bench.aws(*command),
                                 commands))

        csr = "file://" + shop.file("device.csr", shop.csr("device"))
        shop.self_signed("own")
        answers = together(
            ("create-thing-type", "--thing-type-name", "Sensor"),
            ("create-thing-group", "--thing-group-name", "factory"),
            ("create-policy", "--policy-name", "Fleet+1@x",
             "--policy-document", DOCUMENT),
            ("create-certificate-from-csr", "--certificate-signing-request",
             csr),
            ("create-keys-and-certificate", "--set-as-active"),
            ("register-certificate-without-ca", "--certificate-pem",
             "file://" + shop.path("own.pem"), "--status", "INACTIVE"),
            ("create-provisioning-template", "--template-name", "fleet",
             "--template-body", TEMPLATE, "--provisioning-role-arn", ROLE,
             "--pre-provisioning-hook",
             "targetArn=arn:aws:lambda:eu-west-1:1:function:hook"),
            ("describe-endpoint", "--endpoint-type", "iot:Data-ATS"),
            ("sts", "get-caller-identity"))
        device, keys, own = answers[3], answers[4], answers[5]
        arn, identity = device["certificateArn"], answers[8]
        expect(identity == {"UserId": bench.key, "Account": ACCOUNT,
                            "Arn": "arn:aws:iam::%s:user/bench" % ACCOUNT},
               "the identity is %s" % identity)
        together(("create-thing", "--thing-name", "line:1_a-b",
                  "--thing-type-name", "Sensor", "--attribute-payload",
                  "attributes={path=x/y:z}"))
        together(
            ("attach-thing-principal", "--thing-name", "line:1_a-b",
             "--principal", arn),
            ("attach-policy", "--policy-name", "Fleet+1@x", "--target", arn),
            ("add-thing-to-thing-group", "--thing-name", "line:1_a-b",
             "--thing-group-name", "factory"),
            ("update-thing", "--thing-name", "line:1_a-b",
             "--attribute-payload", "attributes={more=1},merge=true"))
        answers = together(
            ("describe-thing", "--thing-name", "line:1_a-b"),
            ("list-things", "--attribute-name", "path",
             "--attribute-value", "x/y:z"),
            ("describe-thing-type", "--thing-type-name", "Sensor"),
            ("list-thing-types",),
            ("describe-thing-group", "--thing-group-name", "factory"),
            ("list-thing-groups",),
            ("list-thing-groups-for-thing", "--thing-name", "line:1_a-b"),
            ("list-things-in-thing-group", "--thing-group-name", "factory"),
            ("get-policy", "--policy-name", "Fleet+1@x"),
            ("list-policies",),
            ("list-attached-policies", "--target", arn),
            ("list-targets-for-policy", "--policy-name", "Fleet+1@x"),
            ("list-thing-principals", "--thing-name", "line:1_a-b"),
            ("list-principal-things", "--principal", arn),
            ("describe-certificate", "--certificate-id",
             device["certificateId"]),
            ("list-certificates",),
            ("describe-provisioning-template", "--template-name", "fleet"),
            ("list-provisioning-templates",))
        expect(answers[0]["attributes"] == {"path": "x/y:z", "more": "1"} and
               answers[0]["version"] == 2, "the thing is %s" % answers[0])
        expect([thing["thingName"] for thing in answers[1]["things"]] ==
               ["line:1_a-b"], "the things are %s" % answers[1])
        expect([group["groupName"] for group in answers[6]["thingGroups"]] ==
               ["factory"], "the groups are %s" % answers[6])
        expect(answers[7]["things"] == ["line:1_a-b"], "no thing in group")
        expect(answers[8]["policyDocument"] == DOCUMENT, "another document")
        expect([policy["policyName"] for policy in answers[10]["policies"]] ==
               ["Fleet+1@x"], "attached: %s" % answers[10])
        expect(answers[11]["targets"] == [arn], "targets: %s" % answers[11])
        expect(answers[12]["principals"] == [arn], "no principal")
        expect(answers[13]["things"] == ["line:1_a-b"], "no thing")
        expect(len(answers[15]["certificates"]) == 3, "not 3 certificates")
        expect(answers[16]["preProvisioningHook"]["payloadVersion"] ==
               "2020-04-01", "the template is %s" % answers[16])
        together(
            ("detach-thing-principal", "--thing-name", "line:1_a-b",
             "--principal", arn),
            ("detach-policy", "--policy-name", "Fleet+1@x", "--target", arn),
            ("remove-thing-from-thing-group", "--thing-name", "line:1_a-b",
             "--thing-group-name", "factory"),
            ("deprecate-thing-type", "--thing-type-name", "Sensor"),
            ("update-certificate", "--certificate-id", keys["certificateId"],
             "--new-status", "REVOKED"))
        together(("delete-thing", "--thing-name", "line:1_a-b"))
        together(
            ("delete-thing-type", "--thing-type-name", "Sensor"),
            ("delete-thing-group", "--thing-group-name", "factory"),
            ("delete-policy", "--policy-name", "Fleet+1@x"),
            ("delete-certificate", "--certificate-id",
             device["certificateId"]),
            ("delete-certificate", "--certificate-id", keys["certificateId"]),
            ("delete-certificate", "--certificate-id", own["certificateId"]),
            ("delete-provisioning-template", "--template-name", "fleet"))
        stats = bench.stats()
        expect(set(stats["operations"]) == operations and
               len(operations) == 43, "the operations called are %s" %
               sorted(set(stats["operations"]) ^ operations))
        expect(stats["errors"] == 0 and stats["unknownMembers"] == 0,
               "the counts are %s" % stats)
        expect(stats["certificates"] == {} and stats["things"] == 0,
               "left over: %s" % stats)


def test_things(shop):
    with shop.bench() as bench:
        iot = bench.client()
        iot.create_thing_type(thingTypeName="T")
        first = iot.create_thing(thingName="a", attributePayload={
            "attributes": {"k": "1"}})
        again = iot.create_thing(thingName="a", attributePayload={
            "attributes": {"k": "1"}})
        expect(first["thingId"] == again["thingId"], "another thing")
        answer = refused("ResourceAlreadyExistsException", iot.create_thing,
                         thingName="a")
        expect(answer["resourceId"] == first["thingId"] and
               answer["resourceArn"] == first["thingArn"] and
               answer["ResponseMetadata"]["HTTPStatusCode"] == 409,
               "the conflict says %s" % answer)
        refused("ResourceAlreadyExistsException", iot.create_thing,
                thingName="a", thingTypeName="T",
                attributePayload={"attributes": {"k": "1"}})
        refused("ResourceNotFoundException", iot.create_thing, thingName="b",
                thingTypeName="none")
        refused("ResourceNotFoundException", iot.create_thing, thingName="b",
                billingGroupName="none")
        refused("ResourceNotFoundException", iot.describe_thing,
                thingName="b")
        refused("ResourceNotFoundException", iot.update_thing, thingName="b")
        four = {"attributes": {str(n): "v" for n in range(4)}}
        refused("InvalidRequestException", iot.create_thing, thingName="b",
                attributePayload=four)
        iot.create_thing(thingName="b", thingTypeName="T",
                         attributePayload=four)
        refused("InvalidRequestException", iot.update_thing, thingName="b",
                removeThingType=True)
        refused("InvalidRequestException", iot.update_thing, thingName="b",
                attributePayload={"attributes": {
                    str(n): "v" for n in range(51)}})
        refused("InvalidRequestException", iot.update_thing, thingName="b",
                removeThingType=True, thingTypeName="T")
        refused("VersionConflictException", iot.update_thing, thingName="b",
                expectedVersion=7)
        iot.update_thing(thingName="b", expectedVersion=1,
                         removeThingType=True, attributePayload={
                             "attributes": {"0": "", "1": "", "4": "n"},
                             "merge": True})
        thing = iot.describe_thing(thingName="b")
        expect(thing["attributes"] == {"2": "v", "3": "v", "4": "n"} and
               "thingTypeName" not in thing and thing["version"] == 2,
               "updated to %s" % thing)
        refused("VersionConflictException", iot.delete_thing, thingName="b",
                expectedVersion=1)
        iot.delete_thing(thingName="b", expectedVersion=2)
        iot.delete_thing(thingName="b")
        for number in range(60):
            iot.create_thing(thingName="p%02d" % number, thingTypeName="T")
        pages = list(iot.get_paginator("list_things").paginate(
            thingTypeName="T", PaginationConfig={"PageSize": 7}))
        names = [thing["thingName"] for page in pages
                 for thing in page["things"]]
        expect(len(pages) == 9 and names == ["p%02d" % n for n in range(60)],
               "%d pages of %s" % (len(pages), names))
        refused("InvalidRequestException", iot.list_things,
                nextToken="a+b/c==")
        refused("InvalidRequestException", iot.list_policies,
                marker=pages[0]["nextToken"])
        iot.create_thing(thingName="q", attributePayload={
            "attributes": {"where": "hall/1:a,b@c#d"}})
        for value, prefix in (("hall/1:a,b@c#d", False), ("hall/1:", True)):
            things = iot.list_things(
                attributeName="where", attributeValue=value,
                usePrefixAttributeValue=prefix)["things"]
            expect([thing["thingName"] for thing in things] == ["q"],
                   "found by %s: %s" % (value, things))
        expect(iot.list_things(attributeName="where",
                               attributeValue="hall")["things"] == [],
               "a part of a value matched")


def test_types_and_groups(shop):
    with shop.bench("--type-wait-ms", 3600000) as bench:
        iot = bench.client()
        properties = {"thingTypeDescription": "a b",
                      "searchableAttributes": ["x", "y"]}
        made = iot.create_thing_type(thingTypeName="T",
                                     thingTypeProperties=properties)
        again = iot.create_thing_type(thingTypeName="T",
                                      thingTypeProperties=properties)
        expect(made["thingTypeId"] == again["thingTypeId"], "another type")
        refused("ResourceAlreadyExistsException", iot.create_thing_type,
                thingTypeName="T")
        refused("InvalidRequestException", iot.delete_thing_type,
                thingTypeName="T")
        iot.deprecate_thing_type(thingTypeName="T")
        refused("InvalidRequestException", iot.create_thing, thingName="a",
                thingTypeName="T")
        refused("InvalidRequestException", iot.delete_thing_type,
                thingTypeName="T")
        metadata = iot.describe_thing_type(
            thingTypeName="T")["thingTypeMetadata"]
        expect(metadata["deprecated"] and "deprecationDate" in metadata,
               "the type is %s" % metadata)
        iot.deprecate_thing_type(thingTypeName="T", undoDeprecate=True)
        iot.create_thing(thingName="a", thingTypeName="T")
        refused("ResourceNotFoundException", iot.deprecate_thing_type,
                thingTypeName="none")

        iot.create_thing_group(thingGroupName="g1")
        made = iot.create_thing_group(thingGroupName="g2",
                                      parentGroupName="g1")
        again = iot.create_thing_group(thingGroupName="g2",
                                       parentGroupName="g1")
        expect(made["thingGroupId"] == again["thingGroupId"], "another group")
        refused("ResourceAlreadyExistsException", iot.create_thing_group,
                thingGroupName="g2")
        refused("InvalidRequestException", iot.create_thing_group,
                thingGroupName="g", parentGroupName="none")
        for depth in range(3, 8):
            iot.create_thing_group(thingGroupName="g%d" % depth,
                                   parentGroupName="g%d" % (depth - 1))
        refused("InvalidRequestException", iot.create_thing_group,
                thingGroupName="g8", parentGroupName="g7")
        metadata = iot.describe_thing_group(
            thingGroupName="g3")["thingGroupMetadata"]
        expect([group["groupName"] for group in
                metadata["rootToParentThingGroups"]] == ["g1", "g2"] and
               metadata["parentGroupName"] == "g2", "g3 is %s" % metadata)

        def groups(**named):
            return [group["groupName"] for group in
                    iot.list_thing_groups(**named)["thingGroups"]]

        expect(groups(recursive=False) == ["g1"], "roots")
        expect(groups(parentGroup="g5") == ["g6", "g7"], "descendants")
        expect(groups(parentGroup="g5", recursive=False) == ["g6"], "child")
        expect(groups(namePrefixFilter="g7") == ["g7"], "prefix")
        for _ in range(2):
            iot.add_thing_to_thing_group(thingName="a", thingGroupArn=made[
                "thingGroupArn"])
        refused("InvalidRequestException", iot.add_thing_to_thing_group,
                thingName="a", thingGroupName="g7")
        refused("InvalidRequestException", iot.add_thing_to_thing_group,
                thingName="a")
        refused("InvalidRequestException", iot.add_thing_to_thing_group,
                thingName="a", thingGroupName="g1",
                thingGroupArn=made["thingGroupArn"])
        refused("ResourceNotFoundException", iot.add_thing_to_thing_group,
                thingName="a", thingGroupName="none")
        refused("ResourceNotFoundException", iot.add_thing_to_thing_group,
                thingName="none", thingGroupName="g1")
        expect(iot.list_things_in_thing_group(
            thingGroupName="g1")["things"] == [], "not in the parent")
        expect(iot.list_things_in_thing_group(
            thingGroupName="g1", recursive=True)["things"] == ["a"],
               "below the parent")
        for number in range(9):
            iot.create_thing_group(thingGroupName="h%d" % number)
            iot.add_thing_to_thing_group(thingName="a",
                                         thingGroupName="h%d" % number)
        iot.create_thing_group(thingGroupName="h9")
        refused("InvalidRequestException", iot.add_thing_to_thing_group,
                thingName="a", thingGroupName="h9")
        for _ in range(2):
            iot.remove_thing_from_thing_group(thingName="a",
                                              thingGroupName="h0")
        refused("InvalidRequestException", iot.delete_thing_group,
                thingGroupName="g6")
        refused("VersionConflictException", iot.delete_thing_group,
                thingGroupName="g7", expectedVersion=9)
        for _ in range(2):
            iot.delete_thing_group(thingGroupName="g7")


def test_certificates(shop):
    with shop.bench() as bench:
        iot = bench.client()
        csr = shop.csr("serial-1")
        made = [iot.create_certificate_from_csr(
            certificateSigningRequest=csr) for _ in range(2)]
        expect(made[0]["certificateId"] != made[1]["certificateId"],
               "the same certificate twice")
        pem = made[0]["certificatePem"].encode()
        der = openssl("x509", "-outform", "DER", data=pem)
        identity = made[0]["certificateId"]
        expect(hashlib.sha256(der).hexdigest() == identity, "another id")
        expect(made[0]["certificateArn"] == "arn:aws:iot:%s:%s:cert/%s" %
               (REGION, ACCOUNT, identity), made[0]["certificateArn"])
        expect(openssl("x509", "-noout", "-pubkey", data=pem) ==
               openssl("req", "-noout", "-pubkey", data=csr.encode()),
               "another key")
        text = openssl("x509", "-noout", "-enddate", "-subject", "-issuer",
                       data=pem).decode()
        expect("Dec 31 23:59:59 2049 GMT" in text and
               "CN = serial-1" in text and "Bench AWS IoT" in text, text)
        openssl("verify", "-CAfile", bench.path("issuer.pem"),
                shop.file("made.pem", made[0]["certificatePem"]))
        described = iot.describe_certificate(
            certificateId=identity)["certificateDescription"]
        expect(described["status"] == "INACTIVE" and
               described["certificatePem"].encode() == pem and
               described["ownedBy"] == ACCOUNT and
               described["validity"]["notAfter"].year == 2049,
               "described as %s" % described)

        for name, key in (("rsa", ("rsa:2048",)), ("p384", (
                "ec", "-pkeyopt", "ec_paramgen_curve:P-384")), ("p521", (
                    "ec", "-pkeyopt", "ec_paramgen_curve:P-521"))):
            iot.create_certificate_from_csr(
                certificateSigningRequest=shop.csr(name, *key))
        body = base64.b64decode("".join(csr.splitlines()[1:-1]))
        broken = body[:-3] + bytes([body[-3] ^ 1]) + body[-2:]
        for bad in ("nonsense", shop.csr("small", "rsa:1024"),
                    shop.csr("edwards", "ed25519"),
                    shop.csr("curve", "ec", "-pkeyopt",
                             "ec_paramgen_curve:secp256k1"),
                    shop.csr("sha1", "rsa:2048", "-sha1"),
                    "-----BEGIN CERTIFICATE REQUEST-----\n%s"
                    "-----END CERTIFICATE REQUEST-----\n" %
                    base64.encodebytes(broken).decode(),
                    csr + "x" * 4096):
            refused("InvalidRequestException",
                    iot.create_certificate_from_csr,
                    certificateSigningRequest=bad)

        pair = iot.create_keys_and_certificate(setAsActive=True)
        key = pair["keyPair"]["PrivateKey"].encode()
        expect(key.startswith(b"-----BEGIN RSA PRIVATE KEY-----") and
               openssl("pkey", "-pubout", data=key) ==
               pair["keyPair"]["PublicKey"].encode() ==
               openssl("x509", "-noout", "-pubkey",
                       data=pair["certificatePem"].encode()),
               "the key pair does not fit")
        refused("CertificateStateException", iot.delete_certificate,
                certificateId=pair["certificateId"])
        for status in ("INACTIVE", "INACTIVE", "ACTIVE", "REVOKED",
                       "REVOKED"):
            iot.update_certificate(certificateId=pair["certificateId"],
                                   newStatus=status)
        refused("CertificateStateException", iot.update_certificate,
                certificateId=pair["certificateId"], newStatus="ACTIVE")
        refused("InvalidRequestException", iot.update_certificate,
                certificateId=identity, newStatus="PENDING_ACTIVATION")
        refused("InvalidRequestException", iot.update_certificate,
                certificateId=identity, newStatus="active")
        for call in (iot.describe_certificate, iot.delete_certificate):
            refused("ResourceNotFoundException", call, certificateId="0" * 64)

        own = shop.self_signed("foreign")
        registered = iot.register_certificate_without_ca(certificatePem=own,
                                                         status="ACTIVE")
        answer = refused("ResourceAlreadyExistsException",
                         iot.register_certificate_without_ca,
                         certificatePem=own)
        expect(answer["resourceId"] == registered["certificateId"],
               "the conflict says %s" % answer)
        refused("CertificateValidationException",
                iot.register_certificate_without_ca, certificatePem="x")
        described = iot.describe_certificate(
            certificateId=registered["certificateId"].upper())[
                "certificateDescription"]
        expect(described["certificateMode"] == "SNI_ONLY" and
               described["status"] == "ACTIVE", "is %s" % described)

        ids = [item["certificateId"] for page in iot.get_paginator(
            "list_certificates").paginate(PaginationConfig={"PageSize": 2})
               for item in page["certificates"]]
        expect(len(ids) == 7 and ids[-1] == identity and
               ids[0] == registered["certificateId"], "listed %s" % ids)
        ids.reverse()
        rising = [item["certificateId"] for page in iot.get_paginator(
            "list_certificates").paginate(
                ascendingOrder=True, PaginationConfig={"PageSize": 3})
                  for item in page["certificates"]]
        expect(rising == ids, "rising: %s" % rising)


def test_principals_and_policies(shop):
    with shop.bench() as bench:
        iot = bench.client()
        csr = shop.csr("serial-2")
        one, two = [iot.create_certificate_from_csr(
            certificateSigningRequest=csr) for _ in range(2)]
        arn, identity = one["certificateArn"], one["certificateId"]
        iot.create_thing(thingName="a")
        iot.create_thing(thingName="b")
        for _ in range(2):
            iot.attach_thing_principal(thingName="a", principal=arn)
        refused("ResourceNotFoundException", iot.attach_thing_principal,
                thingName="none", principal=arn)
        refused("ResourceNotFoundException", iot.attach_thing_principal,
                thingName="a", principal=arn[:-64] + "0" * 64)
        refused("InvalidRequestException", iot.attach_thing_principal,
                thingName="a", principal="me")
        refused("InvalidRequestException", iot.delete_thing, thingName="a")
        refused("DeleteConflictException", iot.delete_certificate,
                certificateId=identity, forceDelete=True)
        # A newer member than botocore's model here has.
        answer = bench.signed(
            "PUT", "/things/b/principals?thingPrincipalType=EXCLUSIVE_THING",
            headers={"x-amzn-principal": arn})
        expect(answer.status_code == 400, "exclusive: %s" % answer.content)
        answer = bench.signed(
            "PUT", "/things/b/principals?thingPrincipalType=EXCLUSIVE_THING",
            headers={"x-amzn-principal": two["certificateArn"]})
        expect(answer.status_code == 200, "exclusive: %s" % answer.content)
        refused("InvalidRequestException", iot.attach_thing_principal,
                thingName="a", principal=two["certificateArn"])

        for number in range(11):
            iot.create_policy(policyName="P%d" % number,
                              policyDocument=DOCUMENT)
        answer = refused("ResourceAlreadyExistsException", iot.create_policy,
                         policyName="P0", policyDocument=DOCUMENT)
        expect(answer["resourceId"] == "P0", "the conflict is %s" % answer)
        for bad in ("{", "{}", DOCUMENT.replace("Allow", "Perhaps"),
                    DOCUMENT.replace("*", "x" * 2048)):
            refused("MalformedPolicyException", iot.create_policy,
                    policyName="bad", policyDocument=bad)
        for number in list(range(10)) + [0]:
            iot.attach_policy(policyName="P%d" % number, target=arn)
        refused("LimitExceededException", iot.attach_policy, policyName="P10",
                target=arn)
        refused("ResourceNotFoundException", iot.attach_policy,
                policyName="none", target=arn)
        refused("InvalidRequestException", iot.attach_policy,
                policyName="P0", target="arn:aws:iot:x:1:cert/2")
        names = [policy["policyName"] for page in iot.get_paginator(
            "list_attached_policies").paginate(
                target=arn, PaginationConfig={"PageSize": 3})
                 for policy in page["policies"]]
        expect(sorted(names) == ["P%d" % n for n in range(10)],
               "attached: %s" % names)
        newest = iot.list_policies(pageSize=1)["policies"][0]["policyName"]
        oldest = iot.list_policies(pageSize=1, ascendingOrder=True)[
            "policies"][0]["policyName"]
        expect((newest, oldest) == ("P10", "P0"), "%s, %s" %
               (newest, oldest))
        refused("DeleteConflictException", iot.delete_policy, policyName="P0")
        refused("ResourceNotFoundException", iot.delete_policy,
                policyName="none")
        refused("ResourceNotFoundException", iot.list_targets_for_policy,
                policyName="none")
        group = iot.create_thing_group(thingGroupName="g")
        child = iot.create_thing_group(thingGroupName="c",
                                       parentGroupName="g")
        iot.attach_policy(policyName="P10", target=group["thingGroupArn"])
        for recursive, count in ((False, 0), (True, 1)):
            expect(len(iot.list_attached_policies(
                target=child["thingGroupArn"],
                recursive=recursive)["policies"]) == count, "inherited")
        for _ in range(2):
            iot.detach_thing_principal(thingName="a", principal=arn)
        refused("DeleteConflictException", iot.delete_certificate,
                certificateId=identity)
        for _ in range(2):
            iot.detach_policy(policyName="P0", target=arn)
        iot.delete_policy(policyName="P0")
        iot.delete_certificate(certificateId=identity, forceDelete=True)
        expect(iot.list_targets_for_policy(policyName="P1")["targets"] == [],
               "a deleted certificate is still a target")
        iot.delete_thing(thingName="a")


def test_templates(shop):
    with shop.bench() as bench:
        iot = bench.client()
        named = {"templateName": "t", "templateBody": TEMPLATE,
                 "provisioningRoleArn": ROLE}
        iot.create_provisioning_template(**named)
        refused("ResourceAlreadyExistsException",
                iot.create_provisioning_template, **named)
        refused("InvalidRequestException", iot.create_provisioning_template,
                **dict(named, templateName="u", templateBody="no"))
        refused("InvalidRequestException", iot.create_provisioning_template,
                **dict(named, templateName="u", type="JITP",
                       preProvisioningHook={"targetArn": "arn:x"}))
        for call in (iot.describe_provisioning_template,
                     iot.delete_provisioning_template):
            refused("ResourceNotFoundException", call, templateName="none")
        described = iot.describe_provisioning_template(templateName="t")
        expect(described["type"] == "FLEET_PROVISIONING" and
               described["enabled"] is False and
               described["templateBody"] == TEMPLATE, "is %s" % described)
        refused("InvalidRequestException", iot.describe_endpoint,
                endpointType="iot:None")


def test_validation(shop):
    with shop.bench() as bench:
        free = bench.client(config=botocore.config.Config(
            parameter_validation=False, retries={"max_attempts": 0}))
        for name, named in (
                ("create_thing", {"thingName": "a b"}),
                ("create_thing", {"thingName": "x" * 129}),
                ("create_thing", {"thingName": "a", "attributePayload": {
                    "attributes": {"a b": "c"}}}),
                ("create_thing", {"thingName": "a", "attributePayload": {
                    "attributes": {"a": "b c"}}}),
                ("create_thing", {"thingName": "a", "attributePayload": {
                    "attributes": {"a": "b" * 801}}}),
                ("describe_certificate", {"certificateId": "abc"}),
                ("describe_certificate", {"certificateId": "g" * 64}),
                ("list_things", {"maxResults": 251}),
                ("list_things", {"maxResults": 0}),
                ("list_certificates", {"marker": "?"}),
                ("create_policy", {"policyName": "a/b",
                                   "policyDocument": DOCUMENT}),
                ("create_certificate_from_csr", {}),
                ("create_provisioning_template", {
                    "templateName": "t", "templateBody": TEMPLATE,
                    "provisioningRoleArn": "short"})):
            refused("InvalidRequestException", getattr(free, name), **named)
        for method, path, body in (
                ("POST", "/things/a", '{"thingTypeName":1}'),
                ("POST", "/things/a", '{"attributePayload":[]}'),
                ("POST", "/things/a", '{"attributePayload":{"merge":"no"}}'),
                ("POST", "/things/a", '{"thingTypeName":"T"'),
                ("POST", "/things/a", '["x"]'),
                ("POST", "/things/%FF", "{}"),
                ("GET", "/things?maxResults=ten", None),
                ("GET", "/certificates?isAscendingOrder=yes", None),
                ("PUT", "/certificates/" + "a" * 64, None)):
            answer = bench.signed(method, path, body)
            expect(answer.status_code == 400 and
                   answer.headers["x-amzn-errortype"] ==
                   "InvalidRequestException" and
                   json.loads(answer.content)["message"],
                   "%s %s %s: %s" % (method, path, body, answer.content))
        for method, path in (("GET", "/nothing"), ("PUT", "/things/a"),
                             ("GET", "/things/"), ("GET", "/things/a/b")):
            answer = bench.signed(method, path)
            expect(answer.status_code == 404 and
                   answer.headers["x-amzn-errortype"] ==
                   "UnknownOperationException", "%s: %s" %
                   (path, answer.content))
        answer = bench.signed("POST", "/policies/p", "x" * 1100000)
        expect(answer.status_code == 413, "too large: %s" % answer.content)
        expect(bench.stats()["unknownMembers"] == 0, "unknown already")
        answer = bench.signed("POST", "/things/known?odd=1", json.dumps({
            "thingName": "known", "attributePayload": {
                "attributes": {"a": "b"}, "extra": 1}, "thingTypeName": None}))
        expect(answer.status_code == 200, "ignored: %s" % answer.content)
        stats = bench.stats()
        expect(stats["unknownMembers"] == 3 and
               set(stats["unknownMemberNames"]) == {
                   "CreateThing:?odd", "CreateThing:thingName",
                   "CreateThing:attributePayload.extra"},
               "unknown: %s" % stats["unknownMemberNames"])
        last = bench.log()[-1]
        expect(last["op"] == "CreateThing" and last["thing"] == "known" and
               last["status"] == 200 and len(last["unknown"]) == 3 and
               last["accessKey"] == bench.key and
               last["requestId"] == answer.headers["x-amzn-requestid"],
               "logged %s" % last)


def test_signatures(shop):
    with shop.bench() as bench:
        iot = bench.client()

        def error(answer):
            return answer.headers.get("x-amzn-errortype", "none")

        response = refused(
            "InvalidSignatureException",
            bench.client(aws_secret_access_key="wrong").list_things)
        expect(response["ResponseMetadata"]["HTTPStatusCode"] == 403, "403")
        refused("UnrecognizedClientException",
                bench.client(aws_access_key_id="AKIDOTHER").list_things)
        refused("UnrecognizedClientException",
                bench.client(aws_session_token="token").list_things)
        refused("InvalidSignatureException",
                bench.client(region_name="us-east-1").list_things)
        refused("SignatureDoesNotMatch", bench.client(
            "sts", aws_secret_access_key="wrong").get_caller_identity)
        refused("InvalidClientTokenId", bench.client(
            "sts", aws_access_key_id="AKIDOTHER").get_caller_identity)
        for service, status in (("iot", 200), ("execute-api", 200),
                                ("sts", 403), ("s3", 403)):
            answer = bench.signed("GET", "/things", service=service)
            expect(answer.status_code == status, "%s: %s" %
                   (service, answer.content))
        answer = bench.send("GET", "/things")
        expect(error(answer) == "MissingAuthenticationTokenException" and
               answer.status_code == 403, "unsigned: %s" % answer.content)
        for header in ("nonsense", "AWS4-HMAC-SHA256",
                       "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host",
                       "AWS4-HMAC-SHA256 Credential=a/b, "
                       "SignedHeaders=host, Signature=0"):
            answer = bench.send("GET", "/things",
                                headers={"Authorization": header})
            expect(error(answer) == "IncompleteSignatureException",
                   "%s: %s" % (header, answer.content))
        for age_s, status in ((-1000, 403), (-800, 200), (800, 200),
                              (1000, 403)):
            answer = bench.signed("GET", "/things", age_s=age_s)
            expect(answer.status_code == status, "age of %d s: %s" %
                   (age_s, answer.content))

        def change_body(request):
            request.data = '{"thingTypeName":"U"}'

        def change_method(request):
            request.method = "DELETE"

        def change_path(request):
            request.url = request.url.replace("/things/a", "/things/b")

        def add_header(name, value):
            def change(request):
                request.headers[name] = value
            return change

        for change in (change_body, change_method, change_path,
                       add_header("x-amzn-principal", "arn:x"),
                       add_header("x-amz-meta", "1"),
                       add_header("Content-Type", "text/plain")):
            answer = bench.signed("POST", "/things/a", "{}", change=change)
            expect(error(answer) == "InvalidSignatureException",
                   "changed: %s" % answer.content)
        answer = bench.signed("POST", "/things/a", "{}",
                              headers={"X-Amz-Meta": "  a   b  "})
        expect(answer.status_code == 200, "spaces: %s" % answer.content)
        expect([thing["thingName"] for thing in
                iot.list_things()["things"]] == ["a"],
               "a forged call took effect")
        for path in ("/things?thingTypeName=a&maxResults=2",
                     "/things?maxResults=2&nextToken&thingTypeName=a",
                     "/things?attributeName=x&attributeValue=%2Fy%3D",
                     "/things/%61", "/things/a:b"):
            expect(error(bench.signed("GET", path)) in (
                "none", "InvalidRequestException",
                "ResourceNotFoundException"), path)
    with shop.bench("--session-token", "a+b/c==") as bench:
        bench.client().list_things()
        bench.aws("list-things")
        bench.client("sts").get_caller_identity()
        refused("UnrecognizedClientException",
                bench.client(aws_session_token=None).list_things)


def test_noise(shop):
    """Random signed requests: each is answered, and none as a fault of ours."""
    seed = int(os.environ.get("SEED", "0")) or random.randrange(1, 2 ** 32)
    chance = random.Random(seed)
    print("# noise: SEED=%d" % seed, flush=True)
    words = ["things", "certificates", "policies", "thing-groups", "a", "..",
             "principals", "%2F", "%00", "%", "target-policies", "\u00e9",
             "arn%3Aaws%3Aiot%3Aeu-west-1%3A123456789012%3Acert%2F0", "",
             "keys-and-certificate", "x" * 200, "endpoint", "%C3%28"]
    values = ["", "1", "-1", "true", "%", "%2B", "a=b", "a&b", "x" * 2000,
              "99999999999999999999", "\x7f"]
    bodies = [None, "", "{}", "[]", "null", "\x00", "{" * 3000, '{"target":1}',
              '{"target":"x","policyDocument":"{}"}', '{"a":{"b":[1,null]}}',
              '{"certificatePem":"-----BEGIN CERTIFICATE-----","status":"x"}',
              '{"certificateSigningRequest":"\\u0000"}', '{"\udc80":1}']
    with shop.bench() as bench, bench.connection() as connection:
        statuses = set()
        for _ in range(400):
            path = "/" + "/".join(chance.choice(words) for _ in
                                  range(chance.randrange(1, 4)))
            query = "&".join(
                chance.choice(["maxResults", "marker", "newStatus", "%zz",
                               "pageSize", "nextToken", ""]) +
                chance.choice(["=", ""]) + chance.choice(values)
                for _ in range(chance.randrange(3)))
            body = chance.choice(bodies)
            target = (path + "?" + query if query else path).replace(
                "\x7f", "%7F").replace("\u00e9", "%C3%A9")
            status = connection.call(
                chance.choice(["GET", "POST", "PUT", "DELETE", "PATCH"]),
                target, body.encode("utf-8", "surrogateescape")
                if body else None)
            expect(status in (200, 400, 403, 404), "%s: status %d" %
                   (target, status))
            statuses.add(status)
        expect({200, 400, 404} <= statuses, "only %s" % statuses)
        bench.client().list_things()


def test_throttling(shop):
    rates = shop.file("rates.json", '{"ListThings": 0.2, "ListPolicies": 5}')
    with shop.bench("--rates", rates) as bench:
        iot = bench.client()
        iot.list_things()
        answer = refused("ThrottlingException", iot.list_things)
        expect(answer["ResponseMetadata"]["HTTPStatusCode"] == 400, "400")
        for _ in range(20):
            iot.list_certificates()
        bench.faults({"op": "ListThingTypes", "what": "error", "status": 400,
                      "code": "ThrottlingException", "count": 2})
        answer = bench.aws("list-thing-types")
        expect(answer == {"thingTypes": []}, "aws got %s" % answer)
        counts = bench.stats()["operations"]
        expect(counts["ListThingTypes"]["throttled"] == 2 and
               counts["ListThingTypes"]["calls"] == 3 and
               counts["ListThings"]["throttled"] == 1,
               "the counts are %s" % counts)
    with shop.bench("--rates", "default") as bench:
        iot = bench.client()
        started = time.monotonic()
        calls = 0
        while True:
            try:
                iot.list_certificates()
                calls += 1
            except iot.exceptions.ThrottlingException:
                break
        most = 10 + 10 * (time.monotonic() - started)
        expect(10 <= calls <= most + 1, "%d calls of %d" % (calls, most))


def test_faults(shop):
    with shop.bench() as bench:
        iot = bench.client()
        dropped = (botocore.exceptions.ConnectionClosedError,
                   botocore.exceptions.HTTPClientError)

        def drops(call, **named):
            try:
                call(**named)
            except dropped:
                return
            raise Failure("the connection was not closed")

        def things():
            return [thing["thingName"] for thing in
                    iot.list_things()["things"]]

        bench.faults({"op": "CreateThing", "what": "drop-request", "nth": 2})
        iot.create_thing(thingName="a")
        drops(iot.create_thing, thingName="b")
        iot.create_thing(thingName="c")
        expect(things() == ["a", "c"], "things: %s" % things())
        expect(bench.log()[-2]["status"] == 200 and [
            entry["fault"] for entry in bench.log()].count("drop-request")
               == 1, "the log")

        bench.faults({"op": "*", "what": "drop-answer", "count": 1})
        drops(iot.create_thing, thingName="d")
        expect(things() == ["a", "c", "d"], "things: %s" % things())

        csr = shop.csr("twice")
        bench.faults({"op": "CreateCertificateFromCsr", "what": "twice"})
        made = iot.create_certificate_from_csr(certificateSigningRequest=csr)
        listed = iot.list_certificates()["certificates"]
        expect(len(listed) == 2 and listed[0]["certificateId"] ==
               made["certificateId"], "twice made %s" % listed)

        bench.faults({"op": "ListThings", "what": "delay", "ms": 700})
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: iot.list_things(), range(8)))
        took = time.monotonic() - started
        expect(took >= 0.7, "delayed by %.3f s" % took)
        impatient = bench.client(config=botocore.config.Config(
            retries={"max_attempts": 0}, read_timeout=0.2))
        try:
            impatient.list_things()
            raise Failure("no time-out")
        except botocore.exceptions.ReadTimeoutError:
            pass

        with open(bench.path("faults.json"), "w", encoding="utf-8") as file:
            json.dump([{"op": "ListThings", "what": "error", "status": 503,
                        "code": "ServiceUnavailableException"}], file)
        answer = refused("ServiceUnavailableException", iot.list_things)
        expect(answer["ResponseMetadata"]["HTTPStatusCode"] == 503, "503")
        bench.faults()
        iot.list_things()
        for rules in ("{", "{}", '[{"op":"ListThings","what":"x"}]',
                      '[{"op":"None","what":"delay"}]'):
            answer = bench.send("POST", "/_bench/faults", rules)
            expect(answer.status_code == 400, "%s: %s" %
                   (rules, answer.content))
        answer = json.loads(bench.send("GET", "/_bench/faults").content)
        expect(answer == {"faults": []}, "rules: %s" % answer)
        # Ends at once with an answer under way.
        bench.faults({"op": "ListThings", "what": "delay", "ms": 600000})
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            future = pool.submit(iot.list_things)
            within(lambda: bench.log()[-1]["fault"] == "delay", "the call")
            bench.stop()
            try:
                future.result(DEADLINE_S)
            except dropped:
                pass

    rules = ('[{"op":"ListThings","what":"error","status":500,'
             '"probability":0.5}]')
    series = []
    for _ in range(2):
        with shop.bench("--seed", 7, "--faults", rules) as bench:
            iot = bench.client()
            for _ in range(40):
                try:
                    iot.list_things()
                except iot.exceptions.InternalFailureException:
                    pass
            series.append([entry["status"] for entry in bench.log()])
    expect(series[0] == series[1] and 5 < series[0].count(500) < 35,
           "by chance: %s, %s" % tuple(series))


def test_consistency(shop):
    with shop.bench("--consistency-ms", 500) as bench:
        iot = bench.client()
        arn = iot.create_certificate_from_csr(
            certificateSigningRequest=shop.csr("late"))["certificateArn"]
        policy = {"policyName": "P", "target": arn}
        iot.create_policy(policyName="P", policyDocument=DOCUMENT)
        iot.create_thing(thingName="a")
        thing = {"thingName": "a", "principal": arn}

        def attached():
            return iot.list_thing_principals(thingName="a")["principals"]

        def policies():
            return iot.list_attached_policies(target=arn)["policies"]

        def attach_late():
            iot.attach_thing_principal(**thing)
            if attached() == []:
                return True
            iot.detach_thing_principal(**thing)
            within(lambda: attached() == [], "the detachment")
            return False

        def detach_late():
            iot.attach_thing_principal(**thing)
            within(attached, "the attachment")
            iot.detach_thing_principal(**thing)
            return attached() == [arn]

        def delete_thing():
            try:
                iot.delete_thing(thingName="a")
                return True
            except iot.exceptions.InvalidRequestException:
                return False

        # Each may be missed on a machine that stalls, but not always.
        within(attach_late, "an attachment that is not listed at once")
        within(detach_late, "a detachment that takes its time")
        iot.attach_thing_principal(**thing)
        expect(not delete_thing(), "deleted with a principal")
        iot.detach_thing_principal(**thing)
        within(delete_thing, "the deletion of the thing")
        iot.attach_policy(**policy)
        within(policies, "the policy")
        iot.detach_policy(**policy)
        within(lambda: policies() == [], "the policy's detachment")
        iot.delete_policy(policyName="P")
        within(lambda: iot.list_certificates()["certificates"],
               "the certificate in the list")


def test_options(shop):
    binary = os.path.join(os.environ.get("BUILD", "build"), "bin",
                          "bench-cloud")
    bad = shop.file("bad.json", '{"NoSuchCall": 1}')
    folder = ("--dir", shop.path("options"))
    for status, arguments in (
            (2, ()), (2, folder + ("--account", "12")),
            (2, folder + ("--port", "70000")), (2, folder + ("--no", "1")),
            (2, folder + ("more",)), (1, folder + ("--rates", bad)),
            (1, folder + ("--faults", "[1]")),
            (1, folder + ("--setup", bad + "x")),
            (1, folder + ("--secret-key-file", shop.path("none"))),
            (1, ("--dir", shop.path("no/folder")))):
        result = subprocess.run([binary, *arguments], capture_output=True,
                                timeout=DEADLINE_S, check=False)
        expect(result.returncode == status and result.stderr and
               b"ready" not in result.stdout, "%s: %d, %s" %
               (arguments, result.returncode, result.stderr))


def test_restart(shop):
    setup = {"thingTypes": ["SmartSensor"], "thingGroups": ["factory"],
             "policies": {"FleetDevicePolicy": json.loads(DOCUMENT)},
             "claim": {"out": "DIR/claim"}}
    path = shop.file("setup.json", json.dumps(setup))
    with shop.bench("--setup", path) as bench:
        iot = bench.client()
        iot.create_thing(thingName="a", thingTypeName="SmartSensor")
        kept = {name: bench.read(name) for name in
                ("ca.pem", "issuer.pem", "credentials", "claim/claim.cert.pem",
                 "claim/claim.key.pem", "claim/root-ca.pem")}
        expect(kept["claim/root-ca.pem"] == kept["ca.pem"], "root-ca.pem")
        for name in ("credentials", "secret-key", "ca.key", "issuer.key",
                     "claim/claim.key.pem"):
            mode = stat.S_IMODE(os.stat(bench.path(name)).st_mode)
            expect(mode == 0o600, "%s has the mode %o" % (name, mode))
        expect(openssl("pkey", "-pubout", "-in",
                       bench.path("claim/claim.key.pem")) ==
               openssl("x509", "-noout", "-pubkey", "-in",
                       bench.path("claim/claim.cert.pem")), "another key")
        claim, = iot.list_certificates()["certificates"]
        expect(claim["status"] == "ACTIVE" and iot.list_targets_for_policy(
            policyName="FleetDevicePolicy")["targets"] ==
               [claim["certificateArn"]], "the claim is %s" % claim)
        stats = bench.stats()
        expect(stats["unattachedActiveCertificates"] == 0,
               "the claim counts as unattached")
        iot.create_keys_and_certificate(setAsActive=True)
        expect(bench.stats()["unattachedActiveCertificates"] == 1,
               "an unattached certificate is not counted")
        bench.stop()
        bench.start()
        for name, content in kept.items():
            expect(bench.read(name) == content, name + " is another")
        iot = bench.client()
        expect(iot.describe_thing(thingName="a")["version"] == 1, "no thing")
        expect(len(iot.list_certificates()["certificates"]) == 2,
               "another claim was made")


def test_concurrency(shop):
    with shop.bench() as bench:
        iot = bench.client()
        iot.create_policy(policyName="P", policyDocument=DOCUMENT)
        csr = shop.csr("many")

        def unit(number):
            name = "unit-%02d" % number
            made = iot.create_certificate_from_csr(
                certificateSigningRequest=csr)
            iot.create_thing(thingName=name)
            iot.attach_policy(policyName="P", target=made["certificateArn"])
            iot.attach_thing_principal(thingName=name,
                                       principal=made["certificateArn"])
            iot.update_certificate(certificateId=made["certificateId"],
                                   newStatus="ACTIVE")
            return made["certificateId"]

        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            ids = list(pool.map(unit, range(64)))
        stats = bench.stats()
        expect(len(set(ids)) == 64 and stats["things"] == 64 and
               stats["certificates"] == {"ACTIVE": 64} and
               stats["unattachedActiveCertificates"] == 0 and
               stats["errors"] == 0 and stats["calls"] == 321,
               "after 64 at once: %s" % stats)
        expect(len(iot.list_targets_for_policy(
            policyName="P", pageSize=250)["targets"]) == 64, "targets")


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
        if failed:
            with open(shop.path("stderr"), encoding="utf-8",
                      errors="replace") as file:
                sys.stderr.write(file.read())
    finally:
        shop.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
