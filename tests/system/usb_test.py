#!/usr/bin/python3
"""The whole daemon on USB positions: a made-up sysfs (umockdev's preload
library) with adapters at the sockets of a hub, plugged and unplugged while it
runs. The real libserialport enumerates and opens; a virtual device's pty
stands for each port, and pty_modem_shim gives it modem lines.

Two of the adapters have the same USB serial number and one has none: only
the position tells them apart. Nodes get other names from plug to plug."""
import fcntl
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import BIN, BUILD, Bench, check, finish, wait_until  # noqa: E402

SHIM = os.path.join(BUILD, "tools", "system", "pty_modem_shim.so")
PRELOAD = "libumockdev-preload.so.0"
HUB = "devices/pci0000:00/0000:00:14.0/usb1/1-1"
# The lock files of ports are the whole machine's: names of our own.
FIRST = os.getpid() * 100
# vendor, product, serial number: CP2102N as they come from the factory, a
# CH340, which has none, and an FT2232 of two interfaces.
CP210X = ("10c4", "ea60", "0001", "cp210x")
CH341 = ("1a86", "7523", None, "ch341-uart")
FTDI = ("0403", "6010", "FT00", "ftdi_sio")


class UsbBench(Bench):
    """Slots by `usb:`; units are plugged into positions by hand."""
    def __init__(self, positions, **more):
        self.positions = positions
        self.devices = {}
        self.plugged = {}
        super().__init__(slots=len(positions), **more)

    def config_write(self):
        super().config_write()
        with open(self.path("station.yaml")) as text:
            lines = [line for line in text.read().splitlines()
                     if not line.startswith("  - {name:")]
        at = lines.index("slots:") + 1
        lines[at:at] = ['  - {name: "%s", %s}' % (name, where)
                        for name, where in self.positions.items()]
        with open(self.path("station.yaml"), "w") as text:
            text.write("\n".join(lines) + "\n")
        for folder in ("usb/sys/bus", "usb/sys/class/tty", "usb/dev",
                       "usb/sys/" + HUB, "devices"):
            os.makedirs(self.path(folder))

    def __exit__(self, kind, value, trace):
        for name in list(self.devices):
            self.device_end(name)
        super().__exit__(kind, value, trace)

    def start_usb(self):
        environment = {
            "LD_PRELOAD": "%s %s" % (SHIM, PRELOAD),
            "UMOCKDEV_DIR": self.path("usb"),
            "MODEM_LINES": self.path("devices")}
        if "san" in os.path.basename(BUILD):
            environment["ASAN_OPTIONS"] = "verify_asan_link_order=0"
        self.station_start(**environment)
        wait_until(20, "the lot", lambda: self.command(
            "lot", "open", self.lot).returncode == 0)

    # ---- units ----

    def device_start(self, number, *more):
        row = self.manifest[number]
        name = "unit%d" % number
        with open(self.path("logs", name + ".log"), "ab") as out:
            self.devices[name] = subprocess.Popen(
                [os.path.join(BIN, "bench-device"), "--link",
                 self.path("devices", name), "--chip", self.chip, "--mac",
                 row["mac"], "--serial", row["serial"], "--seed",
                 str(number), "--die-with-parent"] + list(more),
                stdout=out, stderr=subprocess.STDOUT)
        wait_until(10, "a device", lambda: os.path.exists(
            self.path("devices", name + ".lines")) and os.path.exists(
                self.path("devices", name)))
        return name

    def device_end(self, name):
        self.end(self.devices.pop(name))

    # ---- the hub ----

    def attribute(self, folder, name, text):
        with open(os.path.join(folder, name), "w") as out:
            out.write(text + "\n")

    def plug(self, device, position, node, adapter=CP210X, interface=0):
        """As the kernel does: sysfs first, then the node."""
        node = "ttyUSB%d" % (FIRST + node)
        usb = self.path("usb/sys", HUB, position)
        tty = os.path.join(usb, "%s:1.%d" % (position, interface), node)
        os.makedirs(os.path.join(tty, "tty", node))
        vendor, product, serial, driver = adapter
        self.attribute(usb, "busnum", "1")
        self.attribute(usb, "devnum", str(len(self.plugged) + 5))
        self.attribute(usb, "idVendor", vendor)
        self.attribute(usb, "idProduct", product)
        if serial is not None:
            self.attribute(usb, "serial", serial)
        os.symlink("../../../" + node, os.path.join(
            tty, "tty", node, "device"))
        os.symlink("../../../bus/usb-serial/drivers/" + driver,
                   os.path.join(tty, "driver"))
        os.symlink(os.readlink(self.path("devices", device)),
                   self.path("usb/dev", node))
        os.symlink(os.path.relpath(os.path.join(tty, "tty", node),
                                   self.path("usb/sys/class/tty")),
                   self.path("usb/sys/class/tty", node))
        self.plugged[device] = (position, node)

    def unplug(self, device):
        position, node = self.plugged.pop(device)
        for path in ("usb/sys/class/tty/" + node, "usb/dev/" + node):
            os.unlink(self.path(path))
        shutil.rmtree(self.path("usb/sys", HUB, position))

    # ---- what the daemon says ----

    def slot(self, name):
        for slot in self.status()["slots"]:
            if slot["name"] == name:
                return slot
        raise KeyError(name)

    def judged_slot(self, name, seconds=30):
        return wait_until(seconds, "slot %s" % name, lambda: next(
            (slot for slot in self.status()["slots"]
             if slot["name"] == name and slot["state"] in ("done", "held")),
            None))

    def empty_slot(self, name, seconds=10):
        wait_until(seconds, "slot %s empty" % name,
                   lambda: self.slot(name)["state"] == "empty")


