#!/usr/bin/python3
"""Holds what bench-cloud does for devices to AWS's documents.

Fleet provisioning over MQTT with hooks and claims, just-in-time registration
and provisioning, policies; botocore's answers are compared with its service
model. BUILD (default build) says where bin/bench-cloud is. Prints "ok - NAME"
or "not ok - NAME: WHY" for each test; exits 1 when one failed. Names of tests
as arguments choose.
"""

import concurrent.futures
import hashlib
import json
import os
import sys
import time

from cloud_device import (CREATE, FLEET, FROM_CSR, HOOK_ARN, JITP, PUBLISH,
                          RULE_ARN, TOP, Device, Factory, fingerprint,
                          groups_of, provision_topic, ready, ref,
                          registry_make, run, single, status_of,
                          template_make, turned_away)
from cloud_witness_test import (ACCOUNT, REGION, ROLE, Failure, expect,
                                openssl, refused, within)


def test_functions(shop):
    """Every function, in the configuration that a device gets."""
    values = {
        "plain": "text", "number": 7, "flag": True, "list": ["a", ref("B")],
        "ref": ref("A"), "default": ref("D"),
        "join": {"Fn::Join": ["-", ["x", ref("A"), {"Fn::Join": [
            "", ["1", "2"]]}]]},
        "empty": {"Fn::Join": [",", []]},
        "split": {"Fn::Split": [",", "a,b,,c"]},
        "select": {"Fn::Select": ["2", {"Fn::Split": ["-", ref("S")]}]},
        "index": {"Fn::Select": [0, ["only"]]},
        "map": {"Fn::FindInMap": ["Sites", ref("A"), "url"]},
        "maplist": {"Fn::Select": [1, {"Fn::FindInMap": [
            "Sites", "DE", "ports"]}]},
        "sub": {"Fn::Sub": "<${A}|${D}|${!A}|$ {A}>"},
        "submap": {"Fn::Sub": ["${A}/${X}", {"X": {"Fn::Join": [
            "", [ref("B"), "!"]]}}]},
        "joined": {"Fn::Join": ["+", {"Fn::Split": [":", "1:2:3"]}]},
    }
    wanted = {
        "plain": "text", "number": 7, "flag": True, "list": ["a", "b-value"],
        "ref": "DE", "default": "fallback", "join": "x-DE-12", "empty": "",
        "split": ["a", "b", "", "c"], "select": "three", "index": "only",
        "map": "https://de.example", "maplist": "443",
        "sub": "<DE|fallback|${A}|$ {A}>", "submap": "DE/b-value!",
        "joined": "1+2+3"}
    body = single(
        {"ThingName": {"Fn::Sub": "unit-${N}"},
         "AttributePayload": {"a": {"Fn::Select": [
             0, {"Fn::Split": ["-", ref("S")]}]}}},
        {"CertificateId": ref("AWS::IoT::Certificate::Id")},
        {"PolicyDocument": {
            "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "iot:Connect", "Resource": {
                    "Fn::Join": ["", ["arn:aws:iot:*:*:client/",
                                      ref("N")]]}}]}},
        Parameters={"D": {"Type": "String", "Default": "fallback"}},
        Mappings={"Sites": {"DE": {"url": "https://de.example",
                                   "ports": ["80", "443"]}}},
        DeviceConfiguration=values)
    given = {"A": "DE", "B": "b-value", "S": "one-two-three", "N": "7"}
    failing = (
        {"Fn::Select": [3, ["a"]]}, {"Fn::Select": ["-1", ["a"]]},
        {"Fn::Select": ["x", ["a"]]}, {"Fn::Select": [0, [None]]},
        {"Fn::Select": [0, "a"]}, {"Fn::FindInMap": ["Sites", "FR", "url"]},
        {"Fn::FindInMap": ["Sites", "DE"]}, {"Fn::Join": [1, ["a"]]},
        {"Fn::Join": ["", [["a"]]]}, {"Fn::Split": ["", "a"]},
        {"Fn::Split": [",", ["a"]]}, {"Fn::Sub": "${None}"},
        {"Fn::Sub": ["${X}", {"X": ["a"]}]}, {"Fn::Join": [""]},
        ref("None"))
    with shop.bench() as bench:
        iot = bench.client()
        template_make(iot, "fleet", body)
        certificate, key, _ = shop.claim(bench)
        with ready(bench, certificate, key) as device:
            token = device.ask(CREATE, {})[1]["certificateOwnershipToken"]
            done, answer = device.ask(provision_topic("fleet"), {
                "certificateOwnershipToken": token, "parameters": given})
            expect(done and answer["thingName"] == "unit-7",
                   "answered %s" % answer)
            for name, value in wanted.items():
                expect(answer["deviceConfiguration"][name] == value,
                       "%s gives %r" % (name,
                                        answer["deviceConfiguration"][name]))
            policy = [item["policyName"] for item in
                      iot.list_policies()["policies"] if
                      item["policyName"].isupper()]
            document = iot.get_policy(policyName=policy[0])["policyDocument"]
            expect(json.loads(document)["Statement"][0]["Resource"] ==
                   "arn:aws:iot:*:*:client/7" and hashlib.sha1(
                       document.encode()).hexdigest().upper() == policy[0],
                   "the policy %s is %s" % (policy, document))
            for value in failing:
                template_make(iot, "failing", dict(
                    body, DeviceConfiguration={"v": value}))
                token = device.ask(CREATE, {})[1]["certificateOwnershipToken"]
                device.subscribe(provision_topic("failing") + "/rejected")
                done, answer = device.ask(provision_topic("failing"), {
                    "certificateOwnershipToken": token, "parameters": given})
                expect(not done and answer["errorCode"] ==
                       "ResourceRegistrationFailure" and
                       answer["statusCode"] == 400, "%s: %s" %
                       (value, answer))
                iot.delete_provisioning_template(templateName="failing")
    # In RegisterThing too.
    with shop.bench() as bench:
        iot = bench.client()
        for name in ("g", "h"):
            iot.create_thing_group(thingGroupName=name)
        made = iot.register_thing(templateBody=json.dumps(single(
            {"ThingName": {"Fn::Sub": "u-${N}"}, "ThingGroups": {
                "Fn::Split": [",", ref("Groups")]}})), parameters={
                    "N": "1", "Groups": "g,h"})
        expect(made["resourceArns"] == {
            "thing": "arn:aws:iot:%s:%s:thing/u-1" % (REGION, ACCOUNT)} and
               "certificatePem" not in made and
               groups_of(iot, "u-1") == ["g", "h"], "made %s" % made)


