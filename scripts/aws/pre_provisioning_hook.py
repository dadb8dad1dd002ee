"""AWS Lambda: pre-provisioning hook of a fleet provisioning template.

Allows a unit only if the station has registered it before: a thing whose
attribute serial is the parameter SerialNumber, and that has no certificate yet.
So a claim certificate that has leaked makes no thing that the factory has not
made, and no second identity for one that it has.

Environment, all optional:
  THING_NAME         the thing's name, with {serial} in it, as the template
                     makes it: device-{serial}. Then the thing is looked up by
                     its name; else by its attribute, which AWS allows 10 times
                     a second.
  SERIAL_PARAMETER   name of the parameter; default SerialNumber
  SERIAL_ATTRIBUTE   name of the thing's attribute; default serial
  BENCH_ENDPOINT     address of a bench that stands for AWS IoT

Permissions: iot:DescribeThing, iot:ListThings, iot:ListThingPrincipals. AWS IoT
needs lambda:InvokeFunction, with the template's ARN as the source.

AWS waits five seconds and takes everything but allowProvisioning true for a
refusal: so does this function whenever anything goes wrong.
"""

import os
import re

import boto3
import botocore.config

SERIAL = re.compile(r"[A-Za-z0-9_.,@/:#=\[\]-]{1,800}")

# A call that hangs is not worth waiting for longer than AWS does.
CLIENT = boto3.client(
    "iot", endpoint_url=os.environ.get("BENCH_ENDPOINT"),
    config=botocore.config.Config(
        connect_timeout=1, read_timeout=2,
        retries={"total_max_attempts": 3, "mode": "standard"}))


class Refusal(Exception):
    """Why a unit may not be provisioned."""


def serial_read(parameters):
    """The serial number that the device sent; names count by their case."""
    name = os.environ.get("SERIAL_PARAMETER", "SerialNumber")
    serial = parameters.get(name)
    if serial is None:
        alike = [other for other in parameters
                 if other.lower() == name.lower()]
        raise Refusal("no parameter %s%s" % (
            name, ", only " + alike[0] if alike else ""))
    if not isinstance(serial, str) or not SERIAL.fullmatch(serial):
        raise Refusal("the serial number has characters that no thing has")
    return serial


def thing_find(serial):
    """The name of the thing that the station has made for the serial."""
    attribute = os.environ.get("SERIAL_ATTRIBUTE", "serial")
    pattern = os.environ.get("THING_NAME")
    if pattern is not None:
        name = pattern.replace("{serial}", serial)
        try:
            thing = CLIENT.describe_thing(thingName=name)
        except CLIENT.exceptions.ResourceNotFoundException:
            raise Refusal("there is no thing %s" % name) from None
        if thing.get("attributes", {}).get(attribute) != serial:
            raise Refusal("thing %s is not of this serial" % name)
        return name
    things = CLIENT.list_things(attributeName=attribute, attributeValue=serial,
                                maxResults=2)["things"]
    # The serial must be the attribute's whole value, and one thing's alone.
    things = [thing for thing in things
              if thing.get("attributes", {}).get(attribute) == serial]
    if len(things) != 1:
        raise Refusal("%d things have this serial" % len(things))
    return things[0]["thingName"]


def check(event):
    """Raises Refusal, or whatever the cloud raises."""
    serial = serial_read(event.get("parameters") or {})
    name = thing_find(serial)
    if CLIENT.list_thing_principals(thingName=name)["principals"]:
        raise Refusal("thing %s has a certificate already" % name)
    return name


def lambda_handler(event, context):
    """AWS IoT's entry."""
    del context
    try:
        name = check(event)
    except Exception as error:  # whatever it is, the unit is not let in
        print("refused: claim %s, client %r: %s" % (
            event.get("claimCertificateId"), event.get("clientId"), error))
        return {"allowProvisioning": False}
    print("allowed: %s, certificate %s" % (name, event.get("certificateId")))
    return {"allowProvisioning": True, "parameterOverrides": {}}