def positions():
    where = {"1": "usb: 1-1.1", "2": "usb: 1-1.2",
             "3": "usb: pci-0000:00:14.0/1-1.3",
             "4": "usb: 1-1.4, interface: 1"}
    with UsbBench(where, lot="demo", units=6) as bench:
        bench.start_usb()
        check("usb: every slot is empty before", all(
            slot["state"] == "empty" for slot in bench.status()["slots"]),
            bench.status()["slots"])
        units = [bench.device_start(number) for number in range(6)]
        serials = [row["serial"] for row in bench.manifest]
        # Node names in another order than the sockets.
        bench.plug(units[0], "1-1.1", 7)
        bench.plug(units[1], "1-1.2", 0)
        bench.plug(units[2], "1-1.3", 10, CH341)
        bench.plug(units[3], "1-1.4", 2, FTDI, 1)
        for number, name in enumerate(("1", "2", "3", "4")):
            done = bench.judged_slot(name)
            check("usb: the unit in %s passes in slot %s" % (
                where[name], name),
                (done["verdict"], done["serial"]) ==
                ("PASS", serials[number]), done)
        attempts = bench.sql("SELECT count(*) FROM attempt")[0][0]
        # Two adapters of one serial number change places and names.
        bench.unplug(units[0])
        bench.unplug(units[1])
        bench.empty_slot("1")
        bench.empty_slot("2")
        check("usb: taken out units leave the others judged",
              bench.slot("3")["verdict"] == "PASS" and
              bench.slot("4")["verdict"] == "PASS", bench.status()["slots"])
        bench.plug(units[4], "1-1.1", 3)
        bench.plug(units[5], "1-1.2", 7)
        for number, name in ((4, "1"), (5, "2")):
            done = bench.judged_slot(name)
            check("usb: with another node's name slot %s is the same" % name,
                  (done["verdict"], done["serial"]) ==
                  ("PASS", serials[number]), done)
        check("usb: no other attempt was begun", bench.sql(
            "SELECT count(*) FROM attempt")[0][0] == attempts + 2)
        # What is at no slot's position is nobody's unit.
        bench.unplug(units[4])
        bench.empty_slot("1")
        bench.plug(units[4], "1-1.7", 3)
        bench.unplug(units[3])
        bench.empty_slot("4")
        bench.plug(units[3], "1-1.4", 2, FTDI, 0)
        # A scan that sees slot 2's unit again has seen these, too.
        before = bench.slot("2")["attempt"]
        bench.unplug(units[5])
        bench.empty_slot("2")
        bench.plug(units[5], "1-1.2", 8)
        again = bench.judged_slot("2")
        check("usb: a unit that is put back is already made",
              (again["verdict"], again["cause"]) ==
              ("REFUSED", "already-made") and again["attempt"] > before,
              again)
        check("usb: another position and another interface are no slot's",
              bench.slot("1")["state"] == "empty" and
              bench.slot("4")["state"] == "empty", bench.status()["slots"])
        locks = [name for name in os.listdir("/run/lock")
                 if name.startswith("LCK..ttyUSB%d" % (FIRST // 100))] \
            if os.path.isdir("/run/lock") else []
        check("usb: no lock file is left", not locks, locks)


def unplugged():
    """Out in the midst of an attempt, and in again under another name."""
    with UsbBench({"1": "usb: 1-1.1"}, lot="demo", units=2) as bench:
        bench.start_usb()
        unit = bench.device_start(0, "--real-time")
        bench.plug(unit, "1-1.1", 0)
        wait_until(20, "the flash", lambda: bench.slot("1")["step"] ==
                   "flash")
        # The device ends, and with it the port: a hang-up.
        bench.device_end(unit)
        bench.unplug(unit)
        bench.empty_slot("1", 20)
        rows = bench.sql("SELECT count(*) FROM verdict")[0][0]
        check("usb: a unit that is pulled has its verdict", rows == 1, rows)
        unit = bench.device_start(0)
        bench.plug(unit, "1-1.1", 3)
        done = wait_until(30, "the verdict", lambda: bench.slot("1") if
                          bench.slot("1")["verdict"] == "PASS" else None)
        check("usb: plugged again as another node it passes", done["serial"]
              == bench.manifest[0]["serial"], done)


def busy():
    """A port that another process holds is named with that process."""
    with UsbBench({"1": "usb: 1-1.1"}, lot="demo", units=1) as bench:
        bench.start_usb()
        unit = bench.device_start(0)
        port = os.open(bench.path("devices", unit), os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(port, fcntl.LOCK_EX)
        bench.plug(unit, "1-1.1", 0)
        done = bench.judged_slot("1")
        check("usb: a port that is locked is port-busy",
              (done["verdict"], done["cause"]) == ("ERROR", "port-busy"),
              done)
        with open("/proc/self/comm") as comm:
            holder = "process %d (%s)" % (os.getpid(), comm.read().strip())
        check("usb: its holder is named", holder in done["text"],
              done["text"])
        os.close(port)
        # The UUCP way: a lock file of a process that lives.
        bench.unplug(unit)
        bench.command("release")
        lock = "/run/lock/LCK..ttyUSB%d" % (FIRST + 1)
        try:
            with open(lock, "x") as text:
                text.write("%10d\n" % os.getpid())
        except OSError as error:
            print("# %s: %s; the lock file's part is left out" % (
                lock, error.strerror))
            return
        try:
            bench.empty_slot("1")
            bench.plug(unit, "1-1.1", 1)
            done = bench.judged_slot("1")
            check("usb: the owner of a lock file is named",
                  done["cause"] == "port-busy" and holder in done["text"],
                  done)
        finally:
            os.unlink(lock)


if __name__ == "__main__":
    only = sys.argv[1:]
    for test in (positions, unplugged, busy):
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