def test_fleet(shop):
    with shop.bench("--token-ms", 3000) as bench:
        iot = bench.client()
        registry_make(iot)
        template_make(iot, "fleet", FLEET)
        template_make(iot, "off", FLEET, enabled=False)
        template_make(iot, "jitp", JITP, type="JITP")
        certificate, key, claim = shop.claim(bench)
        with ready(bench, certificate, key) as device:
            for name in ("off", "jitp", "none"):
                device.subscribe(provision_topic(name) + "/rejected")
            provision = provision_topic("fleet")

            def register(token, serial="7", topic=provision, **more):
                return device.ask(topic, dict({
                    "certificateOwnershipToken": token, "parameters": {
                        "SerialNumber": serial, "FirmwareVersion": "1.0",
                        "AWS::IoT::Certificate::Id": "0" * 64}}, **more))

            done, keys = device.ask(CREATE, {})
            expect(done and set(keys) == {
                "certificateId", "certificatePem", "privateKey",
                "certificateOwnershipToken"} and
                   status_of(iot, keys["certificateId"]) ==
                   "PENDING_ACTIVATION", "answered %s" % keys)
            own = shop.identity("fleet-unit", keys)
            turned_away(bench, *own)
            for topic, status, code in ((provision_topic("none"), 404,
                                         "ResourceNotFound"),
                                        (provision_topic("off"), 400,
                                         "InvalidRequest"),
                                        (provision_topic("jitp"), 400,
                                         "InvalidRequest")):
                done, answer = register(
                    keys["certificateOwnershipToken"], topic=topic)
                expect(not done and answer["statusCode"] == status and
                       answer["errorCode"] == code and
                       answer["errorMessage"] and len(answer) == 3,
                       "%s: %s" % (topic, answer))
            for payload, code in (
                    ({}, "InvalidCertificateOwnershipToken"),
                    ({"certificateOwnershipToken": "x"},
                     "InvalidCertificateOwnershipToken"),
                    ({"certificateOwnershipToken": 1}, "InvalidRequest"),
                    ({"certificateOwnershipToken": "x", "parameters": {
                        "a": 1}}, "InvalidRequest"), ([], "InvalidRequest")):
                done, answer = device.ask(provision, payload)
                expect(not done and answer["errorCode"] == code, "%s: %s" %
                       (payload, answer))
            # A parameter without a value; the token may be used again.
            done, answer = device.ask(provision, {
                "certificateOwnershipToken":
                keys["certificateOwnershipToken"],
                "parameters": {"serialnumber": "7"}})
            expect(not done and answer["errorCode"] ==
                   "ResourceRegistrationFailure", "answered %s" % answer)
            done, answer = register(keys["certificateOwnershipToken"])
            expect(done and answer == {"deviceConfiguration": {},
                                       "thingName": "device-7"},
                   "answered %s" % answer)
            expect(status_of(iot, keys["certificateId"]) == "ACTIVE" and
                   iot.describe_thing(thingName="device-7")["attributes"] == {
                       "firmwareVersion": "1.0"} and
                   groups_of(iot, "device-7") == ["unprovisioned-devices"],
                   "the thing")
            done, answer = register(keys["certificateOwnershipToken"])
            expect(not done and answer["errorCode"] ==
                   "InvalidCertificateOwnershipToken", "twice: %s" % answer)
            with Device(bench, *own, client_id="device-7") as unit:
                unit.connect()

            done, made = device.ask(FROM_CSR, {
                "certificateSigningRequest": shop.csr("fleet-csr")})
            expect(done and set(made) == {
                "certificateId", "certificatePem",
                "certificateOwnershipToken"}, "answered %s" % made)
            for payload in ({}, {"certificateSigningRequest": "x"},
                            {"certificateSigningRequest": 5}):
                done, answer = device.ask(FROM_CSR, payload)
                expect(not done and answer["errorCode"] == "InvalidRequest"
                       and answer["statusCode"] == 400, "%s" % answer)
            done, answer = register(made["certificateOwnershipToken"],
                                    "again", unknown=1)
            expect(done, "answered %s" % answer)
            expect("mqtt:RegisterThing:unknown" in bench.stats()[
                "unknownMemberNames"], "the unknown member is not noted")

            # Over in time: the token, and the certificate with it.
            _, late = device.ask(CREATE, {})
            _, kept = device.ask(CREATE, {})
            iot.update_certificate(certificateId=kept["certificateId"],
                                   newStatus="ACTIVE")

            def gone():
                try:
                    status_of(iot, late["certificateId"])
                    return False
                except iot.exceptions.ResourceNotFoundException:
                    return True

            within(gone, "the end of a certificate that nobody wanted")
            expect(status_of(iot, kept["certificateId"]) == "ACTIVE",
                   "activated and deleted")
            done, answer = register(late["certificateOwnershipToken"])
            expect(not done and answer["errorCode"] ==
                   "InvalidCertificateOwnershipToken", "late: %s" % answer)
        entries = [entry for entry in bench.log()
                   if entry["op"] == "mqtt:RegisterThing" and
                   entry["status"] == 200]
        expect(entries[0]["thing"] == "device-7" and
               entries[0]["certificate"] == keys["certificateId"] and
               entries[0]["accessKey"] == claim, "logged %s" % entries[0])


