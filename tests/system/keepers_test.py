#!/usr/bin/python3
"""The roles that keep keys in a running station: what the lot's CA signs,
with its key in a file, behind a passphrase or in a PKCS #11 token; the pair
of vault and cloud; what comes back when one of them is killed; and what is
gone when a lot is closed."""
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import BUILD, Bench, check, finish, wait_until  # noqa: E402

ROOT = os.geteuid() == 0
SANITIZED = "san" in os.path.basename(BUILD)
MODULE = "/usr/lib/softhsm/libsofthsm2.so"


# ---- processes and units ----

def role_process(bench, role):
    """The role's process in its sandbox, or None."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/cmdline" % entry, "rb") as line:
                words = line.read().split(b"\0")
            with open("/proc/%s/status" % entry) as text:
                status = dict(row.split(":\t", 1) for row in
                              text.read().splitlines() if ":\t" in row)
        except OSError:
            continue
        if int(status["PPid"]) == bench.station.pid and \
                words[1:3] == [b"--role", role.encode()] and \
                int(status.get("Seccomp_filters", "2")) >= 2:
            return int(entry)
    return None


def role_kill(bench, role):
    """SIGKILL; returns when another one is there."""
    before = wait_until(20, role, lambda: role_process(bench, role))
    os.kill(before, signal.SIGKILL)
    wait_until(20, "another " + role, lambda:
               role_process(bench, role) not in (None, before))


def unit_make(bench, first=False):
    """The next unit's verdict."""
    before = None if first else bench.status()["slots"][0]["attempt"]
    if first:
        bench.hands_start()
    else:
        bench.next_unit("1")

    def judged():
        slot = bench.status()["slots"][0]
        return slot if slot["state"] == "done" and slot["verdict"] and \
            slot["attempt"] != before else None
    return wait_until(60, "a verdict", judged)


def unit_passes(bench, name, first=False):
    done = unit_make(bench, first)
    check(name, done["verdict"] == "PASS",
          (done["verdict"], done["cause"], done["text"]))


def lot_open(bench, name):
    result = bench.command("lot", "open", bench.lot)
    check(name, result.returncode == 0, result.stderr + result.stdout)


def lot_refused(bench, name, text):
    result = bench.command("lot", "open", bench.lot)
    said = result.stderr + result.stdout
    check(name, result.returncode != 0 and text in said, said)


# ---- certificates ----

def issued(bench):
    return [row[0] for row in bench.sql(
        "SELECT certificate FROM outcome WHERE kind = 'issue' AND "
        "certificate != ''")]


def certificates_check(bench, what, wanted):
    """Each verifies as a TLS client's with the lot's CA, by `openssl`."""
    pems = issued(bench)
    check("%s: %d certificates stand in the ledger" % (what, wanted),
          len(pems) == wanted, len(pems))
    numbers = set()
    for pem in pems:
        with open(bench.path("unit.pem"), "w") as out:
            out.write(pem)
        verified = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", "sslclient",
             "-CAfile", bench.path("lots", bench.lot, "ca.pem"),
             bench.path("unit.pem")], capture_output=True, text=True)
        check("%s: openssl verifies it" % what, verified.returncode == 0,
              verified.stderr + verified.stdout)
        text = subprocess.run(
            ["openssl", "x509", "-in", bench.path("unit.pem"), "-noout",
             "-serial", "-subject", "-ext",
             "basicConstraints,keyUsage,extendedKeyUsage"],
            capture_output=True, text=True, check=True).stdout
        check("%s: it is a unit's and no more" % what,
              all(word in text for word in (
                  "CA:FALSE", "Digital Signature", "Client Authentication",
                  "CN = device-TEST-")), text)
        numbers.add(re.search("serial=([0-9A-F]+)", text).group(1))
    check("%s: every one has a number of its own" % what,
          len(numbers) == len(pems) and
          all(len(number) == 40 for number in numbers), numbers)


# ---- what is in memory ----

def secret_lines(path):
    """The lines of a key's PEM that are not of its public part alone."""
    with open(path) as text:
        lines = [line for line in text.read().split("\n")
                 if line and not line.startswith("-----")]
    return [line.encode() for line in lines[:-1]][1:]


