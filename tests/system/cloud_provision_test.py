#!/usr/bin/python3
"""Holds bench-cloud's provisioning to Debian's aws and botocore as witnesses.

Templates and their versions, RegisterThing, certification authorities; answers
are compared with botocore's service model as cloud_witness_test.py does. BUILD
(default build) says where bin/bench-cloud is. Prints "ok - NAME" or "not ok -
NAME: WHY" for each test; exits 1 when one failed. Names of tests as arguments
choose.
"""

import concurrent.futures
import hashlib
import json
import sys

import cloud_witness_test as witness
from cloud_device import (FLEET, HOOK_ARN, JITP, PUBLISH, Factory,
                          fingerprint, groups_of, ref, registry_make, run,
                          single, status_of, template_make)
from cloud_witness_test import (ACCOUNT, REGION, ROLE, expect, openssl,
                                refused)


def test_every_operation_with_aws(shop):
    with shop.bench() as bench, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        called = set()

        def together(*commands):
            for command in commands:
                called.add("".join(
                    "CA" if part == "ca" else part.capitalize()
                    for part in command[0].split("-")))
            return list(pool.map(lambda command: bench.aws(*command),
                                 commands))

        shop.authority("first")
        shop.authority("second")
        shop.issue("unit-a", "first")
        body = "file://" + shop.file("body.json", json.dumps(single(
            thing={"ThingName": ref("Name")},
            certificate={"CertificateSigningRequest": ref("CSR")})))
        jitp = "file://" + shop.file("jitp.json", json.dumps(JITP))
        fleet = "file://" + shop.file("fleet.json", json.dumps(FLEET))
        template = ("--template-name", "fleet")
        code, answer, _, _ = together(
            ("get-registration-code",),
            ("register-thing", "--template-body", body, "--parameters",
             json.dumps({"Name": "t1", "CSR": shop.csr("t1")})),
            ("create-provisioning-template", *template, "--template-body",
             fleet, "--provisioning-role-arn", ROLE, "--enabled",
             "--pre-provisioning-hook", "targetArn=" + HOOK_ARN),
            ("create-provisioning-template", "--template-name", "jitp",
             "--template-body", jitp, "--provisioning-role-arn", ROLE,
             "--type", "JITP"))
        expect(set(answer["resourceArns"]) == {"thing", "certificate"} and
               answer["certificatePem"].startswith("-----BEGIN CERT"),
               "register-thing: %s" % answer)
        shop.issue("proof", "first", "/CN=" + code["registrationCode"])
        first, second, _, _ = together(
            ("register-ca-certificate", "--ca-certificate",
             "file://" + shop.path("first.pem"), "--verification-cert",
             "file://" + shop.path("proof.pem"), "--set-as-active"),
            ("register-ca-certificate", "--ca-certificate",
             "file://" + shop.path("second.pem"), "--certificate-mode",
             "SNI_ONLY", "--allow-auto-registration",
             "--registration-config", "templateName=jitp"),
            ("create-provisioning-template-version", *template,
             "--template-body", fleet, "--set-as-default"),
            ("list-ca-certificates",))
        together(("update-provisioning-template", *template, "--description",
                  "a b", "--default-version-id", "1",
                  "--remove-pre-provisioning-hook"))
        one = ("--certificate-id", first["certificateId"])
        two = ("--certificate-id", second["certificateId"])
        answers = together(
            ("register-certificate", "--certificate-pem",
             "file://" + shop.path("unit-a.pem"), "--status", "INACTIVE"),
            ("describe-ca-certificate", *two),
            ("list-ca-certificates", "--template-name", "jitp"),
            ("describe-provisioning-template", *template),
            ("describe-provisioning-template-version", *template,
             "--version-id", "2"),
            ("list-provisioning-templates",),
            ("list-provisioning-template-versions", *template),
            ("create-provisioning-claim", *template),
            ("list-certificates-by-ca", "--ca-certificate-id",
             second["certificateId"]),
            ("delete-registration-code",))
        unit = answers[0]["certificateId"]
        expect(answers[1]["registrationConfig"] == {"templateName": "jitp"},
               "the CA is %s" % answers[1])
        expect(len(answers[2]["certificates"]) == 1, "not by template")
        expect(answers[3]["defaultVersionId"] == 1 and
               answers[3]["description"] == "a b" and
               "preProvisioningHook" not in answers[3],
               "the template is %s" % answers[3])
        expect(answers[4]["isDefaultVersion"] is False, "version 2")
        expect([item["versionId"] for item in answers[6]["versions"]] ==
               [1, 2], "versions: %s" % answers[6])
        expect(answers[8]["certificates"] == [], "of another CA")
        listed, _, _ = together(
            ("list-certificates-by-ca", "--ca-certificate-id",
             first["certificateId"]),
            ("update-ca-certificate", *one, "--new-status", "INACTIVE"),
            ("update-ca-certificate", *two, "--remove-auto-registration"))
        expect([item["certificateId"] for item in listed["certificates"]] ==
               [unit], "by CA: %s" % listed)
        together(
            ("delete-ca-certificate", *one),
            ("delete-ca-certificate", *two),
            ("delete-provisioning-template-version", *template,
             "--version-id", "2"),
            ("delete-certificate", "--certificate-id", unit))
        together(("delete-provisioning-template", *template),
                 ("delete-provisioning-template", "--template-name", "jitp"))
        stats = bench.stats()
        expect(set(stats["operations"]) == called and len(called) == 21,
               "called: %s" % sorted(called ^ set(stats["operations"])))
        expect(stats["errors"] == 0 and stats["unknownMembers"] == 0,
               "the counts are %s" % stats)