def test_claims(shop):
    with shop.bench("--claim-ms", 4000) as bench:
        iot = bench.client()
        registry_make(iot)
        template_make(iot, "fleet", FLEET)
        template_make(iot, "other", FLEET)
        started = time.time()
        claim = iot.create_provisioning_claim(templateName="fleet")
        expect(3 <= claim["expiration"].timestamp() - started <= 6,
               "it ends %s" % claim["expiration"])
        expect(openssl("pkey", "-pubout", data=claim["keyPair"][
            "PrivateKey"].encode()) == openssl(
                "x509", "-noout", "-pubkey", data=claim[
                    "certificatePem"].encode()) ==
               claim["keyPair"]["PublicKey"].encode(), "the keys")
        expect(iot.list_certificates()["certificates"] == [], "it is listed")
        refused("ResourceNotFoundException", iot.describe_certificate,
                certificateId=claim["certificateId"])
        files = shop.identity("trusted", claim)
        with ready(bench, *files) as device:
            _, made = device.ask(CREATE, {})
            done, answer = device.ask(provision_topic("fleet"), {
                "certificateOwnershipToken": made[
                    "certificateOwnershipToken"],
                "parameters": {"SerialNumber": "t", "FirmwareVersion": "1"}})
            expect(done, "answered %s" % answer)
        for topic in (provision_topic("other") + "/accepted", "a/b"):
            with Device(bench, *files) as device:
                device.connect()
                try:
                    codes = device.subscribe(topic)
                    expect(codes == [0x80], "SUBACK %s" % codes)
                except OSError:
                    pass

        def over():
            try:
                with Device(bench, *files) as device:
                    device.connect()
                return False
            except (OSError, Failure):
                return True

        within(over, "the end of the claim")


