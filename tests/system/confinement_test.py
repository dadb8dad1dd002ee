#!/usr/bin/python3
"""What a running station's processes may do and hold: filters, capabilities,
limits, environment, descriptors, secrets; who reaches the control socket;
and that fifty attempts leave nothing behind."""
import base64
import fcntl
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import BUILD, Bench, check, finish, wait_until  # noqa: E402

ROOT = os.geteuid() == 0
SANITIZED = "san" in os.path.basename(BUILD)
NOBODY = 65534
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | \
    fcntl.F_SEAL_WRITE
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, for files of other users; only
# where the daemon runs as root and without a user of its own.
FILES = 0x6
CAPABILITIES = {"parent": FILES, "ledger": FILES, "cloud": FILES,
                "load": FILES, "report": FILES, "line": 0, "vault": 0,
                "slot": 0}
LASTING = ("line", "ledger", "cloud", "vault")


# ---- /proc ----

def read_proc(pid, name):
    with open("/proc/%d/%s" % (pid, name), "rb") as data:
        return data.read()


def processes(bench):
    """Role -> its processes' ids, of this bench's daemon."""
    found = {"parent": [bench.station.pid]}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = read_proc(int(entry), "stat").rsplit(b")", 1)[1].split()
            words = read_proc(int(entry), "cmdline").split(b"\0")
        except OSError:
            continue
        if int(fields[1]) == bench.station.pid and fields[0] != b"Z" and \
                len(words) > 2 and words[1] == b"--role":
            found.setdefault(words[2].decode(), []).append(int(entry))
    return found


def lasting(bench):
    """All that live always, once they are confined."""
    def there():
        found = processes(bench)
        if all(len(found.get(role, ())) == 1 for role in LASTING) and all(
                status(found[role][0])["Seccomp"] == "2" for role in LASTING):
            return found
        return None
    return wait_until(20, "the lasting roles in their sandboxes", there)


def status(pid):
    return dict(line.split(":\t", 1) for line in
                read_proc(pid, "status").decode().splitlines()
                if ":\t" in line)


def descriptors(pid):
    found = {}
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            found[int(name)] = os.readlink("/proc/%d/fd/%s" % (pid, name))
        except OSError:
            pass
    return found


def slot_process(bench):
    """A slot that works, in its sandbox already; its id and status."""
    def there():
        for pid in processes(bench).get("slot", ()):
            try:
                facts = status(pid)
                if facts["Seccomp"] == "2" and \
                        int(facts["Seccomp_filters"]) >= 2:
                    return pid
            except (OSError, KeyError):
                continue
        return None
    return wait_until(20, "a slot at work", there)


# ---- what each process may ----

def process_check(role, pid):
    facts = status(pid)
    check("%s: a filter of system calls is on" % role,
          facts["Seccomp"] == "2", facts["Seccomp"])
    check("%s: no new privileges" % role, facts["NoNewPrivs"] == "1",
          facts["NoNewPrivs"])
    most = CAPABILITIES[role] if ROOT else 0
    for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        held = int(facts[name], 16)
        check("%s: %s holds no more than it needs" % (role, name),
              held & ~most == 0, "%x" % held)
    core = re.search(r"Max core file size\s+(\S+)\s+(\S+)",
                     read_proc(pid, "limits").decode()).groups()
    check("%s: no core file" % role, core == ("0", "0"), core)


def environment_check(found, slot):
    """The parent was started with them, to hand them on."""
    names = {role: sorted(word.split(b"=")[0].decode() for word in
                          read_proc(pids[0], "environ").split(b"\0")
                          if word.startswith(b"AWS_"))
             for role, pids in list(found.items()) + [("slot", [slot])]
             if role != "parent"}
    check("environment: the cloud role has the credentials",
          names.pop("cloud") == ["AWS_ACCESS_KEY_ID",
                                 "AWS_SECRET_ACCESS_KEY"], names)
    check("environment: no other role has one", not any(names.values()),
          names)