def memory_has(pid, needles):
    found = set()
    with open("/proc/%d/maps" % pid) as maps, \
            open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            area, rights = line.split()[:2]
            at, end = (int(word, 16) for word in area.split("-"))
            if rights[0] != "r" or "[v" in line or end - at > 1 << 28:
                continue
            try:
                memory.seek(at)
                part = memory.read(end - at)
            except OSError:
                continue
            found.update(needle for needle in needles if needle in part)
    return found


# ---- the tests ----

def file_key():
    """A CA's key in a file, encrypted; the vault is killed in between."""
    with Bench("demo-jitp", units=4, slots=1, lot_edit=lambda lot: lot.replace(
            "key: ca.key.pem",
            "key: ca.key.pem\n  passphrase_file: ca.pass")) as bench:
        folder = bench.path("lots", bench.lot)
        key = os.path.join(folder, "ca.key.pem")

        def passphrase(text, mode=0o600):
            path = os.path.join(folder, "ca.pass")
            with open(path, "w") as out:
                out.write(text + "\n")
            os.chmod(path, mode)
        subprocess.run(
            ["openssl", "pkcs8", "-topk8", "-in", key, "-out", key + ".new",
             "-passout", "pass:open sesame"], check=True)
        os.chmod(key + ".new", 0o600)
        os.rename(key + ".new", key)
        bench.station_start()
        passphrase("open barley")
        lot_refused(bench, "passphrase: a wrong one is refused at opening",
                    "cannot be decrypted")
        passphrase("open sesame", 0o644)
        lot_refused(bench, "passphrase: one that others read is refused",
                    "chmod 600")
        passphrase("open sesame")
        lot_open(bench, "passphrase: with the right one the lot opens")
        unit_passes(bench, "vault: a unit gets its certificate", True)
        role_kill(bench, "vault")
        unit_passes(bench, "vault: killed, it has the key again")
        # The line is not asked: what is under way waits for the vault.
        os.kill(role_process(bench, "vault"), signal.SIGKILL)
        unit_passes(bench, "vault: a unit waits for one that is away")
        certificates_check(bench, "vault", 3)
        things = bench.cloud_certificates()
        check("vault: nothing of it is in the cloud yet", not things, things)


class Token:
    """A SoftHSM token in the bench's folder, with the lot's CA key."""

    def __init__(self, bench):
        self.bench = bench
        self.folder = bench.path("softhsm")
        os.makedirs(os.path.join(self.folder, "tokens"))
        self.conf = os.path.join(self.folder, "softhsm2.conf")
        with open(self.conf, "w") as out:
            out.write("directories.tokendir = %s/tokens\n"
                      "objectstore.backend = file\nlog.level = ERROR\n"
                      % self.folder)
        self.run("softhsm2-util", "--init-token", "--free", "--label",
                 "station", "--pin", "4711", "--so-pin", "12345678")
        key = bench.path("lots", bench.lot, "ca.key.pem")
        pkcs8 = os.path.join(self.folder, "import.pem")
        self.run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", key,
                 "-out", pkcs8)
        self.run("softhsm2-util", "--import", pkcs8, "--token", "station",
                 "--label", "lot-ca", "--id", "01", "--pin", "4711")
        os.unlink(pkcs8)
        # From here on the key is in the token alone.
        os.unlink(key)
        with open(bench.path("station.yaml"), "a") as out:
            out.write("pkcs11:\n  module: %s\n  paths: [%s]\n"
                      % (MODULE, self.folder))

    def run(self, *command):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, SOFTHSM2_CONF=self.conf))

    def pin_file(self, pin):
        path = self.bench.path("lots", self.bench.lot, "ca.pin")
        with open(path, "w") as out:
            out.write(pin + "\n")
        os.chmod(path, 0o600)


def hsm_confined(bench):
    pid = wait_until(20, "hsm", lambda: role_process(bench, "hsm"))
    check("hsm: it lives in its sandbox", True)
    if not ROOT:
        print("# not root: what the hsm role holds is not shown")
        return
    held = [os.readlink("/proc/%d/fd/%s" % (pid, name))
            for name in os.listdir("/proc/%d/fd" % pid)]
    stray = [name for name in held if not (
        name == "/dev/null" or name.startswith(("socket:", "/memfd:")) or
        name.startswith((bench.path("softhsm"), bench.path("logs"))))]
    check("hsm: it holds sockets, its job and the token's files", not stray,
          stray)
    with open("/proc/%d/environ" % pid, "rb") as text:
        names = {word.split(b"=")[0] for word in text.read().split(b"\0")}
    check("hsm: SOFTHSM2_CONF reaches it", b"SOFTHSM2_CONF" in names, names)
    check("hsm: no credential does",
          not [name for name in names if name.startswith(b"AWS_")], names)