def test_hook(shop):
    with shop.bench("--hook-ms", 20000, "--lambda", HOOK_ARN + "=" +
                    shop.lambda_file("hook", """
kind = event["parameters"]["Kind"]
print(json.dumps(event))
if kind == "slow": time.sleep(600)
if kind == "raise": raise ValueError("no")
if kind == "exit": os._exit(0)
if kind == "signal": os.kill(os.getpid(), 9)
if kind == "calls":
    import boto3
    client = boto3.client("iot", endpoint_url=os.environ["BENCH_ENDPOINT"])
    client.create_thing_type(thingTypeName="SmartSensor")
answers = {"deny": {"allowProvisioning": False}, "text": "true",
           "string": {"allowProvisioning": "true"}, "none": None,
           "number": {"allowProvisioning": True,
                      "parameterOverrides": {"SerialNumber": 5}}}
return answers.get(kind, {
    "allowProvisioning": True,
    "parameterOverrides": {"SerialNumber": "by-" + kind,
                           "Left": str(context.get_remaining_time_in_millis()
                                       > 0)}})
""")) as bench:
        iot = bench.client()
        registry_make(iot)
        iot.deprecate_thing_type(thingTypeName="SmartSensor")
        iot.deprecate_thing_type(thingTypeName="SmartSensor",
                                 undoDeprecate=True)
        body = dict(FLEET, DeviceConfiguration={"left": ref("Left")})
        template_make(iot, "fleet", body, preProvisioningHook={
            "targetArn": HOOK_ARN})
        certificate, key, claim = shop.claim(bench)

        def register(device, kind):
            _, made = device.ask(CREATE, {})
            done, answer = device.ask(provision_topic("fleet"), {
                "certificateOwnershipToken": made[
                    "certificateOwnershipToken"],
                "parameters": {"Kind": kind, "FirmwareVersion": "1"}})
            return done, answer, made

        with ready(bench, certificate, key, client_id="my-client") as device:
            done, answer, made = register(device, "calls")
            expect(done and answer == {
                "thingName": "device-by-calls", "deviceConfiguration": {
                    "left": "True"}}, "answered %s" % answer)
            line = bench.read("lambda.log").splitlines()[0]
            event = json.loads(line)
            expect(event == {
                "claimCertificateId": claim,
                "certificateId": made["certificateId"],
                "certificatePem": made["certificatePem"],
                "templateArn": "arn:aws:iot:%s:%s:provisioningtemplate/fleet"
                % (REGION, ACCOUNT), "clientId": "my-client",
                "parameters": {"Kind": "calls", "FirmwareVersion": "1"}},
                   "the event is %s" % event)
            for kind in ("deny", "text", "string", "none", "raise", "exit",
                         "signal", "number"):
                done, answer, made = register(device, kind)
                expect(not done and answer["errorCode"] == "ACCESS_DENIED"
                       and answer["statusCode"] == 403 and
                       status_of(iot, made["certificateId"]) ==
                       "PENDING_ACTIVATION", "%s: %s" % (kind, answer))
            iot.update_provisioning_template(
                templateName="fleet", preProvisioningHook={
                    "targetArn": HOOK_ARN + "-none"})
            done, answer, _ = register(device, "other")
            expect(not done and answer["errorCode"] == "ACCESS_DENIED",
                   "no function: %s" % answer)
            iot.update_provisioning_template(
                templateName="fleet", removePreProvisioningHook=True)
            done, answer, _ = register(device, "none")
            expect(not done and answer["errorCode"] ==
                   "ResourceRegistrationFailure", "no hook: %s" % answer)
        # Ends at once with a function under way.
        iot.update_provisioning_template(
            templateName="fleet", preProvisioningHook={
                "targetArn": HOOK_ARN})
        with ready(bench, certificate, key) as device:
            count = bench.read("lambda.log").count("\n")
            _, made = device.ask(CREATE, {})
            device.publish(provision_topic("fleet"), {
                "certificateOwnershipToken": made[
                    "certificateOwnershipToken"],
                "parameters": {"Kind": "slow", "FirmwareVersion": "1"}})
            within(lambda: bench.read("lambda.log").count("\n") > count,
                   "the function's start")
            iot.list_things()  # the cloud answers meanwhile
            started = time.monotonic()
            bench.stop()
            expect(time.monotonic() - started < 15, "it took its time to end")


def test_hook_overtime(shop):
    """The documented five seconds."""
    with shop.bench("--lambda", HOOK_ARN + "=" + shop.lambda_file(
            "slow", "time.sleep(600)")) as bench:
        iot = bench.client()
        registry_make(iot)
        template_make(iot, "fleet", FLEET, preProvisioningHook={
            "targetArn": HOOK_ARN})
        certificate, key, _ = shop.claim(bench)
        with ready(bench, certificate, key) as device:
            _, made = device.ask(CREATE, {})
            started = time.monotonic()
            done, answer = device.ask(provision_topic("fleet"), {
                "certificateOwnershipToken": made[
                    "certificateOwnershipToken"], "parameters": {
                        "SerialNumber": "1", "FirmwareVersion": "1"}})
            took = time.monotonic() - started
            expect(not done and answer["errorCode"] == "ACCESS_DENIED" and
                   5 <= took < 30, "after %.1f s: %s" % (took, answer))


def test_customers_hook(shop):
    """The hook that customers deploy, in both ways of finding the thing."""
    path = os.path.join(TOP, "scripts/aws/pre_provisioning_hook.py")
    setup = shop.file("hooks.json", json.dumps({"lambdas": {
        HOOK_ARN: path, HOOK_ARN + "2": {
            "file": path, "environment": {"THING_NAME": "device-{serial}"}}}}))
    with shop.bench("--hook-ms", 20000, "--setup", setup) as bench:
        iot = bench.client()
        registry_make(iot)
        template_make(iot, "fleet", FLEET, preProvisioningHook={
            "targetArn": HOOK_ARN})
        certificate, key, _ = shop.claim(bench)
        with ready(bench, certificate, key) as device:
            def register(serial, name="SerialNumber"):
                _, made = device.ask(CREATE, {})
                return device.ask(provision_topic("fleet"), {
                    "certificateOwnershipToken": made[
                        "certificateOwnershipToken"],
                    "parameters": {name: serial, "FirmwareVersion": "1"}})

            for number, arn in enumerate((HOOK_ARN, HOOK_ARN + "2")):
                iot.update_provisioning_template(
                    templateName="fleet",
                    preProvisioningHook={"targetArn": arn})
                serial = "S%d" % number
                for asked, name in ((serial, "SerialNumber"),
                                    (serial + "x", "SerialNumber"),
                                    ("a b", "SerialNumber"),
                                    (serial, "serialNumber")):
                    done, answer = register(asked, name)
                    expect(not done and answer["errorCode"] ==
                           "ACCESS_DENIED", "%s %s: %s" %
                           (name, asked, answer))
                iot.create_thing(thingName="device-" + serial,
                                 attributePayload={"attributes": {
                                     "serial": serial}})
                done, answer = register(serial)
                expect(done and answer["thingName"] == "device-" + serial and
                       iot.describe_thing(thingName="device-" + serial)[
                           "attributes"] == {"serial": serial,
                                             "firmwareVersion": "1"},
                       "answered %s" % answer)
                done, answer = register(serial)
                expect(not done and answer["errorCode"] == "ACCESS_DENIED",
                       "a second identity: %s" % answer)
        expect("refused" in bench.read("lambda.log") and
               "allowed: device-S0" in bench.read("lambda.log"), "the log")