def slot_descriptors_check(bench, pid, seen):
    wanted = {
        0: "/dev/null", 3: "socket:", 4: "/memfd:", 5: "/dev/pts/",
        6: "socket:", 7: "/memfd:", 8: "", 9: "",
        10: bench.path("state", "transcripts") + "/attempt-"}
    extra = set(seen) - set(range(12))
    check("slot: no descriptor but those of base/role.h", not extra,
          {number: seen[number] for number in extra})
    wrong = {number: seen.get(number) for number, start in wanted.items()
             if number not in seen or not seen[number].startswith(start)}
    check("slot: each is what base/role.h says", not wrong, wrong)
    # Closed again when the key has been taken.
    check("slot: the vault's pair is a socket",
          seen.get(11, "socket:").startswith("socket:"), seen.get(11))
    output = {seen.get(1), seen.get(2)}
    check("slot: output and log are the daemon's",
          output == {bench.path("logs", "stationd.log")}, output)


def read_only_check(pid, seen):
    """The transcript takes what is added; the configuration, the job and
    the images are sealed: whoever holds them reads the same for good."""
    def flags(number):
        text = read_proc(pid, "fdinfo/%d" % number).decode()
        return int(re.search(r"flags:\s+(\d+)", text).group(1), 8)
    check("slot: the transcript can only be added to",
          flags(10) & os.O_APPEND and
          flags(10) & os.O_ACCMODE == os.O_WRONLY, oct(flags(10)))
    for number in (4, 7, 8, 9):
        copy = os.open("/proc/%d/fd/%d" % (pid, number), os.O_RDONLY)
        seals = fcntl.fcntl(copy, fcntl.F_GET_SEALS)
        os.close(copy)
        check("slot: descriptor %d (%s) is sealed" % (number, seen[number]),
              seals & SEALS == SEALS, seals)


def memory_has(pid, needles):
    """Which of the byte strings stand in the process's memory."""
    found = set()
    longest = max(len(needle) for needle in needles.values())
    with open("/proc/%d/maps" % pid) as maps, \
            open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            area, rights = line.split()[:2]
            if rights[0] != "r" or "[v" in line:
                continue
            at, end = (int(word, 16) for word in area.split("-"))
            if SANITIZED and end - at > 1 << 30:
                continue  # a sanitizer's own shadow: terabytes of nothing
            before = b""
            while at < end:
                try:
                    memory.seek(at)
                    part = memory.read(min(end - at, 1 << 20))
                except OSError:
                    break
                if not part:
                    break
                at += len(part)
                whole = before + part
                found.update(name for name, needle in needles.items()
                             if needle in whole)
                before = whole[-longest:]
    return found


def claim_needles(bench):
    with open(bench.path("cloud", "claim", "claim.key.pem")) as text:
        lines = [line for line in text.read().split("\n")
                 if line and not line.startswith("-----")]
    raw = base64.b64decode("".join(lines))
    needles = {"base64 %d" % number: line.encode()
               for number, line in enumerate(lines) if len(line) >= 24}
    if b"\x02\x03\x01\x00\x01" in raw:
        # RFC 8017, A.1.2: the private exponent comes after the public one,
        # here 65537; what stands before them is in the certificate, too.
        at = raw.index(b"\x02\x03\x01\x00\x01") + 5
        public = raw[:at]
        needles = {name: line for name, line in needles.items()
                   if base64.b64decode(line + b"=" * (-len(line) % 4))
                   not in public}
        at += 8
    else:
        # SEC 1, C.4: version 1, then the private key, an OCTET STRING.
        at = raw.index(b"\x02\x01\x01\x04\x20") + 5
    needles["private key"] = raw[at:at + 32]
    return needles