def test_template_checks(shop):
    """What may not be in a template, by its type."""
    name = {"ThingName": "x"}
    own = {"CertificateId": ref("AWS::IoT::Certificate::Id")}
    bad = [
        [], "x", {}, {"Resources": []}, {"Resource": {}},
        dict(single(name), Outputs={}),
        single(name, Parameters={"A": {"Type": "Number"}}),
        single(name, Parameters={"A": {"Type": "String", "Default": 1}}),
        single(name, Parameters={"A": {"Type": "String", "Max": "1"}}),
        single(name, Mappings={"M": {"a": "b"}}),
        single(name, Mappings={"M": {"a": {"b": ref("A")}}}),
        single(name, DeviceConfiguration={"a": {"b": "c"}}),
        single(name, DeviceConfiguration={"a": {"Fn::Nothing": []}}),
        single({}), single({"ThingName": 1}), single({"ThingName": ["x"]}),
        single(dict(name, Colour="red")),
        single(dict(name, AttributePayload={"attributes": {"a": "b"}})),
        single(dict(name, AttributePayload=["a"])),
        single(dict(name, ThingGroups="g")),
        single(dict(name, ThingGroups=[{"a": "b", "c": "d"}])),
        single(dict(name, OverrideSettings={"ThingTypeName": "MERGE"})),
        single(dict(name, OverrideSettings={"ThingGroups": "IGNORE"})),
        single(dict(name, OverrideSettings={"Status": "REPLACE"})),
        single(name, dict(own, OverrideSettings={"Status": "MERGE"})),
        single(name, {}), single(name, dict(own, CertificatePem="x")),
        single(name, dict(own, Status="REVOKED")),
        single(name, dict(own, CACertificatePem="x")),
        single(name, own, {}),
        single(name, own, {"PolicyName": "p", "PolicyDocument": "d"}),
        single(name, own, {"PolicyName": "p",
                           "OverrideSettings": {"Status": "FAIL"}}),
        single({"ThingName": {"Ref": ["A"]}}),
        single({"ThingName": {"Fn::Join": "a"}}),
        single({"ThingName": {"Fn::Join": ["", ["a"]], "Ref": "A"}}),
        {"Resources": {"a": {"Type": "AWS::IoT::Thing", "Properties": name},
                       "b": {"Type": "AWS::IoT::Thing",
                             "Properties": name}}},
        {"Resources": {"a": {"Type": "AWS::IoT::Role", "Properties": {}}}},
        {"Resources": {"a": {"Type": "AWS::IoT::Thing"}}},
        {"Resources": {"a": {"Type": "AWS::IoT::Thing", "Properties": name,
                             "DependsOn": "b"}}},
        single(name, Parameters={"\u00e9" * 20: {
            "Type": "String", "Default": "\u00e9" * 5090}}),
    ]
    csr = single(name, {"CertificateSigningRequest": ref("CSR")})
    given = single(name, own, {"PolicyDocument": {"Version": "2012-10-17"}})
    mapped = single(name, Mappings={"M": {"a": {"b": "c", "d": ["e"]}}},
                    DeviceConfiguration={"a": "b", "c": 1, "d": True})
    with shop.bench() as bench:
        iot = bench.client()
        for body in bad:
            refused("InvalidRequestException", template_make, iot, "bad",
                    body)
        text = json.dumps(single(name))
        for body in (text[:-1], text[:-1] + ', "Resources": {}}'):
            refused("InvalidRequestException",
                    iot.create_provisioning_template, templateName="bad",
                    templateBody=body, provisioningRoleArn=ROLE)
        for number, (body, fleet, jitp, alone) in enumerate((
                (csr, False, False, True), (given, True, False, False),
                (mapped, True, False, False),
                (single(name, own, {"PolicyDocument": PUBLISH}), True, True,
                 True), (FLEET, True, True, True), (JITP, True, True, True))):
            for kind, good in (("FLEET_PROVISIONING", fleet), ("JITP", jitp)):
                if good:
                    template_make(iot, "t%d-%s" % (number, kind), body,
                                  type=kind)
                    continue
                refused("InvalidRequestException", template_make, iot, "bad",
                        body, type=kind)
            if not alone:
                refused("InvalidRequestException", iot.register_thing,
                        templateBody=json.dumps(body))
        refused("InvalidRequestException",
                iot.create_provisioning_template_version,
                templateName="t3-JITP", templateBody=json.dumps(csr))
        expect(iot.list_provisioning_templates(maxResults=250)[
            "templates"][0]["enabled"] is True, "enabled")