def test_just_in_time_provisioning(shop):
    with shop.bench() as bench:
        iot = bench.client()
        registry_make(iot)
        template_make(iot, "jitp", JITP, type="JITP")
        pem = shop.authority("jitp")
        authority = iot.register_ca_certificate(
            caCertificate=pem, setAsActive=True, certificateMode="SNI_ONLY",
            allowAutoRegistration=True, registrationConfig={
                "templateName": "jitp"})["certificateId"]
        subject = "/C=DE/O=Maker/CN=bulb-%d/serialNumber=S%d"
        first = shop.issue("bulb-1", "jitp", subject % (1, 1))
        identity = fingerprint(first[2])
        turned_away(bench, first[0], first[1], sni=False)
        refused("ResourceNotFoundException", iot.describe_certificate,
                certificateId=identity)
        turned_away(bench, *first[:2])
        described = iot.describe_certificate(certificateId=identity)[
            "certificateDescription"]
        expect(described["status"] == "ACTIVE" and
               described["caCertificateId"] == authority and
               described["certificateMode"] == "SNI_ONLY", "%s" % described)
        thing = iot.describe_thing(thingName="bulb-1")
        expect(thing["attributes"] == {"version": "v1", "serialNumber": "S1"}
               and thing["thingTypeName"] == "lightBulb-versionA" and
               groups_of(iot, "bulb-1") == ["DE", "v1-lightbulbs"],
               "the thing is %s" % thing)
        policy = iot.list_attached_policies(
            target=described["certificateArn"])["policies"][0]["policyName"]
        expect(json.loads(iot.get_policy(policyName=policy)[
            "policyDocument"]) == json.loads(PUBLISH), "policy")
        entries = {entry["op"]: entry for entry in bench.log()
                   if str(entry["op"]).startswith("jit:")}
        expect(entries["jit:RegisterCertificate"]["certificate"] == identity
               and entries["jit:RegisterThing"]["thing"] == "bulb-1",
               "the log has %s" % entries)

        # Its policy lets nobody in; another one does.
        turned_away(bench, *first[:2])
        iot.attach_policy(policyName="FleetDevicePolicy",
                          target=described["certificateArn"])
        with Device(bench, *first[:2]) as device:
            device.connect()
        for status in ("INACTIVE", "REVOKED"):
            iot.update_certificate(certificateId=identity, newStatus=status)
            turned_away(bench, *first[:2])
            expect(status_of(iot, identity) == status, "it did not stay")

        # Without a part that the template declares, it waits.
        second = shop.issue("bulb-2", "jitp", "/O=Maker/CN=bulb-2/"
                            "serialNumber=S2")
        for _ in range(2):
            turned_away(bench, *second[:2])
            expect(status_of(iot, fingerprint(second[2])) ==
                   "PENDING_ACTIVATION", "it does not wait")
        expect("Country" in [entry["message"] for entry in bench.log()
                             if entry["op"] == "jit:RegisterThing"][-1],
               "the log does not say why")
        # With a registry that is not ready, the next connection does it.
        third = shop.issue("bulb-3", "jitp", "/C=FR/CN=bulb-3/"
                           "serialNumber=S3")
        turned_away(bench, *third[:2])
        expect(status_of(iot, fingerprint(third[2])) == "PENDING_ACTIVATION",
               "provisioned into a group that is not there")
        iot.create_thing_group(thingGroupName="FR")
        iot.update_provisioning_template(templateName="jitp", enabled=False)
        turned_away(bench, *third[:2])
        iot.update_provisioning_template(templateName="jitp", enabled=True)
        body = dict(JITP, Resources={
            name: dict(value, OverrideSettings=dict(
                value["OverrideSettings"], ThingGroups="MERGE")) if
            name == "thing" else value
            for name, value in JITP["Resources"].items()})
        iot.create_provisioning_template_version(
            templateName="jitp", templateBody=json.dumps(body),
            setAsDefault=True)
        turned_away(bench, *third[:2])
        expect(status_of(iot, fingerprint(third[2])) == "ACTIVE" and
               groups_of(iot, "bulb-3") == ["FR", "v1-lightbulbs"],
               "the third is not ready")

        # Authorities that do not register, and none at all.
        fourth = shop.issue("bulb-4", "jitp", subject % (4, 4))
        for change in ({"newAutoRegistrationStatus": "DISABLE"},
                       {"newAutoRegistrationStatus": "ENABLE",
                        "newStatus": "INACTIVE"}):
            iot.update_ca_certificate(certificateId=authority, **change)
            turned_away(bench, *fourth[:2])
            refused("ResourceNotFoundException", iot.describe_certificate,
                    certificateId=fingerprint(fourth[2]))
        iot.update_ca_certificate(
            certificateId=authority, newStatus="ACTIVE", registrationConfig={
                "templateBody": json.dumps(JITP), "roleArn": ROLE})
        turned_away(bench, *fourth[:2])
        expect(status_of(iot, fingerprint(fourth[2])) == "ACTIVE",
               "with a template of its own")
        shop.authority("stranger")
        strange = shop.issue("bulb-5", "stranger", subject % (5, 5))
        # The same name as the authority's, another key.
        openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=jitp",
                "-keyout", shop.path("forged.key"), "-out",
                shop.path("forged.pem"))
        forged = shop.issue("bulb-6", "forged", subject % (6, 6))
        for files in (strange, forged):
            turned_away(bench, *files[:2])
            refused("ResourceNotFoundException", iot.describe_certificate,
                    certificateId=fingerprint(files[2]))
    rates = shop.file("rates.json", '{"RegisterThing": 0.001}')
    with shop.bench("--rates", rates) as bench:
        iot = bench.client()
        registry_make(iot)
        with open(shop.path("jitp.pem"), encoding="utf-8") as file:
            iot.register_ca_certificate(
                caCertificate=file.read(), setAsActive=True,
                certificateMode="SNI_ONLY", allowAutoRegistration=True,
                registrationConfig={"templateBody": json.dumps(JITP),
                                    "roleArn": ROLE})
        for files, status in ((first, "ACTIVE"),
                              (fourth, "PENDING_ACTIVATION")):
            turned_away(bench, *files[:2])
            expect(status_of(iot, fingerprint(files[2])) == status,
                   "not %s at RegisterThing's quota" % status)