def secrets_check(bench):
    if not ROOT:
        print("# not root: the memory of processes cannot be read; the "
              "search for the claim key is left out")
        return
    needles = claim_needles(bench)
    found = lasting(bench)
    held = {role: memory_has(found[role][0], needles)
            for role in LASTING + ("parent",)}
    check("claim key: the search finds it in the vault",
          any(name.startswith("base64") for name in held["vault"]),
          held["vault"])
    for role in ("line", "ledger", "cloud", "parent"):
        check("claim key: it is not in the memory of " + role,
              not held[role], held[role])


def environment_credentials(bench):
    keys = {}
    with open(bench.path("cloud", "credentials")) as text:
        for line in text:
            if "=" in line:
                name, value = line.split("=", 1)
                keys[name.strip().upper()] = value.strip()
    config_edit(bench, r"credentials: \{.*\}",
                "credentials: {source: environment}")
    return {name: value for name, value in keys.items()
            if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}


def lot_open(bench):
    """As soon as the ledger is there: right after its start it may not."""
    wait_until(20, "the lot", lambda: bench.command(
        "lot", "open", "demo").returncode == 0)


def config_edit(bench, pattern, text):
    with open(bench.path("station.yaml")) as config:
        before = config.read()
    after = re.sub(pattern, lambda _: text, before)
    if after == before:
        raise RuntimeError("%s: nothing to replace" % pattern)
    with open(bench.path("station.yaml"), "w") as config:
        config.write(after)


def rights():
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
    with Bench("demo", units=2, slots=1, real_time=True) as bench:
        bench.station_start(**environment_credentials(bench))
        found = lasting(bench)
        # A role has the parent's filter until it has entered its own.
        wait_until(20, "every role in its own sandbox", lambda: all(
            int(status(pids[0])["Seccomp_filters"]) >= 2
            for role, pids in found.items() if role != "parent"))
        for role, pids in found.items():
            process_check(role, pids[0])
        lot_open(bench)
        bench.hands_start()
        pid = slot_process(bench)
        if ROOT:
            seen = descriptors(pid)
            slot_descriptors_check(bench, pid, seen)
            read_only_check(pid, seen)
            environment_check(found, pid)
        else:
            print("# not root: descriptors and environments of processes "
                  "that cannot be dumped are not shown; their checks are "
                  "left out")
        process_check("slot", pid)
        done = wait_until(60, "the unit's verdict", lambda: [
            slot for slot in bench.status()["slots"]
            if slot["state"] == "done"])[0]
        check("the unit passes in these confines", done["verdict"] == "PASS",
              done)
        secrets_check(bench)


def own_user():
    """With `user:` root gives up everything."""
    if not ROOT:
        print("# not root: becoming another user is left out")
        return
    with Bench("demo", units=1, slots=1) as bench:
        config_edit(bench, r"station: test-bench",
                    "station: test-bench\nuser: nobody")
        config_edit(bench, r"socket: .*",
                    "socket: " + bench.path("state", "control.sock"))
        bench.station_start(wait=False)
        found = lasting(bench)
        for role, pids in found.items():
            facts = status(pids[0])
            check("user: %s is that user's" % role,
                  facts["Uid"].split() == [str(NOBODY)] * 4 and
                  facts["Gid"].split() == [str(NOBODY)] * 4, facts["Uid"])
            check("user: %s has no capability" % role,
                  int(facts["CapPrm"], 16) == 0 and
                  int(facts["CapEff"], 16) == 0, facts["CapPrm"])
            groups = set(facts["Groups"].split())
            check("user: %s has none of root's groups" % role,
                  "0" not in groups, groups)
        check("user: the daemon lives", bench.station.poll() is None,
              bench.station.poll())


# ---- the control socket ----

AS_NOBODY = """
import json, socket, sys
peer = socket.socket(socket.AF_UNIX)
try:
    peer.connect(sys.argv[1])
except PermissionError:
    print("permission denied")
    sys.exit()
for number, command in enumerate(sys.argv[2:]):
    peer.sendall(json.dumps({"v": 1, "id": number + 1, "command": command,
                             "reason": "test", "lot": "demo", "slot": "1",
                             "operator": "x"}).encode() + b"\\n")
    reply = json.loads(peer.makefile().readline())
    print(command, "ok" if reply["ok"] else reply["error"]["cause"])
"""