def test_template_versions(shop):
    with shop.bench() as bench:
        iot = bench.client()
        name = {"templateName": "t"}
        template_make(iot, "t", FLEET, preProvisioningHook={
            "targetArn": HOOK_ARN})
        for number in range(2, 6):
            made = iot.create_provisioning_template_version(
                **name, templateBody=json.dumps(FLEET),
                setAsDefault=number == 3)
            expect(made["versionId"] == number and
                   made["isDefaultVersion"] == (number == 3), "%s" % made)
        refused("VersionsLimitExceededException",
                iot.create_provisioning_template_version, **name,
                templateBody=json.dumps(FLEET))
        pages = list(iot.get_paginator(
            "list_provisioning_template_versions").paginate(
                **name, PaginationConfig={"PageSize": 2}))
        expect([[item["versionId"] for item in page["versions"]]
                for page in pages] == [[1, 2], [3, 4], [5]], "pages")
        refused("DeleteConflictException",
                iot.delete_provisioning_template_version, **name, versionId=3)
        iot.delete_provisioning_template_version(**name, versionId=1)
        for call in (iot.describe_provisioning_template_version,
                     iot.delete_provisioning_template_version):
            refused("ResourceNotFoundException", call, **name, versionId=1)
            refused("ResourceNotFoundException", call, templateName="none",
                    versionId=1)
        refused("ResourceNotFoundException", iot.update_provisioning_template,
                **name, defaultVersionId=1)
        refused("ResourceNotFoundException", iot.update_provisioning_template,
                templateName="none", enabled=True)
        refused("InvalidRequestException", iot.update_provisioning_template,
                **name, removePreProvisioningHook=True,
                preProvisioningHook={"targetArn": HOOK_ARN})
        iot.update_provisioning_template(**name, enabled=False,
                                         defaultVersionId=5)
        described = iot.describe_provisioning_template(**name)
        expect(described["enabled"] is False and
               described["defaultVersionId"] == 5 and
               described["preProvisioningHook"] == {
                   "payloadVersion": "2020-04-01", "targetArn": HOOK_ARN} and
               described["lastModifiedDate"] >= described["creationDate"],
               "the template is %s" % described)
        template_make(iot, "j", JITP, type="JITP")
        refused("InvalidRequestException", iot.update_provisioning_template,
                templateName="j", preProvisioningHook={
                    "targetArn": HOOK_ARN})
        refused("InvalidRequestException", iot.create_provisioning_claim,
                templateName="j")
        for call in (iot.create_provisioning_claim,
                     iot.list_provisioning_template_versions):
            refused("ResourceNotFoundException", call, templateName="none")
        made = iot.register_ca_certificate(
            caCertificate=shop.authority("held"), certificateMode="SNI_ONLY",
            registrationConfig={"templateName": "j"})
        refused("DeleteConflictException", iot.delete_provisioning_template,
                templateName="j")
        iot.delete_ca_certificate(certificateId=made["certificateId"])
        iot.delete_provisioning_template(templateName="j")
        answer = bench.signed("GET", "/provisioning-templates/t/versions/x")
        expect(answer.status_code == 400, "a version that is no number: %s" %
               answer.content)