def test_just_in_time_registration(shop):
    path = os.path.join(TOP, "scripts/aws/just_in_time_registration.py")
    topic = "$aws/events/certificates/registered/+"
    setup = shop.file("rule.json", json.dumps({
        "thingTypes": [], "lambdas": {RULE_ARN: {
            "file": path, "environment": {"POLICY_NAME":
                                          "FleetDevicePolicy"}}},
        "rules": [{"topic": topic, "lambda": RULE_ARN}],
        "authorities": {"jitr-ca": {}}}))
    with shop.bench("--setup", setup) as bench:
        iot = bench.client()
        registry_make(iot)
        for end in ("pem", "key.pem"):
            with open(bench.path("jitr-ca/ca." + end),
                      encoding="utf-8") as file:
                text = file.read()
            shop.file("jitr." + end.replace("key.pem", "key"), text)
        authority, = iot.list_ca_certificates()["certificates"]
        certificate, key, _ = shop.claim(bench)
        unit = shop.issue("jitr-unit", "jitr", "/CN=S1")
        identity = fingerprint(unit[2])
        with Device(bench, certificate, key) as listener:
            listener.connect()
            codes = listener.subscribe(topic)
            expect(codes == [1], "SUBACK %s" % codes)
            started = time.time()
            turned_away(bench, *unit[:2])
            where, event = listener.message()
            expect(where == topic[:-1] + authority["certificateId"],
                   "on %s" % where)
            stamp = event.pop("timestamp")
            registered = event.pop("certificateRegistrationTimestamp")
            expect(event == {
                "certificateId": identity,
                "caCertificateId": authority["certificateId"],
                "certificateStatus": "PENDING_ACTIVATION",
                "awsAccountId": ACCOUNT} and isinstance(registered, str) and
                   abs(stamp / 1000 - started) < 60, "the event is %s, %s" %
                   (event, stamp))
            within(lambda: [entry for entry in bench.log() if entry["op"] ==
                            "ListThings"], "the function's call")
            expect(status_of(iot, identity) == "PENDING_ACTIVATION",
                   "activated without the station")
            iot.create_thing(thingName="unit-1", attributePayload={
                "attributes": {"serial": "S1"}})
            turned_away(bench, *unit[:2])
            where, event = listener.message()
            expect(event["certificateId"] == identity, "no second event")
        within(lambda: status_of(iot, identity) == "ACTIVE", "activation")
        with Device(bench, *unit[:2], client_id="unit-1") as device:
            device.connect()
        expect(len(iot.list_thing_principals(thingName="unit-1")[
            "principals"]) == 1, "attached")


