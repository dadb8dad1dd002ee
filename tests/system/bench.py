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
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
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
                 quantity=None, lot_edit=None):
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
        self.cloud = self.station = self.hands = None
        self.folder = None
        self.verdicts = []
        self.lock = threading.Lock()

    # ---- life ----

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="station-test.", dir="/tmp")
        os.chmod(self.folder, 0o755)
        for name in ("lots", "state", "bench", "logs"):
            os.mkdir(self.path(name))
        try:
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
        if kind is not None or results["failed"]:
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

    def cloud_start(self):
        out = open(self.path("logs", "cloud.log"), "ab")
        port = []
        self.cloud = subprocess.Popen(
            [os.path.join(BIN, "bench-cloud"), "--dir", self.path("cloud"),
             "--rates", self.rates, "--seed", str(self.seed),
             "--setup", os.path.join(TOP, "fixtures/cloud/demo.json")]
            + port, stdout=out, stderr=subprocess.STDOUT)
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
        conf = {}
        with open(os.path.join(folder, "bench.conf")) as lines:
            for word in lines.read().split():
                if "=" in word:
                    name, text = word.split("=", 1)
                    conf[name] = text
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
        subprocess.run(command + (["--faults"] if self.faults else []),
                       check=True, stdout=subprocess.DEVNULL)
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
        for name in ("claim.cert.pem", "claim.key.pem", "root-ca.pem"):
            shutil.copy(self.path("cloud", "claim", name), folder)
        os.chmod(os.path.join(folder, "claim.key.pem"), 0o600)
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
        if self.lot_edit:
            lot = self.lot_edit(lot)
        with open(lot_file, "w") as text:
            text.write(lot)

    def endpoint(self):
        with open(self.path("cloud", "endpoint")) as text:
            return text.read().strip()

    def config_write(self):
        lines = [
            "schema: 1", "station: test-bench", "site: test",
            "state: state", "ledger: state/ledger.sqlite", "lots: lots",
            "profiles: %s/fixtures/profiles" % TOP,
            "control:", "  socket: %s" % self.path("control.sock"),
            "clouds:", "  - name: bench", '    account: "123456789012"',
            "    region: eu-west-1",
            "    endpoint: %s" % self.endpoint(),
            "    sts_endpoint: %s" % self.endpoint(),
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
        self.hands = subprocess.Popen(
            [os.path.join(BIN, "bench-hands"), "--dir", self.path("bench"),
             "--slots", str(self.slots), "--units", self.path("plan.csv"),
             "--seed", str(self.seed), "--handling-ms", "20", "--device",
             os.path.join(BIN, "bench-device")] + options + list(more),
            stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
        out.close()

    def next_unit(self, slot):
        """The operator takes the unit out and puts the next one in."""
        self.hands.stdin.write(
            ('{"event":"verdict","slot":"%s"}\n' % slot).encode())
        self.hands.stdin.flush()

    def start(self):
        self.station_start()
        self.hands_start()

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