def test_register_thing(shop):
    with shop.bench() as bench:
        iot = bench.client()
        registry_make(iot)
        csr = shop.csr("unit")

        def register(body, **parameters):
            return iot.register_thing(templateBody=json.dumps(body),
                                      parameters=parameters)

        body = single(
            {"ThingName": ref("Name"), "ThingTypeName": "SmartSensor",
             "AttributePayload": {"serial": ref("Serial"), "empty": ""},
             "ThingGroups": ["unprovisioned-devices", ref("Place")]},
            {"CertificateSigningRequest": ref("CSR"), "Status": "Inactive"},
            {"PolicyDocument": PUBLISH}, Parameters={
                "Place": {"Type": "String", "Default": "DE"}})
        first = register(body, Name="a", Serial="1", CSR=csr)
        identity = fingerprint(first["certificatePem"])
        digest = hashlib.sha1(PUBLISH.encode()).hexdigest().upper()
        prefix = "arn:aws:iot:%s:%s:" % (REGION, ACCOUNT)
        expect(first["resourceArns"] == {
            "thing": prefix + "thing/a",
            "certificate": prefix + "cert/" + identity,
            "policy": prefix + "policy/" + digest},
               "the ARNs are %s" % first["resourceArns"])
        thing = iot.describe_thing(thingName="a")
        expect(thing["attributes"] == {"serial": "1"} and
               thing["thingTypeName"] == "SmartSensor", "is %s" % thing)
        expect(groups_of(iot, "a") == ["DE", "unprovisioned-devices"],
               "the groups are %s" % groups_of(iot, "a"))
        expect(status_of(iot, identity) == "INACTIVE", "it is active")
        # The same again: the thing is as it should be, the certificate new.
        second = register(body, Name="a", Serial="1", CSR=csr)
        expect(fingerprint(second["certificatePem"]) != identity and len(
            iot.list_thing_principals(thingName="a")["principals"]) == 2 and
               iot.list_attached_policies(target=second["resourceArns"][
                   "certificate"])["policies"][0]["policyName"] == digest,
               "the second is %s" % second)
        refused("ConflictingResourceUpdateException", register, body,
                Name="a", Serial="2", CSR=csr)
        refused("ConflictingResourceUpdateException", register, body,
                Name="a", Serial="1", CSR=csr, Place="extra")

        # What fails leaves behind what was done before it.
        before = bench.stats()
        refused("ResourceRegistrationFailureException", register, single(
            {"ThingName": "b", "ThingTypeName": "none"},
            {"CertificateSigningRequest": ref("CSR")}), CSR=csr)
        after = bench.stats()
        expect(after["things"] == before["things"] and
               after["certificates"]["INACTIVE"] ==
               before["certificates"]["INACTIVE"] + 1,
               "left behind: %s, before %s" % (after, before))
        for thing in ({"ThingName": "b", "ThingGroups": ["none"]},
                      {"ThingName": "b c"}, {"ThingName": ref("None")},
                      {"ThingName": "c", "BillingGroup": "none"},
                      {"ThingName": "d", "AttributePayload": {"a": "x y"}}):
            refused("ResourceRegistrationFailureException", register,
                    single(thing))
        for certificate in ({"CertificateSigningRequest": "x"},
                            {"CertificateId": "x"},
                            {"CertificateId": "0" * 64},
                            {"CertificatePem": "x"}):
            refused("ResourceRegistrationFailureException", register,
                    single(None, certificate))
        for policy in ({"PolicyName": "none"}, {"PolicyDocument": "{}"}):
            refused("ResourceRegistrationFailureException", register,
                    single(None, None, policy))
        refused("InvalidRequestException", iot.register_thing,
                templateBody="no")
        free = bench.client(config=witness.botocore.config.Config(
            parameter_validation=False, retries={"max_attempts": 0}))
        refused("InvalidRequestException", free.register_thing,
                templateBody=json.dumps(body), parameters={"a": "x" * 4097})
        for parameters in ([], {"a": 1}):
            answer = bench.signed("POST", "/things", json.dumps({
                "templateBody": json.dumps(body), "parameters": parameters}))
            expect(answer.status_code == 400, "%s: %s" %
                   (parameters, answer.content))
        refused("InvalidRequestException", free.register_thing)