def test_many_at_once(shop):
    """Devices with a hook each, and first connections, side by side."""
    with shop.bench("--hook-ms", 60000, "--lambda", HOOK_ARN + "=" +
                    shop.lambda_file("many", """
return {"allowProvisioning": True, "parameterOverrides": {
    "FirmwareVersion": event["parameters"]["SerialNumber"]}}
""")) as bench:
        iot = bench.client()
        registry_make(iot)
        template_make(iot, "fleet", FLEET, preProvisioningHook={
            "targetArn": HOOK_ARN})
        iot.register_ca_certificate(
            caCertificate=shop.authority("many"), setAsActive=True,
            certificateMode="SNI_ONLY", allowAutoRegistration=True,
            registrationConfig={"templateBody": json.dumps(JITP),
                                "roleArn": ROLE})
        certificate, key, _ = shop.claim(bench)
        units = [shop.issue("many-%d" % number, "many",
                            "/C=DE/CN=many-%d/serialNumber=%d" %
                            (number, number)) for number in range(8)]

        def provision(number):
            with ready(bench, certificate, key,
                       client_id="many-%d" % number) as device:
                _, made = device.ask(CREATE, {})
                return device.ask(provision_topic("fleet"), {
                    "certificateOwnershipToken": made[
                        "certificateOwnershipToken"], "parameters": {
                            "SerialNumber": "m%d" % number}})

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = pool.map(provision, range(24))
            list(pool.map(lambda unit: turned_away(bench, *unit[:2]), units))
            answers = list(answers)
        expect(all(done for done, _ in answers) and
               {answer["thingName"] for _, answer in answers} ==
               {"device-m%d" % number for number in range(24)},
               "the answers are %s" % answers)
        for number in range(24):
            name = "device-m%d" % number
            expect(iot.describe_thing(thingName=name)["attributes"] == {
                "firmwareVersion": "m%d" % number} and len(
                    iot.list_thing_principals(thingName=name)[
                        "principals"]) == 1, "%s is another's" % name)
        expect(all(status_of(iot, fingerprint(unit[2])) == "ACTIVE"
                   for unit in units), "a first connection has no effect")
        expect(bench.stats()["certificates"] == {"ACTIVE": 33},
               "the counts are %s" % bench.stats())


def test_policies(shop):
    """What policies allow: wildcards, variables, conditions, denials."""
    prefix = "arn:aws:iot:%s:%s:" % (REGION, ACCOUNT)

    def statement(effect, action, *resources, **more):
        return dict({"Effect": effect, "Action": action, "Resource": [
            prefix + resource for resource in resources]}, **more)

    document = json.dumps({"Version": "2012-10-17", "Statement": [
        statement("Allow", "iot:Connect",
                  "client/${iot:Connection.Thing.ThingName}", "client/c-?"),
        statement("Allow", ["iot:Subscribe"], "topicfilter/a/*",
                  "topicfilter/of/${iot:ClientId}",
                  "topicfilter/at/${iot:Connection.Thing.Attributes[site]}"),
        statement("Allow", "IOT:subscribe", "topicfilter/b/+",
                  Condition={"Bool": {
                      "iot:Connection.Thing.IsAttached": "true"}}),
        statement("Allow", "iot:Sub*", "topicfilter/n/*", Condition={
            "NumericLessThan": {"x": 1}}),
        statement("Deny", "iot:Subscribe", "topicfilter/a/secret"),
        statement("Allow", ["iot:Publish", "iot:Receive"], "topic/a/*")]})
    with shop.bench() as bench:
        iot = bench.client()
        certificate, key, identity = shop.claim(bench, document)
        arn = prefix + "cert/" + identity
        iot.create_thing(thingName="lamp", attributePayload={
            "attributes": {"site": "hall"}})

        def subscribes(client_id, topic):
            with Device(bench, certificate, key, client_id) as device:
                try:
                    device.connect()
                except (OSError, Failure):
                    return None
                try:
                    return device.subscribe(topic) == [1]
                except OSError:
                    return False

        expect(subscribes("lamp", "a/x") is None, "a thing not attached")
        iot.attach_thing_principal(thingName="lamp", principal=arn)
        for client_id, topic, wanted in (
                ("lamp", "a/x", True), ("lamp", "a/secret", False),
                ("lamp", "of/lamp", True), ("lamp", "of/other", False),
                ("lamp", "at/hall", True), ("lamp", "at/x", False),
                ("lamp", "b/+", True), ("lamp", "b/x", False),
                ("lamp", "n/x", False), ("lamp", "c", False),
                ("c-1", "a/x", True), ("c-1", "b/+", False),
                ("c-1", "at/hall", False), ("c-11", "a/x", None),
                ("other", "a/x", None)):
            answer = subscribes(client_id, topic)
            expect(answer is wanted, "%s to %s: %s" %
                   (client_id, topic, answer))