def as_nobody(bench, *commands):
    result = subprocess.run(
        ["/usr/bin/python3", "-c", AS_NOBODY, bench.path("control.sock")] +
        list(commands), user=NOBODY, group=NOBODY, extra_groups=[],
        capture_output=True, text=True, timeout=30)
    return (result.stdout + result.stderr).splitlines()


def socket_access():
    for mode, wanted in (("0660", 0o660), ("0666", 0o666), ("0600", 0o600)):
        with Bench("demo", units=1, slots=1) as bench:
            config_edit(bench, r"control:\n",
                        'control:\n  mode: "%s"\n' % mode)
            bench.station_start()
            facts = os.stat(bench.path("control.sock"))
            check("socket: its mode is %s" % mode,
                  stat.S_ISSOCK(facts.st_mode) and
                  stat.S_IMODE(facts.st_mode) == wanted, oct(facts.st_mode))
            if not ROOT:
                print("# not root: other users' access is left out")
                continue
            changes = ("hold", "release", "lot-open", "lot-close", "make",
                       "abort", "acknowledge", "dispose")
            said = as_nobody(bench, "status", *changes)
            if mode == "0666":
                check("socket: who only may look sees the status",
                      said[:1] == ["status ok"], said)
                check("socket: and may change nothing",
                      said[1:] == [c + " not-permitted" for c in changes],
                      said)
            else:
                check("socket: a stranger is not let in by mode " + mode,
                      said == ["permission denied"], said)
            check("socket: the line is not held",
                  bench.status()["held"] is False, "held")


BROKEN = {
    "half an object": b"{\n",
    "no JSON": b"good morning\n",
    "an array": b"[]\n",
    "a number": b"1\n",
    "an empty line": b"\n",
    "NUL bytes": b"\0\0\0\n",
    "bytes that are not UTF-8": b'{"v":1,"id":1,"command":"\xff\xfe"}\n',
    "another version": b'{"v":2,"id":1,"command":"status"}\n',
    "no version": b'{"id":1,"command":"status"}\n',
    "no id": b'{"v":1,"command":"status"}\n',
    "a negative id": b'{"v":1,"id":-1,"command":"status"}\n',
    "no command": b'{"v":1,"id":1}\n',
    "a command that is no text": b'{"v":1,"id":1,"command":{}}\n',
    "a key twice": b'{"v":1,"v":1,"id":1,"command":"status"}\n',
    "a deep nest": b"[" * 4000 + b"\n",
    "a deep nest in a request":
        b'{"v":1,"id":1,"command":"status","x":' + b"[" * 3000 + b"\n",
    "a line that is too long": b'{"v":1,"id":1,"x":"' + b"y" * 20000 + b"\n",
    "a line without an end": b"z" * (1 << 20),
    "a number that is too large":
        b'{"v":1,"id":' + b"9" * 400 + b',"command":"status"}\n',
}