def test_override_settings(shop):
    """Each setting on a thing that is there, and on certificates."""
    with shop.bench() as bench:
        iot = bench.client()
        registry_make(iot)

        def fresh():
            for name in groups_of(iot, "a") if fresh.made else ():
                iot.remove_thing_from_thing_group(thingName="a",
                                                  thingGroupName=name)
            if fresh.made:
                iot.delete_thing(thingName="a")
            iot.create_thing(thingName="a", thingTypeName="SmartSensor",
                             attributePayload={"attributes": {
                                 "x": "1", "y": "1"}})
            iot.add_thing_to_thing_group(thingName="a", thingGroupName="DE")
            fresh.made = True
        fresh.made = False

        def register(properties, **settings):
            fresh()
            iot.register_thing(templateBody=json.dumps(single(dict(
                properties, ThingName="a", OverrideSettings=settings))))
            thing = iot.describe_thing(thingName="a")
            return (thing["attributes"], thing["thingTypeName"],
                    groups_of(iot, "a"))

        attributes = {"AttributePayload": {"y": "2", "z": "2"}}
        kind = {"ThingTypeName": "Other"}
        groups = {"ThingGroups": ["extra"]}
        old = ({"x": "1", "y": "1"}, "SmartSensor", ["DE"])
        for properties, setting, action, at, value in (
                (attributes, "AttributePayload", "MERGE", 0,
                 {"x": "1", "y": "2", "z": "2"}),
                (attributes, "AttributePayload", "REPLACE", 0,
                 {"y": "2", "z": "2"}),
                (attributes, "AttributePayload", "DO_NOTHING", 0, old[0]),
                (kind, "ThingTypeName", "REPLACE", 1, "Other"),
                (kind, "ThingTypeName", "DO_NOTHING", 1, "SmartSensor"),
                (groups, "ThingGroups", "MERGE", 2, ["DE", "extra"]),
                (groups, "ThingGroups", "REPLACE", 2, ["extra"]),
                (groups, "ThingGroups", "DO_NOTHING", 2, ["DE"])):
            state = register(properties, **{setting: action})
            wanted = list(old)
            wanted[at] = value
            expect(list(state) == wanted, "%s %s gives %s" %
                   (setting, action, state))
        for properties, setting in ((attributes, "AttributePayload"),
                                    (kind, "ThingTypeName"),
                                    (groups, "ThingGroups")):
            for settings in ({setting: "FAIL"}, {}):
                answer = refused("ConflictingResourceUpdateException",
                                 register, properties, **settings)
                expect(answer["ResponseMetadata"]["HTTPStatusCode"] == 409,
                       "409")
                expect("ResourceConflictsException" in
                       answer["Error"]["Message"], "%s" % answer)
        # As it is already: no conflict unless the template insists.
        register({"ThingTypeName": "SmartSensor"})
        refused("ConflictingResourceUpdateException", register,
                {"ThingTypeName": "SmartSensor"}, ThingTypeName="FAIL")

        made = iot.create_certificate_from_csr(
            certificateSigningRequest=shop.csr("unit"))
        identity = made["certificateId"]

        def certificate(status=None, setting=None):
            properties = {"CertificateId": identity}
            if status is not None:
                properties["Status"] = status
            if setting is not None:
                properties["OverrideSettings"] = {"Status": setting}
            answer = iot.register_thing(templateBody=json.dumps(
                single(None, properties)))
            expect(answer["certificatePem"] == made["certificatePem"], "PEM")
            return status_of(iot, identity)

        for status, setting, wanted in (
                ("ACTIVE", "DO_NOTHING", "INACTIVE"),
                (None, None, "ACTIVE"), ("INACTIVE", "REPLACE", "INACTIVE"),
                ("Active", None, "ACTIVE"), ("active", "REPLACE", "ACTIVE")):
            expect(certificate(status, setting) == wanted, "%s %s: not %s" %
                   (status, setting, wanted))
        refused("ConflictingResourceUpdateException", certificate,
                "INACTIVE", "FAIL")
        iot.update_certificate(certificateId=identity, newStatus="REVOKED")
        refused("ResourceRegistrationFailureException", certificate)


