"""A whole bench for the system tests: cloud, hands, stationd, in a folder
of its own under /tmp, on ephemeral ports, gone afterwards.

    with Bench(lot="demo", units=4, slots=2) as bench:
        bench.start()
        bench.open_lot()
        ...

What is checked in the cloud is asked for by boto3, never by `station`.
"""
import csv
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import termios
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
BIN = os.path.join(BUILD, "bin")

results = {"passed": 0, "failed": 0}


def check(name, good, why=""):
    """Prints one TAP-like line; returns whether it was good."""
    if good:
        results["passed"] += 1
        print("ok - %s" % name, flush=True)
    else:
        results["failed"] += 1
        print("not ok - %s: %s" % (name, why), flush=True)
    return bool(good)


def finish():
    sys.exit(1 if results["failed"] else 0)


def wait_until(seconds, what, function):
    """Polls until the function gives something true; raises otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        value = function()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError("%s: not within %d s" % (what, seconds))
        time.sleep(0.02)


class Bench:
    def __init__(self, lot="demo", units=4, slots=2, seed=1, faults=False,
                 rates="none", real_time=False, environment=None,
                 alarm=None, serial_from=None, plan=None, profile=None,
                 quantity=None, lot_edit=None, cloud_options=()):
        self.lot = lot
        self.units = units
        self.slots = slots
        self.seed = seed
        self.faults = faults
        self.rates = rates
        self.real_time = real_time
        self.environment = environment or {}
        self.alarm = alarm
        self.serial_from = serial_from
        self.plan = plan
        self.profile = profile
        self.quantity = quantity
        self.lot_edit = lot_edit
        self.cloud_options = list(cloud_options)
        self.conf = {}
        self.cloud = self.station = self.hands = None
        self.folder = None
        self.verdicts = []
        self.lock = threading.Lock()

    # ---- life ----

    def __enter__(self):
        self.failed_before = results["failed"]
        self.folder = tempfile.mkdtemp(prefix="station-test.", dir="/tmp")
        os.chmod(self.folder, 0o755)
        for name in ("lots", "state", "bench", "logs"):
            os.mkdir(self.path(name))
        try:
            self.conf_read()
            self.cloud_start()
            self.lot_make()
            self.config_write()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        for process in (self.station, self.hands, self.cloud):
            self.end(process)
        if kind is not None or results["failed"] > self.failed_before:
            self.tell_logs()
        if os.environ.get("KEEP"):
            print("# kept: %s" % self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def tell_logs(self):
        for name in ("stationd.log", "cloud.log", "batch.log"):
            try:
                with open(self.path("logs", name), errors="replace") as log:
                    for line in log.readlines()[-25:]:
                        print("# %s: %s" % (name, line.rstrip()))
            except OSError:
                pass

    @staticmethod
    def end(process):
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    # ---- parts ----

    def conf_read(self):
        """What the lot wants of the bench."""
        with open(os.path.join(TOP, "lots", self.lot, "bench.conf")) as lines:
            for line in lines:
                if not line.startswith("#"):
                    self.conf.update(word.split("=", 1)
                                     for word in line.split())

    def cloud_start(self):
        out = open(self.path("logs", "cloud.log"), "ab")
        self.cloud = subprocess.Popen(
            [os.path.join(BIN, "bench-cloud"), "--dir", self.path("cloud"),
             "--rates", self.rates, "--seed", str(self.seed),
             "--setup", os.path.join(TOP, "fixtures/cloud/demo.json")]
            + (["--bucket", self.conf["bucket"]] if "bucket" in self.conf
               else []) + self.cloud_options, stdout=out, stderr=subprocess.STDOUT)
        out.close()

        def ready():
            if self.cloud.poll() is not None:
                raise RuntimeError("bench-cloud ended")
            with open(self.path("logs", "cloud.log")) as log:
                return "ready" in log.read()
        wait_until(30, "bench-cloud", ready)

    def lot_make(self):
        folder = self.path("lots", self.lot)
        shutil.copytree(os.path.join(TOP, "lots", self.lot), folder)
        conf = self.conf
        self.chip = conf["chip"]
        subprocess.run(
            [os.path.join(BIN, "bench-firmware"), "--out",
             os.path.join(folder, "firmware"), "--chip", conf["chip"],
             "--app-kib", conf["app_kib"], "--version", conf["version"],
             "--seed", conf["firmware_seed"]], check=True,
            stdout=subprocess.DEVNULL)
        command = [os.path.join(BIN, "bench-units"), "--units",
                   str(self.units), "--seed", str(self.seed), "--chip",
                   self.chip, "--prefix", "TEST", "--manifest",
                   os.path.join(folder, "manifest.csv"), "--plan",
                   self.path("plan.csv")]
        if self.faults:
            command.append("--faults" + (
                "=" + conf["faulty"] if "faulty" in conf else ""))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        manifest = os.path.join(folder, "manifest.csv")
        with open(manifest, newline="") as text:
            rows = list(csv.reader(text))
        self.manifest = [dict(zip(rows[0], row)) for row in rows[1:]]
        with open(manifest, "w", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(rows[0] + ["revision"])
            writer.writerows(row + ["A"] for row in rows[1:])
        if self.plan is not None:
            self.plan(self)
        self.lot_files(folder)
        lot_file = os.path.join(folder, "lot.yaml")
        with open(lot_file) as text:
            lot = text.read()
        lot = re.sub(r"(?m)^quantity:.*", "quantity: %d" %
                     (self.quantity or self.units), lot)
        lot = re.sub(r"(?m)^( +)limit:.*", r"\1limit: %d" %
                     (4 * (self.quantity or self.units) + 20), lot)
        if self.serial_from:
            lot = re.sub(r"(?m)^serial_from:.*",
                         "serial_from: " + self.serial_from, lot)
        if self.profile:
            lot = re.sub(r"(?m)^profile:.*", "profile: " + self.profile, lot)
        if self.mqtt_endpoint():
            lot = re.sub(r"(?m)^endpoint:.*",
                         "endpoint: " + self.mqtt_endpoint(), lot)
        if self.lot_edit:
            lot = self.lot_edit(lot)
        with open(lot_file, "w") as text:
            text.write(lot)

    def lot_files(self, folder):
        """What the lot has from its customer and from AWS: claim, CAs, the
        factory's Wi-Fi."""
        def bring(source, name, mode=0o644):
            shutil.copy(self.path("cloud", *source),
                        os.path.join(folder, name))
            os.chmod(os.path.join(folder, name), mode)

        bring(("claim", "claim.cert.pem"), "claim.cert.pem")
        bring(("claim", "claim.key.pem"), "claim.key.pem", 0o600)
        bring(("claim", "root-ca.pem"), "root-ca.pem")
        if "ca" in self.conf:
            bring((self.conf["ca"], "ca.pem"), "ca.pem")
            bring((self.conf["ca"], "ca.key.pem"), "ca.key.pem", 0o600)
        if "birth" in self.conf:
            bring((self.conf["birth"], "ca.pem"), "birth-ca.pem")
        if "wifi" in self.conf:
            password = "pw-%016x" % random.Random(self.seed).getrandbits(64)
            for name, text in (
                    (os.path.join(folder, "wifi.password"), password),
                    (self.path("wifi"), "%s\n%s" % (self.conf["wifi"],
                                                    password))):
                with open(name, "w") as out:
                    out.write(text + "\n")
                os.chmod(name, 0o600)

    def cloud_file(self, name):
        """A line that bench-cloud has written, or None."""
        try:
            with open(self.path("cloud", name)) as text:
                return text.read().strip()
        except FileNotFoundError:
            return None

    def endpoint(self):
        return self.cloud_file("endpoint")

    def mqtt_endpoint(self):
        return self.cloud_file("mqtt-endpoint")

    def config_write(self):
        lines = [
            "schema: 1", "station: test-bench", "site: test",
            "state: state", "ledger: state/ledger.sqlite", "lots: lots",
            "profiles: %s/fixtures/profiles" % TOP,
            "control:", "  socket: %s" % self.path("control.sock"),
            "clouds:", "  - name: bench", '    account: "123456789012"',
            "    region: eu-west-1",
            "    endpoint: %s" % self.endpoint(),
            "    sts_endpoint: %s" % self.endpoint()] + (
                ["    s3_endpoint: %s" % self.cloud_file("s3-endpoint")]
                if self.cloud_file("s3-endpoint") else []) + [
            "    ca_file: cloud/ca.pem",
            "    credentials: {source: file, file: cloud/credentials,"
            " profile: bench}",
            "slots:"]
        for number in range(1, self.slots + 1):
            lines.append('  - {name: "%d", port: %s, lines: %s}' % (
                number, self.path("bench", "slot%d" % number),
                self.path("bench", "slot%d.lines" % number)))
        if self.alarm:
            lines.append("alarm: %s" % self.alarm)
        with open(self.path("station.yaml"), "w") as text:
            text.write("\n".join(lines) + "\n")

    def station_start(self, wait=True, **more):
        environment = dict(os.environ, **self.environment)
        environment.update(more)
        out = open(self.path("logs", "stationd.log"), "ab")
        self.station = subprocess.Popen(
            [os.path.join(BIN, "stationd"), "-c", self.path("station.yaml")],
            stdout=out, stderr=subprocess.STDOUT, env=environment)
        out.close()
        if wait:
            wait_until(30, "stationd",
                       lambda: self.status(quiet=True) is not None)

    def hands_start(self, *more):
        out = open(self.path("logs", "hands.log"), "ab")
        options = ["--real-time"] if self.real_time else []
        device = []
        if "wifi" in self.conf:
            device += ["--wifi", self.path("wifi")]
        if "birth" in self.conf:
            device += ["--birth", self.path("cloud", self.conf["birth"])]
        self.hands = subprocess.Popen(
            [os.path.join(BIN, "bench-hands"), "--dir", self.path("bench"),
             "--slots", str(self.slots), "--units", self.path("plan.csv"),
             "--seed", str(self.seed), "--handling-ms", "20", "--device",
             os.path.join(BIN, "bench-device")] + options + list(more) +
            ["--"] + device,
            stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
        out.close()

    def hands_end(self):
        """The operator clears the fixture; units keep what they are."""
        self.end(self.hands)
        self.hands = None

    def next_unit(self, slot):
        """The operator takes the unit out and puts the next one in."""
        self.hands.stdin.write(
            ('{"event":"verdict","slot":"%s"}\n' % slot).encode())
        self.hands.stdin.flush()

    def start(self):
        self.station_start()
        self.hands_start()

    def unit_says(self, row, command, pattern):
        """Asks a unit that is in no slot at its console: the match."""
        link = self.path("bench", "asked-" + row["serial"])
        device = subprocess.Popen(
            [os.path.join(BIN, "bench-device"), "--link", link, "--chip",
             self.chip, "--mac", row["mac"], "--serial", row["serial"],
             "--heartbeat-ms", "0", "--state",
             self.path("bench", "unit-%s.flash" % row["serial"])],
            stderr=subprocess.DEVNULL)
        port = -1
        heard = b""
        try:
            wait_until(10, "the unit's port", lambda: os.path.exists(link))
            port = os.open(link, os.O_RDWR | os.O_NOCTTY)
            mode = termios.tcgetattr(port)
            mode[0] = mode[1] = mode[3] = 0
            mode[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
            mode[4] = mode[5] = termios.B115200
            termios.tcsetattr(port, termios.TCSANOW, mode)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                os.write(port, b"\x03" + command.encode() + b"\r")
                while select.select([port], [], [], 0.3)[0]:
                    heard += os.read(port, 4096)
                    found = re.search(pattern, heard)
                    if found:
                        return found
            raise TimeoutError("%s: %r" % (row["serial"], heard[-200:]))
        finally:
            if port != -1:
                os.close(port)
            self.end(device)

    # ---- the operator's command ----

    def command(self, *arguments, timeout=60, check_status=None, **more):
        result = subprocess.run(
            [os.path.join(BIN, "station"), "--socket",
             self.path("control.sock")] + list(arguments),
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout, **more)
        if check_status is not None and result.returncode != check_status:
            raise RuntimeError("station %s: status %d: %s" % (
                " ".join(arguments), result.returncode, result.stderr))
        return result

    def status(self, quiet=False):
        result = self.command("status", "--json")
        if result.returncode != 0:
            if quiet:
                return None
            raise RuntimeError(result.stderr)
        answer = json.loads(result.stdout)
        return answer.get("snapshot", answer)

    def batch(self, *options, to_hands=True):
        """Starts `station batch`; its verdicts go to self.verdicts and to
        the hands, which then take the next unit."""
        log = open(self.path("logs", "batch.log"), "ab")
        process = subprocess.Popen(
            [os.path.join(BIN, "station"), "--socket",
             self.path("control.sock"), "batch", self.lot] + list(options),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            text=True)
        log.close()

        def pump():
            for line in process.stdout:
                event = json.loads(line)
                with self.lock:
                    self.verdicts.append(event)
                if to_hands and event.get("event") == "verdict" and \
                        self.hands and \
                        self.hands.poll() is None:
                    try:
                        self.hands.stdin.write(line.encode())
                        self.hands.stdin.flush()
                    except OSError:
                        pass
        process.pump = threading.Thread(target=pump, daemon=True)
        process.pump.start()
        return process

    def wait_batch(self, process, seconds=120):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        process.pump.join(10)
        return process.returncode

    def judged(self):
        with self.lock:
            return [event for event in self.verdicts
                    if event.get("event") == "verdict"]

    # ---- what is true ----

    def sql(self, query, *values):
        database = sqlite3.connect("file:%s?mode=ro" % self.path(
            "state", "ledger.sqlite"), uri=True, timeout=10)
        try:
            return database.execute(query, values).fetchall()
        finally:
            database.close()

    def iot(self):
        import boto3.session
        from botocore.config import Config
        keys = {}
        with open(self.path("cloud", "credentials")) as text:
            for line in text:
                if "=" in line:
                    name, value = line.split("=", 1)
                    keys[name.strip()] = value.strip()
        # The default session is not for several threads.
        return boto3.session.Session().client(
            "iot", endpoint_url=self.endpoint(), region_name="eu-west-1",
            verify=self.path("cloud", "ca.pem"),
            aws_access_key_id=keys["aws_access_key_id"],
            aws_secret_access_key=keys["aws_secret_access_key"],
            config=Config(retries={"max_attempts": 3}))

    def aws(self, service, *arguments):
        """What Debian's aws says, as a Python value."""
        environment = dict(
            os.environ, AWS_SHARED_CREDENTIALS_FILE=self.path(
                "cloud", "credentials"), AWS_PROFILE="bench",
            AWS_CONFIG_FILE="/dev/null", AWS_DEFAULT_REGION="eu-west-1",
            AWS_CA_BUNDLE=self.path("cloud", "ca.pem"), AWS_PAGER="",
            AWS_EC2_METADATA_DISABLED="true", AWS_MAX_ATTEMPTS="5")
        result = subprocess.run(
            ["aws", "--endpoint-url", self.endpoint(), "--output", "json",
             service] + list(arguments), env=environment,
            capture_output=True, text=True, timeout=60)
        if result.returncode != 0:
            raise RuntimeError("aws %s: %s" % (" ".join(arguments),
                                               result.stderr.strip()))
        return json.loads(result.stdout or "null")

    def faults_set(self, rules):
        """Gives the bench's cloud rules to misbehave by."""
        path = self.path("cloud", "faults.json")
        with open(path + ".new", "w") as out:
            json.dump(rules, out)
        os.rename(path + ".new", path)

    def cloud_things(self):
        iot = self.iot()
        things, token = {}, {}
        while True:
            page = iot.list_things(maxResults=250, **token)
            for thing in page["things"]:
                things[thing["thingName"]] = thing
            if not page.get("nextToken"):
                return things
            token = {"nextToken": page["nextToken"]}

    def cloud_certificates(self):
        """All but the claim: id -> status."""
        iot = self.iot()
        found, token = {}, {}
        while True:
            page = iot.list_certificates(pageSize=250, **token)
            for entry in page["certificates"]:
                found[entry["certificateId"]] = entry["status"]
            if not page.get("nextMarker"):
                break
            token = {"marker": page["nextMarker"]}
        with open(self.path("cloud", "claim", "claim.cert.pem")) as text:
            pem = text.read()
        import hashlib
        import ssl
        claim = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        found.pop(claim, None)
        return found

    def report(self):
        path = self.path("report.csv")
        result = self.command("report", self.lot, "-o", path)
        if result.returncode != 0:
            raise RuntimeError("report: " + result.stderr)
        with open(path, newline="") as text:
            return list(csv.DictReader(text)), result.stderr