def token_key():
    """A CA's key in a token; the hsm role is killed in between."""
    if not os.path.exists(MODULE):
        check("SoftHSM is installed (package softhsm2)", False, MODULE)
        return
    with Bench("demo-jitp", units=4, slots=1, lot_edit=lambda lot: lot.replace(
            "key: ca.key.pem", "key: pkcs11:token=station;object=lot-ca\n"
            "  pin_file: ca.pin")) as bench:
        token = Token(bench)
        bench.station_start(SOFTHSM2_CONF=token.conf,
                            AWS_EXAMPLE="secret")
        hsm_confined(bench)
        token.pin_file("1234")
        lot_refused(bench, "hsm: a wrong PIN is refused at opening",
                    "the PIN is wrong")
        lot_refused(bench, "hsm: it is not tried twice",
                    "has refused this PIN before")
        token.pin_file("4711")
        lot_open(bench, "hsm: with the right one the lot opens")
        unit_passes(bench, "hsm: a unit gets its certificate", True)
        role_kill(bench, "hsm")
        unit_passes(bench, "hsm: killed, it is logged in again")
        role_kill(bench, "vault")
        os.kill(role_process(bench, "hsm"), signal.SIGKILL)
        unit_passes(bench, "hsm: a unit waits for one that is away")
        certificates_check(bench, "hsm", 3)
        # The whole daemon: the lot is opened again from its frozen copy.
        bench.end(bench.station)
        bench.station_start(SOFTHSM2_CONF=token.conf)
        unit_passes(bench, "hsm: after a restart of the daemon")


def no_token():
    """A lot whose key is in a token, on a station without one."""
    with Bench("demo-jitp", units=1, slots=1, lot_edit=lambda lot: lot.replace(
            "key: ca.key.pem",
            "key: pkcs11:token=station;object=lot-ca")) as bench:
        bench.station_start()
        lot_refused(bench, "no token: the lot says what is missing", "pkcs11")
        check("no token: no hsm role is there",
              role_process(bench, "hsm") is None)


def joined(lot, what):
    """A lot whose units need the vault and cloud together."""
    with Bench(lot, units=4, slots=1) as bench:
        bench.station_start()
        lot_open(bench, "%s: the lot opens" % what)
        unit_passes(bench, "%s: a unit passes" % what, True)
        role_kill(bench, "vault")
        unit_passes(bench, "%s: with another vault" % what)
        role_kill(bench, "cloud")
        unit_passes(bench, "%s: with another cloud" % what)
        role_kill(bench, "cloud")
        role_kill(bench, "vault")
        unit_passes(bench, "%s: with others of both" % what)


def closed():
    """A lot that is closed leaves nothing in the vault."""
    if not ROOT or SANITIZED:
        print("# not root, or a sanitizer's build, whose memory tells "
              "nothing: what a closed lot leaves is left out")
        return
    with Bench("demo", units=2, slots=1) as bench:
        bench.station_start()
        lot_open(bench, "closed: the lot opens")
        unit_passes(bench, "closed: a unit gets the claim", True)
        needles = secret_lines(
            bench.path("lots", bench.lot, "claim.key.pem"))
        vault = role_process(bench, "vault")
        check("closed: before, the key is in the vault",
              bool(memory_has(vault, needles)), len(needles))
        bench.command("lot", "close", bench.lot, check_status=0)
        check("closed: it is gone", wait_until(
            10, "the key's end", lambda: not memory_has(vault, needles)))


TESTS = {
    "file_key": file_key,
    "token_key": token_key,
    "no_token": no_token,
    "proxy": lambda: joined("demo-claim-proxy", "proxy"),
    "aws_keys": lambda: joined("demo-claim-keys", "AWS's keys"),
    "trusted_user": lambda: joined("demo-trusted-user", "trusted user"),
    "closed": closed,
}


if __name__ == "__main__":
    only = sys.argv[1:]
    for name, test in TESTS.items():
        if only and name not in only:
            continue
        started = time.monotonic()
        try:
            test()
        except Exception as error:  # a test that breaks is a failed one
            check(name, False, repr(error))
        print("# %s: %.1f s" % (name, time.monotonic() - started),
              flush=True)
    finish()