def test_authorities(shop):
    with shop.bench() as bench:
        iot = bench.client()
        pem = shop.authority("ca")
        refused("ResourceNotFoundException", iot.delete_registration_code)
        shop.issue("early", "ca", "/CN=none")
        with open(shop.path("early.pem"), encoding="utf-8") as file:
            early = file.read()
        named = {"caCertificate": pem}
        refused("RegistrationCodeValidationException",
                iot.register_ca_certificate, **named,
                verificationCertificate=early)
        code = iot.get_registration_code()["registrationCode"]
        expect(len(code) == 64 and
               iot.get_registration_code()["registrationCode"] == code,
               "another code")
        refused("RegistrationCodeValidationException",
                iot.register_ca_certificate, **named,
                verificationCertificate=early)
        _, _, proof = shop.issue("proof", "ca", "/O=x/CN=" + code)
        shop.authority("other")
        _, _, wrong = shop.issue("wrong", "other", "/CN=" + code)
        template_make(iot, "j", JITP, type="JITP")
        template_make(iot, "f", FLEET)
        config = {"templateName": "j"}
        whole = {"templateBody": json.dumps(JITP), "roleArn": ROLE}
        for error, more in (
                ("InvalidRequestException", {}),
                ("InvalidRequestException", {"certificateMode": "DEFAULT"}),
                ("InvalidRequestException", {
                    "certificateMode": "SNI_ONLY",
                    "verificationCertificate": proof}),
                ("CertificateValidationException", {
                    "verificationCertificate": wrong}),
                ("CertificateValidationException", {
                    "verificationCertificate": "x"}),
                ("CertificateValidationException", {"caCertificate": "x"}),
                ("CertificateValidationException", {
                    "caCertificate": early, "certificateMode": "SNI_ONLY"}),
                ("ResourceNotFoundException", {
                    "verificationCertificate": proof,
                    "registrationConfig": {"templateName": "none"}}),
                ("InvalidRequestException", {
                    "verificationCertificate": proof,
                    "registrationConfig": {"templateName": "f"}}),
                ("InvalidRequestException", {
                    "verificationCertificate": proof,
                    "registrationConfig": dict(config, **whole)}),
                ("InvalidRequestException", {
                    "verificationCertificate": proof,
                    "registrationConfig": {"roleArn": ROLE}}),
                ("InvalidRequestException", {
                    "verificationCertificate": proof,
                    "registrationConfig": dict(whole, templateBody="{}")})):
            refused(error, iot.register_ca_certificate, **dict(named, **more))
        made = iot.register_ca_certificate(
            **named, verificationCertificate=proof, registrationConfig=whole)
        expect(made["certificateId"] == fingerprint(pem) and
               made["certificateArn"].endswith(
                   ":cacert/" + made["certificateId"]), "made %s" % made)
        answer = refused("ResourceAlreadyExistsException",
                         iot.register_ca_certificate, **named,
                         verificationCertificate=proof)
        expect(answer["resourceId"] == made["certificateId"], "%s" % answer)
        one = {"certificateId": made["certificateId"]}
        described = iot.describe_ca_certificate(**one)
        about = described["certificateDescription"]
        expect(about["status"] == "INACTIVE" and
               about["autoRegistrationStatus"] == "DISABLE" and
               about["certificateMode"] == "DEFAULT" and
               about["certificatePem"].strip() == pem.strip() and
               described["registrationConfig"] == whole,
               "described as %s" % described)
        # Certificates under it: only while it is ACTIVE.
        _, _, unit = shop.issue("unit", "ca")
        register = iot.register_certificate
        refused("CertificateStateException", register, certificatePem=unit)
        iot.update_ca_certificate(**one, newStatus="ACTIVE")
        _, _, second = shop.issue("unit-b", "ca")
        done = register(certificatePem=unit)
        active = register(certificatePem=second, setAsActive=True)
        answer = refused("ResourceAlreadyExistsException", register,
                         certificatePem=unit)
        expect(answer["resourceId"] == done["certificateId"] ==
               fingerprint(unit), "conflict: %s" % answer)
        expect(status_of(iot, done["certificateId"]) == "INACTIVE" and
               status_of(iot, active["certificateId"]) == "ACTIVE", "status")
        about = iot.describe_certificate(certificateId=done["certificateId"])[
            "certificateDescription"]
        expect(about["caCertificateId"] == made["certificateId"] and
               about["certificateMode"] == "DEFAULT", "the unit is %s" % about)
        refused("CertificateValidationException", register,
                certificatePem=wrong)
        refused("CertificateValidationException", register,
                certificatePem=shop.self_signed("alone"))
        refused("InvalidRequestException", register, certificatePem=unit,
                status="PENDING_ACTIVATION")
        for size in (1, 25):
            ids = [item["certificateId"] for page in iot.get_paginator(
                "list_certificates_by_ca").paginate(
                    caCertificateId=made["certificateId"],
                    ascendingOrder=True, PaginationConfig={"PageSize": size})
                   for item in page["certificates"]]
            expect(ids == [done["certificateId"], active["certificateId"]],
                   "by CA: %s" % ids)
        expect(iot.list_certificates_by_ca(caCertificateId="0" * 64)[
            "certificates"] == [], "of an unknown CA")
        # One key and subject in two certificates: which of them?
        again = openssl("x509", "-in", shop.path("ca.pem"), "-signkey",
                        shop.path("ca.key"), "-days", "40", "-set_serial",
                        "99", "-extfile", shop.file("ext", "basicConstraints="
                                                    "critical,CA:TRUE"))
        twin = iot.register_ca_certificate(
            caCertificate=again.decode(), certificateMode="SNI_ONLY",
            setAsActive=True, allowAutoRegistration=True)
        _, _, third = shop.issue("unit-c", "ca")
        answer = refused("CertificateConflictException", register,
                         certificatePem=third)
        expect(answer["ResponseMetadata"]["HTTPStatusCode"] == 409, "409")
        with open(shop.path("other.pem"), encoding="utf-8") as file:
            refused("CertificateValidationException", register,
                    certificatePem=third, caCertificatePem=file.read())
        done = register(certificatePem=third, caCertificatePem=again.decode())
        about = iot.describe_certificate(certificateId=done["certificateId"])[
            "certificateDescription"]
        expect(about["certificateMode"] == "SNI_ONLY" and
               about["caCertificateId"] == twin["certificateId"],
               "under the twin: %s" % about)

        refused("CertificateStateException", iot.delete_ca_certificate, **one)
        two = {"certificateId": twin["certificateId"]}
        iot.update_ca_certificate(**two, registrationConfig=config)
        expect(iot.describe_ca_certificate(**two)["registrationConfig"] ==
               config and [item["certificateId"] for item in
                           iot.list_ca_certificates(templateName="j")[
                               "certificates"]] == [twin["certificateId"]],
               "with a template")
        refused("InvalidRequestException", iot.update_ca_certificate, **two,
                registrationConfig=config, removeAutoRegistration=True)
        refused("ResourceNotFoundException", iot.update_ca_certificate, **two,
                registrationConfig={"templateName": "none"})
        iot.update_ca_certificate(**two, removeAutoRegistration=True)
        described = iot.describe_ca_certificate(**two)
        expect("registrationConfig" not in described and
               described["certificateDescription"][
                   "autoRegistrationStatus"] == "DISABLE" and
               described["certificateDescription"]["customerVersion"] == 3,
               "without it: %s" % described)
        iot.update_ca_certificate(**two, newAutoRegistrationStatus="ENABLE",
                                  newStatus="INACTIVE")
        iot.delete_ca_certificate(**two)
        for call in (iot.describe_ca_certificate, iot.delete_ca_certificate,
                     iot.update_ca_certificate):
            refused("ResourceNotFoundException", call, **two)
        iot.delete_registration_code()
        expect(iot.get_registration_code()["registrationCode"] != code,
               "the same code")
        # At most ten of one subject.
        for number in range(11):
            key = shop.path("same-%d" % number)
            openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=same",
                    "-keyout", key + ".key", "-out", key + ".pem")
            with open(key + ".pem", encoding="utf-8") as file:
                named = {"caCertificate": file.read(),
                         "certificateMode": "SNI_ONLY"}
            if number < 10:
                iot.register_ca_certificate(**named)
            else:
                refused("LimitExceededException", iot.register_ca_certificate,
                        **named)
        for ascending in (False, True):
            ids = [item["certificateId"] for page in iot.get_paginator(
                "list_ca_certificates").paginate(
                    ascendingOrder=ascending, PaginationConfig={
                        "PageSize": 4}) for item in page["certificates"]]
            expect(len(ids) == 11 and ids.index(made["certificateId"]) ==
                   (0 if ascending else 10), "listed: %s" % ids)


def test_register_by_certificate(shop):
    """RegisterThing's form with a certificate of the customer's own CA."""
    with shop.bench() as bench:
        iot = bench.client()
        pem = shop.authority("maker")
        _, _, unit = shop.issue("made", "maker")
        body = json.dumps(single(
            {"ThingName": "own"},
            {"CertificatePem": ref("Pem"), "CACertificatePem": ref("CA")}))
        named = {"templateBody": body, "parameters": {"Pem": unit, "CA": pem}}
        refused("ResourceRegistrationFailureException", iot.register_thing,
                **named)
        iot.register_ca_certificate(caCertificate=pem, setAsActive=True,
                                    certificateMode="SNI_ONLY")
        for _ in range(2):
            done = iot.register_thing(**named)
            expect(fingerprint(done["certificatePem"]) == fingerprint(unit)
                   and status_of(iot, fingerprint(unit)) == "ACTIVE",
                   "done %s" % done)
        expect(len(iot.list_thing_principals(thingName="own")[
            "principals"]) == 1, "principals")


if __name__ == "__main__":
    sys.exit(run(globals(), "provisioning", Factory()))