def test_faults_over_mqtt(shop):
    with shop.bench() as bench:
        iot = bench.client()
        registry_make(iot)
        template_make(iot, "fleet", FLEET)
        certificate, key, _ = shop.claim(bench)

        def count():
            return len(iot.list_certificates(pageSize=250)["certificates"])

        for what, made in (("drop-request", 0), ("drop-answer", 1)):
            before = count()
            bench.faults({"op": "mqtt:CreateKeysAndCertificate",
                          "what": what, "count": 1})
            with ready(bench, certificate, key) as device:
                try:
                    answer = device.ask(CREATE, {})
                    raise Failure("%s: answered %s" % (what, answer))
                except OSError:
                    pass
            expect(count() == before + made, "%s made %d" %
                   (what, count() - before))
        with ready(bench, certificate, key) as device:
            bench.faults({"op": "mqtt:CreateCertificateFromCsr",
                          "what": "error", "status": 400, "count": 1,
                          "code": "ThrottlingException"})
            csr = {"certificateSigningRequest": shop.csr("faulty")}
            done, answer = device.ask(FROM_CSR, csr)
            expect(not done and answer["errorCode"] == "Throttling",
                   "answered %s" % answer)
            bench.faults({"op": "mqtt:CreateCertificateFromCsr",
                          "what": "delay", "ms": 600})
            started = time.monotonic()
            done, made = device.ask(FROM_CSR, csr)
            expect(done and time.monotonic() - started >= 0.6, "no delay")
            bench.faults({"op": "mqtt:RegisterThing", "what": "twice"})
            before = count()
            payload = {"certificateOwnershipToken": made[
                "certificateOwnershipToken"], "parameters": {
                    "SerialNumber": "f", "FirmwareVersion": "1"}}
            done, answer = device.ask(provision_topic("fleet"), payload)
            expect(done, "the first of two: %s" % answer)
            topic, answer = device.message()
            expect(topic.endswith("/rejected") and answer["errorCode"] ==
                   "InvalidCertificateOwnershipToken" and count() == before,
                   "the second of two: %s" % answer)
        stats = bench.stats()["operations"]
        expect(stats["mqtt:CreateCertificateFromCsr"]["faults"] == 2 and
               stats["mqtt:RegisterThing"]["faults"] == 1, "%s" % stats)
    rates = shop.file("mqtt.json", '{"mqtt:CreateKeysAndCertificate": 0.01}')
    with shop.bench("--rates", rates) as bench:
        certificate, key, _ = shop.claim(bench)
        with ready(bench, certificate, key) as device:
            done, _ = device.ask(CREATE, {})
            again, answer = device.ask(CREATE, {})
            expect(done and not again and answer["errorCode"] == "Throttling",
                   "at the quota: %s" % answer)


def test_set_up(shop):
    """The demo's account: made once, the same after a restart."""
    demo = os.path.join(TOP, "fixtures/cloud/demo.json")
    with shop.bench("--setup", demo, "--hook-ms", 20000) as bench:
        def look():
            iot = bench.client()
            return (sorted(item["templateName"] for item in
                           iot.list_provisioning_templates()["templates"]),
                    sorted(item["certificateId"] for item in
                           iot.list_ca_certificates()["certificates"]),
                    [bench.read(name) for name in (
                        "jitp-ca/ca.pem", "jitp-ca/ca.key.pem",
                        "jitr-ca/ca.pem", "claim/claim.cert.pem")])

        seen = look()
        made = {fingerprint(bench.read(name))
                for name in ("jitp-ca/ca.pem", "jitr-ca/ca.pem")}
        expect(seen[0] == ["FleetHookTemplate", "FleetTemplate",
                           "JitpTemplate"] and made <= set(seen[1]),
               "the account has %s" % (seen[:2],))
        for name in ("jitp-ca/ca.key.pem", "jitr-ca/ca.key.pem"):
            expect(os.stat(bench.path(name)).st_mode & 0o777 == 0o600, name)
        bench.stop()
        bench.start()
        expect(look() == seen, "another account after the restart")
        iot = bench.client()
        claim = (bench.path("claim/claim.cert.pem"),
                 bench.path("claim/claim.key.pem"))
        with ready(bench, *claim, name="FleetTemplate") as device:
            _, made = device.ask(CREATE, {})
            done, answer = device.ask(provision_topic("FleetTemplate"), {
                "certificateOwnershipToken": made[
                    "certificateOwnershipToken"], "parameters": {
                        "SerialNumber": "1", "FirmwareVersion": "2"}})
            expect(done and answer["thingName"] == "device-1", "%s" % answer)
        with ready(bench, *claim, name="FleetHookTemplate") as device:
            for there in (False, True):
                if there:
                    iot.create_thing(thingName="device-2", attributePayload={
                        "attributes": {"serial": "2"}})
                _, made = device.ask(CREATE, {})
                done, answer = device.ask(
                    provision_topic("FleetHookTemplate"), {
                        "certificateOwnershipToken": made[
                            "certificateOwnershipToken"], "parameters": {
                                "SerialNumber": "2",
                                "FirmwareVersion": "2"}})
                expect(done is there, "the hook: %s" % answer)
        for end in ("pem", "key.pem"):
            shop.file("demo-jitp." + end.replace("key.pem", "key"),
                      bench.read("jitp-ca/ca." + end))
        unit = shop.issue("demo-unit", "demo-jitp",
                          "/C=DE/CN=bulb-9/serialNumber=9")
        turned_away(bench, *unit[:2])
        with Device(bench, *unit[:2], client_id="bulb-9") as device:
            device.connect()
    for bad in ({"templates": {"t": {}}}, {"templates": {"t": {
            "file": "none"}}}, {"templates": {"t": {"body": "{"}}},
                {"lambdas": {HOOK_ARN: "none.py"}}, {"rules": [{}]},
                {"rules": [{"topic": "a", "lambda": "none"}]},
                {"authorities": {"a": {"template": "none"}}},
                {"lambdas": {HOOK_ARN: {"file": demo, "environment": {
                    "a": 1}}}}):
        try:
            shop.bench("--setup", shop.file("bad.json", json.dumps(bad)))
        except Failure:
            continue
        raise Failure("a set-up with %s" % bad)


if __name__ == "__main__":
    sys.exit(run(globals(), "fleet", Factory()))
