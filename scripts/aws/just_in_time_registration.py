"""AWS Lambda: activates certificates that were registered just in time.

A rule on $aws/events/certificates/registered/+ calls it when a unit with a
certificate of a registered CA has connected for the first time. The certificate
becomes ACTIVE only if the station has registered the unit before: a thing whose
attribute serial is the common name of the certificate's subject, and that has
no other certificate. The policy and the thing are attached first.

Environment:
  POLICY_NAME        policy of the units, required
  SERIAL_ATTRIBUTE   name of the thing's attribute; default serial
  BENCH_ENDPOINT     address of a bench that stands for AWS IoT

Permissions: iot:DescribeCertificate, iot:ListThings, iot:ListThingPrincipals,
iot:AttachPolicy, iot:AttachThingPrincipal, iot:UpdateCertificate. Every step
may be repeated: AWS calls a function again that has failed.
"""

import os
import ssl

import boto3

CLIENT = boto3.client("iot", endpoint_url=os.environ.get("BENCH_ENDPOINT"))

COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3


def elements(der):
    """The tags and contents of DER elements that stand one after another."""
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7f
            length, at = int.from_bytes(der[at:at + size], "big"), at + size
        yield tag, der[at:at + length]
        at += length


def common_name(pem):
    """The common name of a certificate's subject (RFC 5280, 4.1); or None."""
    _, certificate = next(elements(ssl.PEM_cert_to_DER_cert(pem)))
    _, body = next(elements(certificate))
    # serial number, algorithm, issuer, validity, subject: after the version
    fields = [content for tag, content in elements(body) if tag != 0xa0]
    for _, part in elements(fields[4]):
        for _, pair in elements(part):
            (_, kind), (_, value) = elements(pair)
            if kind == COMMON_NAME:
                return value.decode("utf-8")
    return None


def thing_find(serial, principal):
    """The thing of the serial, free or this certificate's already; or None."""
    attribute = os.environ.get("SERIAL_ATTRIBUTE", "serial")
    things = CLIENT.list_things(attributeName=attribute, attributeValue=serial,
                                maxResults=2)["things"]
    if len(things) != 1:
        return None
    name = things[0]["thingName"]
    attached = CLIENT.list_thing_principals(thingName=name)["principals"]
    return name if attached in ([], [principal]) else None


def lambda_handler(event, context):
    """The rule's entry."""
    del context
    certificate = CLIENT.describe_certificate(
        certificateId=event["certificateId"])["certificateDescription"]
    if certificate["status"] != "PENDING_ACTIVATION":
        return {"activated": False, "why": certificate["status"]}
    serial = common_name(certificate["certificatePem"])
    arn = certificate["certificateArn"]
    name = thing_find(serial, arn) if serial else None
    if name is None:
        print("left alone: %s of %r has no thing that waits" % (
            event["certificateId"], serial))
        return {"activated": False, "why": "not registered by the station"}
    CLIENT.attach_policy(policyName=os.environ["POLICY_NAME"], target=arn)
    CLIENT.attach_thing_principal(thingName=name, principal=arn)
    CLIENT.update_certificate(certificateId=event["certificateId"],
                              newStatus="ACTIVE")
    return {"activated": True, "thing": name}