def talk(bench, data):
    """Sends, reads until the daemon closes; its lines, and whether it did."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(15)
    peer.connect(bench.path("control.sock"))
    answer, closed = b"", False
    try:
        peer.sendall(data)
    except OSError:
        pass  # it closed on what it had read so far
    try:
        while True:
            part = peer.recv(65536)
            if not part:
                closed = True
                break
            answer += part
    except socket.timeout:
        pass
    except OSError:
        closed = True
    peer.close()
    return answer.decode("utf-8", "replace").splitlines(), closed


def one_clear_error(lines):
    """One reply that says what is wrong, and where the daemon disconnects
    one event that says so; one of the two at least."""
    try:
        answers = [json.loads(line) for line in lines]
    except ValueError:
        return False
    replies = [answer for answer in answers if "ok" in answer]
    events = [answer for answer in answers if answer.get("event") == "error"]
    return len(replies) <= 1 and len(events) <= 1 and \
        1 <= len(answers) == len(replies) + len(events) and \
        all(event["text"] for event in events) and \
        all(reply["ok"] is False and reply["error"]["text"] and
            reply["error"]["cause"] == "bad-request" for reply in replies)


def socket_abuse():
    with Bench("demo", units=1, slots=1) as bench:
        bench.station_start()
        before = lasting(bench)
        for what, data in BROKEN.items():
            lines, closed = talk(bench, data)
            check("request: %s ends in one clear error" % what,
                  closed and one_clear_error(lines),
                  (closed, [line[:200] for line in lines]))
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(15)
        peer.connect(bench.path("control.sock"))
        peer.sendall(b'{"v":1,"id":3,"command":"no-such"}\n')
        lines = peer.makefile().readline().splitlines()
        check("request: an unknown command is named as one",
              one_clear_error(lines) and json.loads(lines[0])["id"] == 3,
              lines)
        peer.close()
        # Descriptors that nobody asked for are not kept.
        if ROOT:
            descriptors_abuse(bench, before["line"][0])
        else:
            print("# not root: what the line holds is not shown; the checks "
                  "of descriptors are left out")
        check("request: after all that the daemon answers",
              wait_until(10, "an answer",
                         lambda: bench.status(quiet=True)) is not None)
        check("request: the same processes live",
              lasting(bench) == before, (before, processes(bench)))


def descriptors_abuse(bench, line):
    """Descriptors that come with a request, and a crowd of clients."""
    held = len(descriptors(line))
    for _ in range(20):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(bench.path("control.sock"))
        socket.send_fds(peer, [b'{"v":1,"id":1,"command":"status"}\n'],
                        [0, 1, 2, 0, 1, 2])
        peer.settimeout(15)
        peer.recv(10)
        peer.close()
    check("request: descriptors that come along are closed", wait_until(
        10, "descriptors", lambda: len(descriptors(line)) <= held), held)
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    for peer in crowd:
        peer.setblocking(False)
        try:
            peer.connect(bench.path("control.sock"))
        except OSError:
            pass  # the backlog is full
    check("request: a crowd of 100 is bounded", wait_until(
        10, "the bound", lambda: len(descriptors(line)) <= held + 40))
    for peer in crowd:
        peer.close()


# ---- nothing is left behind ----

def held_by(bench):
    found = lasting(bench)
    return {role: sorted(re.sub(r"\d+", "N", target) for target in
                         descriptors(pids[0]).values())
            for role, pids in found.items() if role != "cloud"}


def held_again(bench, before):
    """What is held when nothing is under way: an answered client's descriptor
    is there until the line has seen its end."""
    deadline = time.monotonic() + 10
    while True:
        after = held_by(bench)
        if after == before or time.monotonic() > deadline:
            return after
        time.sleep(0.02)


def held_at_rest(bench):
    """What is held at ten looks one after the other."""
    looks = []

    def same():
        looks.append(held_by(bench))
        return len(looks) >= 10 and all(
            look == looks[-1] for look in looks[-10:])
    wait_until(10, "rest", same)
    return looks[-1]


def fifty_attempts():
    if not ROOT:
        print("# not root: what processes hold is not shown; the count over "
              "fifty attempts is left out")
        return
    with Bench("demo", units=60, slots=4, lot_edit=lambda lot: re.sub(
            r"limit: \d+", "limit: 100", lot)) as bench:
        bench.station_start()
        lot_open(bench)
        bench.hands_start()

        def passed():
            return bench.status()["lots"][0]["passed"]

        def work(until):
            seen = {}
            deadline = time.monotonic() + 60
            while passed() < until and time.monotonic() < deadline:
                for slot in bench.status()["slots"]:
                    if slot["state"] == "done" and passed() < until and \
                            seen.get(slot["name"]) != slot["attempt"]:
                        seen[slot["name"]] = slot["attempt"]
                        bench.next_unit(slot["name"])
                time.sleep(0.02)
            # A unit that was called for is on its way until it is judged.
            wait_until(30, "the slots' ends", lambda: all(
                slot["state"] == "done" and
                seen.get(slot["name"]) != slot["attempt"]
                for slot in bench.status()["slots"]) and
                "slot" not in processes(bench))
            return passed()

        first = work(4)
        before = held_at_rest(bench)
        last = work(first + 50)
        check("leak: fifty more attempts were made", last - first >= 50,
              (first, last))
        after = held_again(bench, before)
        for role in before:
            check("leak: %s holds what it held before" % role,
                  before[role] == after[role],
                  [set(before[role]) ^ set(after[role]), len(before[role]),
                   len(after[role])])
        locks = [name for name in os.listdir("/run/lock")
                 if name.startswith("LCK..") and "pts" in name] \
            if os.path.isdir("/run/lock") else []
        check("leak: no lock file of a pty is left", not locks, locks)


# ---- a slot that is stopped from outside ----

def aborted():
    """An abort while the cloud is asked is an abort, not a crash."""
    with Bench("demo", units=2, slots=1) as bench:
        with open(bench.path("cloud", "faults.json"), "w") as text:
            json.dump([{"op": "CreateThing", "what": "delay", "ms": 1500,
                        "nth": 1}], text)
        bench.station_start()
        lot_open(bench)
        bench.hands_start()

        def slot():
            return bench.status()["slots"][0]
        wait_until(30, "the registration",
                   lambda: slot()["step"] == "register")
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(15)
        peer.connect(bench.path("control.sock"))
        peer.sendall(b'{"v":1,"id":1,"command":"abort","slot":"1"}\n')
        check("abort: it is taken",
              json.loads(peer.makefile().readline())["ok"] is True)
        peer.close()
        done = wait_until(30, "the verdict", lambda: slot()
                          if slot()["state"] in ("done", "held") else None)
        check("abort: amid a call to the cloud it is ABORTED",
              (done["verdict"], done["cause"]) == ("ABORTED", "aborted"),
              done)
        check("abort: no process of a slot is left", wait_until(
            10, "the slot's end", lambda: "slot" not in processes(bench)))
        bench.next_unit("1")
        wait_until(30, "the next unit", lambda: slot()["verdict"] == "PASS")
        check("abort: the next unit passes", True)


def crashes():
    """A slot that dies is a failure of the station; three hold the slot."""
    with Bench("demo", units=4, slots=1, real_time=True) as bench:
        bench.station_start()
        lot_open(bench)
        bench.hands_start()

        def slot():
            return bench.status()["slots"][0]
        causes = []
        for number in range(3):
            os.kill(slot_process(bench), signal.SIGKILL)
            done = wait_until(30, "the verdict", lambda: slot()
                              if slot()["verdict"] else None)
            causes.append((done["verdict"], done["cause"]))
            if number < 2:
                bench.next_unit("1")
                wait_until(10, "the next unit",
                           lambda: not slot()["verdict"])
        check("crash: each has its verdict",
              causes == [("ERROR", "station-crash")] * 3, causes)
        check("crash: the third one in ten minutes holds the slot",
              slot()["state"] == "held", slot())
        check("crash: the other processes live",
              set(LASTING) <= set(processes(bench)), processes(bench))


if __name__ == "__main__":
    if SANITIZED:
        print("# a sanitizer build: its filters are wider; that they are on "
              "is checked all the same")
    only = sys.argv[1:]
    for test in (rights, own_user, socket_access, socket_abuse,
                 fifty_attempts, aborted, crashes):
        if only and test.__name__ not in only:
            continue
        started = time.monotonic()
        try:
            test()
        except Exception as error:  # a test that breaks is a failed one
            check(test.__name__, False, repr(error))
        print("# %s: %.1f s" % (test.__name__, time.monotonic() - started),
              flush=True)
    finish()
