#!/usr/bin/python3
"""Holds the virtual bench to the vendor's documents.

Talks to bench-device over its pty with a SLIP codec of its own and the golden
frames of Espressif's serial protocol, and to bench-hands, bench-units and
bench-firmware as a station's test would. BUILD says where bin/ lies.
"""

import base64
import errno
import fcntl
import hashlib
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.path.join(ROOT, os.environ.get("BUILD", "build"), "bin")
SCALE = float(os.environ.get("TEST_TIME_SCALE", "1"))
SEED = int(os.environ.get("TEST_SEED", "1"))

GOLDEN = {
    "sync": bytes.fromhex("c000082400000000000707122 0".replace(" ", "")
                          + "55" * 32 + "c0"),
    "sync answer": bytes.fromhex("c0010804000707122000000000c0"),
    "secinfo": bytes.fromhex("c00014000000000000c0"),
    "magic": bytes.fromhex("c0000a04000000000000100040c0"),
    "attach": bytes.fromhex("c0000d0800000000000000000000000000c0"),
    "params": bytes.fromhex("c0000b18000000000000000000000040000000010000"
                            "10000000010000ffff0000c0"),
    "rate": bytes.fromhex("c0000f0800000000000008070000000000c0"),
    "begin": bytes.fromhex("c0000214000000000000200000080000000004000000d0"
                           "000000000000c0"),
    "data": bytes.fromhex("c0000318000a00000008000000000000000000000000000000"
                          "dbdcdbdd01ffffffffffc0"),
    "md5": bytes.fromhex("c0001310000000000000d00000002000000000000000000000"
                         "c0"),
}

# chip id, magic word, MAC register, SPI base, SPI offsets (user, user2, miso
# length, data), boot loader offset, words of FLASH_BEGIN
CHIPS = {
    "esp32": (0, 0x00F01D83, 0x3FF5A004, 0x3FF42000,
              (0x1C, 0x24, 0x2C, 0x80), 0x1000, 4),
    "esp32s2": (2, 0x000007C6, 0x3F41A044, 0x3F402000,
                (0x18, 0x20, 0x28, 0x58), 0x1000, 5),
    "esp32s3": (9, 0x9, 0x60007044, 0x60002000,
                (0x18, 0x20, 0x28, 0x58), 0, 5),
    "esp32c2": (12, None, 0x60008840, 0x60002000,
                (0x18, 0x20, 0x28, 0x58), 0, 5),
    "esp32c3": (5, None, 0x60008844, 0x60002000,
                (0x18, 0x20, 0x28, 0x58), 0, 5),
    "esp32c6": (13, None, 0x600B0844, 0x60003000,
                (0x18, 0x20, 0x28, 0x58), 0, 5),
    "esp32h2": (16, None, 0x600B0844, 0x60003000,
                (0x18, 0x20, 0x28, 0x58), 0, 5),
}


class Failure(Exception):
    """A check did not hold."""


def check(holds, why):
    if not holds:
        raise Failure(why)


def equal(got, wanted, what):
    check(got == wanted, "%s: got %r, wanted %r" % (what, got, wanted))


def deadline(seconds):
    return time.monotonic() + seconds * SCALE


def wait_for(condition, what, seconds=10):
    end = deadline(seconds)
    while not condition():
        check(time.monotonic() < end, "no %s in time" % what)
        time.sleep(0.002)


def slip_encode(payload):
    return (b"\xc0" + payload.replace(b"\xdb", b"\xdb\xdd")
            .replace(b"\xc0", b"\xdb\xdc") + b"\xc0")


class RomError(Exception):
    def __init__(self, code):
        super().__init__("ROM error %02x" % code)
        self.code = code


class Device:
    """A bench-device, its port and its lines."""

    def __init__(self, folder, *options, name="port", rate=115200,
                 start=True):
        self.folder = folder
        self.link = os.path.join(folder, name)
        self.options = options
        self.fd = -1
        self.lines = None
        self.process = None
        self.pending = b""
        if start:
            self.start(rate)

    def start(self, rate=115200):
        self.process = subprocess.Popen(
            [os.path.join(BIN, "bench-device"), "--link", self.link,
             "--die-with-parent", "--heartbeat-ms", "0", *self.options])
        wait_for(lambda: os.path.islink(self.link), "link")
        self.open(rate)

    def open(self, rate=115200):
        self.fd = os.open(self.link, os.O_RDWR | os.O_NOCTTY
                          | os.O_NONBLOCK)
        self.set_rate(rate)
        self.lines = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lines.settimeout(10 * SCALE)
        self.lines.connect(self.link + ".lines")

    def set_rate(self, rate):
        """Sets any rate raw, through the kernel's struct termios2."""
        settings = struct.pack("=IIIIB19sII", 0, 0,
                               0o10000 | termios.CS8 | termios.CREAD
                               | termios.CLOCAL, 0, 0, b"\0" * 19, rate,
                               rate)
        fcntl.ioctl(self.fd, 0x402C542B, settings)

    def close(self):
        if self.lines is not None:
            self.lines.close()
        if self.fd != -1:
            os.close(self.fd)
        self.fd, self.lines = -1, None

    def stop(self):
        self.close()
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10 * SCALE)
        self.process = None
        equal(status, 0, "exit status")

    def set_lines(self, text):
        self.lines.send(text.encode())
        equal(self.lines.recv(16), text.encode(), "answer of the lines")

    def write(self, data):
        while data:
            _, ready, _ = select.select([], [self.fd], [], 10 * SCALE)
            check(ready, "the port takes no bytes")
            data = data[os.write(self.fd, data):]

    def read_some(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], max(seconds, 0))
        if not ready:
            return b""
        data = os.read(self.fd, 65536)
        if not data:
            raise OSError(errno.EIO, "hung up")
        return data

    def read_until(self, marker, seconds=10):
        end = deadline(seconds)
        while marker not in self.pending:
            left = end - time.monotonic()
            check(left > 0, "no %r, only %r" % (marker, self.pending[-300:]))
            self.pending += self.read_some(left)
        at = self.pending.index(marker) + len(marker)
        text, self.pending = self.pending[:at], self.pending[at:]
        return text

    def drain(self, seconds=0.05):
        """Reads until the line is quiet for a moment."""
        got, self.pending = self.pending, b""
        while True:
            more = self.read_some(seconds * SCALE)
            if not more:
                return got
            got += more

    def frame(self, seconds=10):
        """The next SLIP frame, decoded; None when none comes."""
        end = deadline(seconds)
        while True:
            start = self.pending.find(b"\xc0")
            stop = self.pending.find(b"\xc0", start + 1)
            if start >= 0 and stop == start + 1:
                self.pending = self.pending[start + 1:]
                continue
            if start >= 0 and stop > 0:
                payload = self.pending[start + 1:stop]
                self.pending = self.pending[stop + 1:]
                return (payload.replace(b"\xdb\xdc", b"\xc0")
                        .replace(b"\xdb\xdd", b"\xdb"))
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.pending += self.read_some(left)

    def command(self, op, data=b"", sum_of=None, seconds=10):
        """Sends a command; returns value and data, or raises RomError."""
        total = 0
        if sum_of is not None:
            total = 0xEF
            for byte in sum_of:
                total ^= byte
        self.write(slip_encode(struct.pack("<BBHI", 0, op, len(data), total)
                               + data))
        return self.answer(op, seconds)

    def answer(self, op, seconds=10):
        while True:
            frame = self.frame(seconds)
            check(frame is not None, "no answer to %02x" % op)
            if len(frame) >= 12 and frame[0] == 1 and frame[1] == op:
                break
        size = struct.unpack("<H", frame[2:4])[0]
        equal(len(frame), 8 + size, "length of the answer")
        equal(frame[-2:], b"\0\0", "reserved status bytes")
        if frame[-4] != 0:
            raise RomError(frame[-3])
        return struct.unpack("<I", frame[4:8])[0], frame[8:-4]

    def refused(self, code, *arguments, **named):
        try:
            self.command(*arguments, **named)
        except RomError as error:
            equal(error.code, code, "error")
            self.drain(0.1)
            return
        raise Failure("was not refused with %02x" % code)

    def reset_loader(self):
        """The tight sequence: both lines in one act."""
        self.set_rate(115200)
        self.drain(0.01)
        for text in ("D0R0", "D1R1", "D0R1"):
            self.set_lines(text)
        time.sleep(0.02)
        self.set_lines("D1R0")
        self.read_until(b"waiting for download")
        self.set_lines("D0R0")

    def reset_run(self):
        self.set_rate(115200)
        self.set_lines("D0R1")
        self.drain(0.01)
        self.set_lines("D0R0")

    def sync(self):
        self.write(GOLDEN["sync"])
        for _ in range(8):
            equal(self.frame(), GOLDEN["sync answer"][1:-1], "SYNC answer")

    def loader(self, mib=4):
        self.reset_loader()
        self.sync()
        self.command(0x0D, struct.pack("<II", 0, 0))
        self.command(0x0B, struct.pack("<6I", 0, mib << 20, 0x10000, 0x1000,
                                       0x100, 0xFFFF))

    def begin(self, op, size, blocks, offset, words=5):
        data = struct.pack("<4I", size, blocks, 0x400, offset)
        self.command(op, data + b"\0" * (4 * words - 16), seconds=60)

    def write_deflated(self, offset, image, words=5, seconds=60):
        packed = zlib.compress(image, 9)
        blocks = [packed[i:i + 0x400] for i in range(0, len(packed), 0x400)]
        self.begin(0x10, (len(image) + 0x3FF) & ~0x3FF, len(blocks), offset,
                   words)
        for sequence, block in enumerate(blocks):
            self.command(0x11, struct.pack("<4I", len(block), sequence, 0, 0)
                         + block, block, seconds=seconds)

    def md5(self, offset, size):
        return self.command(0x13, struct.pack("<4I", offset, size, 0, 0))[1]

    def write_checked(self, offset, image, words=5):
        self.write_deflated(offset, image, words)
        equal(self.md5(offset, len(image)).decode(),
              hashlib.md5(image).hexdigest(), "MD5 of flash")

    def console(self):
        self.read_until(b"product console ready\r\n> ")

    def say(self, line, prompt=b"> ", seconds=10):
        """Sends a console line; returns the answer without the echo."""
        self.write(line.encode() + b"\r")
        self.read_until(line.encode() + b"\r\n")
        pasting = line in ("cert begin", "key import")
        return self.read_until(
            prompt if pasting else b"\r\n" + prompt,
            seconds)[:-len(prompt)].decode().strip()


def crc(data):
    """The check of NVS and TLV: register from 0, inverted at the end."""
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def tlv(kind, data):
    body = (struct.pack("<IB3xBBH", 0xBA5EBA11, 0, kind, 0, len(data)) + data
            + b"\0" * (-len(data) % 16))
    return body + struct.pack("<I", crc(body))


def tlv_image(records):
    image = b"".join(tlv(kind, data) for kind, data in records)
    return image.ljust(0x2000, b"\xff")


def nvs_entry(space, kind, span, key, data, chunk=0xFF):
    head = struct.pack("<BBBB", space, kind, span, chunk)
    tail = key.encode().ljust(16, b"\0") + data.ljust(8, b"\xff")
    return head + struct.pack("<I", crc(head + tail)) + tail


def nvs_text(space, key, text):
    data = text.encode() + b"\0"
    rows = -(-len(data) // 32)
    return (nvs_entry(space, 0x21, 1 + rows, key, struct.pack(
        "<HHI", len(data), 0xFFFF, crc(data)))
            + data.ljust(32 * rows, b"\xff"))


def nvs_blob(space, key, data):
    rows = -(-len(data) // 32)
    return (nvs_entry(space, 0x42, 1 + rows, key, struct.pack(
        "<HHI", len(data), 0xFFFF, crc(data)), 0)
            + data.ljust(32 * rows, b"\xff")
            + nvs_entry(space, 0x48, 1, key, struct.pack(
                "<IBBH", len(data), 1, 0, 0xFFFF)))


def nvs_image(entries, size=0x4000):
    body = nvs_entry(0, 0x01, 1, "fctry", b"\x01") + entries
    head = struct.pack("<IIB19s", 0xFFFFFFFE, 0, 0xFE, b"\xff" * 19)
    head += struct.pack("<I", crc(head[4:28]))
    count = len(body) // 32
    check(count <= 126, "the test's NVS page is full")
    bitmap = bytearray(b"\xff" * 32)
    for i in range(count):
        bitmap[i // 4] &= ~(1 << (i % 4 * 2))
    return (head + bytes(bitmap) + body).ljust(size, b"\xff")


def openssl(folder, *arguments, data=None):
    done = subprocess.run(["openssl", *arguments], input=data, cwd=folder,
                          capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def pair_make(folder, name, subject):
    """A key and a self-signed certificate in PEM, as text."""
    status, _, why = openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
        "-out", name + ".pem", "-subj", "/CN=" + subject, "-days", "30")
    equal(status, 0, "openssl req: %r" % why)
    with open(os.path.join(folder, name + ".key"), encoding="ascii") as file:
        key = file.read()
    with open(os.path.join(folder, name + ".pem"), encoding="ascii") as file:
        return key, file.read()


def firmware(folder, chip="esp32c3", kib=64, version="3.1.4"):
    out = os.path.join(folder, "fw-" + chip)
    subprocess.run([os.path.join(BIN, "bench-firmware"), "--out", out,
                    "--chip", chip, "--app-kib", str(kib), "--version",
                    version, "--seed", str(SEED)], check=True,
                   stdout=subprocess.DEVNULL)
    with open(os.path.join(out, "flasher_args.json"),
              encoding="ascii") as file:
        recipe = json.load(file)
    images = {}
    for offset, name in recipe["flash_files"].items():
        with open(os.path.join(out, name), "rb") as file:
            images[int(offset, 16)] = file.read()
    return recipe, images


def provision(device, folder, chip="esp32c3", extra=None):
    """Flashes the demo firmware and runs it up to its prompt."""
    _, images = firmware(folder, chip)
    device.loader()
    for offset, image in {**images, **(extra or {})}.items():
        device.write_checked(offset, image, CHIPS[chip][6])
    device.reset_run()
    device.console()


TESTS = []


def test(function):
    TESTS.append(function)
    return function


@test
def codec_vectors(_folder):
    """The test's own codecs against the vendors' vectors."""
    equal(tlv(51, b"SN0001\0").hex(),
          "11ba5eba" "00000000" "33000700" "534e30303031" + "00" * 10
          + "4e17e358", "TLV vector")
    image = nvs_image(nvs_text(1, "serial_no", "SN0001")
                      + nvs_entry(1, 0x02, 1, "port", b"\xb3\x22"))
    equal(image[28:32], struct.pack("<I", 0xB9BA2D84), "NVS header")
    equal(image[0x44:0x48].hex(), "f8378191", "NVS namespace")
    equal(image[0x64:0x68].hex(), "fc535d2b", "NVS string entry")
    equal(image[0x7c:0x80].hex(), "ccc5ac6b", "NVS string data")
    equal(image[0xa4:0xa8].hex(), "2b726601", "NVS u16")


@test
def golden_frames(folder):
    device = Device(folder)
    device.reset_loader()
    device.sync()
    for name, op in (("attach", 0x0D), ("params", 0x0B)):
        device.write(GOLDEN[name])
        equal(device.answer(op), (0, b""), name)
    device.write(GOLDEN["magic"])
    equal(device.answer(0x0A)[0], 0x1B31506F, "magic word")
    device.write(GOLDEN["secinfo"])
    info = device.answer(0x14)[1]
    equal(len(info), 20, "security info")
    equal(struct.unpack("<I", info[12:16])[0], 5, "chip id")
    device.write(GOLDEN["begin"])
    device.answer(0x02)
    device.write(GOLDEN["data"])
    device.answer(0x03)
    device.write(GOLDEN["md5"])
    image = (b"\xc0\xdb\x01" + b"\xff" * 5).ljust(0x2000, b"\xff")
    equal(device.answer(0x13)[1].decode(), hashlib.md5(image).hexdigest(),
          "MD5")
    device.write(GOLDEN["rate"])
    device.answer(0x0F)
    device.set_rate(460800)
    device.write(GOLDEN["magic"])
    equal(device.answer(0x0A)[0], 0x1B31506F, "magic at the new rate")
    device.stop()


@test
def chips(folder):
    for name, row in CHIPS.items():
        ident, magic, mac, spi, offsets, _, words = row
        device = Device(folder, "--chip", name, "--mac", "7c:df:a1:02:03:04",
                        "--flash-mib", "8", name=name)
        device.loader(8)
        if ident == 0:
            device.refused(0x05, 0x14)
        else:
            info = device.command(0x14)[1]
            equal(len(info), 12 if ident == 2 else 20, name + " info")
            if ident != 2:
                equal(info[12:16], struct.pack("<I", ident), name + " id")
        got = device.command(0x0A, struct.pack("<I", 0x40001000))[0]
        if magic is not None:
            equal(got, magic, name + " magic")
        w0 = device.command(0x0A, struct.pack("<I", mac))[0]
        w1 = device.command(0x0A, struct.pack("<I", mac + 4))[0]
        equal((struct.pack(">I", w1)[2:] + struct.pack(">I", w0)).hex(":"),
              "7c:df:a1:02:03:04", name + " MAC")
        for register, value in ((offsets[0], 1 << 31 | 1 << 28),
                                (offsets[1], 7 << 28 | 0x9F),
                                (offsets[2], 23), (offsets[3], 0),
                                (0, 1 << 18)):
            device.command(0x09, struct.pack("<4I", spi + register, value,
                                             0xFFFFFFFF, 0))
        busy = device.command(0x0A, struct.pack("<I", spi))[0]
        equal(busy & 1 << 18, 0, name + " SPI done")
        equal(device.command(0x0A, struct.pack("<I", spi + offsets[3]))[0],
              0x1740EF, name + " JEDEC id")
        wrong = struct.pack("<4I", 0, 0, 0x400, 0)
        device.refused(0x05, 0x02, wrong + (b"\0" * 4 if words == 4 else b""))
        device.stop()


@test
def reset_circuit(folder):
    device = Device(folder)
    device.read_until(b"boot:0x13 (SPI_FAST_FLASH_BOOT)")
    device.read_until(b"invalid header: 0xffffffff\r\n")
    # The classic sequence, one line after the other.
    for text in ("D0R0", "D0R1"):
        device.set_lines(text)
    device.drain()
    equal(device.drain(0.05), b"", "held in reset")
    for text in ("D1R1", "D1R0"):
        device.set_lines(text)
    device.read_until(b"boot:0x3 (DOWNLOAD_BOOT(UART0))")
    device.set_lines("D0R0")
    device.sync()
    # A client that goes leaves the lines alone, and another may come.
    device.lines.close()
    device.lines = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    device.lines.connect(device.link + ".lines")
    device.sync()
    device.set_lines("D0R1")
    device.set_lines("D0R0")
    device.read_until(b"rst:0x1 (POWERON),boot:0x13")
    device.lines.send(b"D2R0")
    equal(device.lines.recv(16), b"error", "a wrong message")
    device.stop()


@test
def rates(folder):
    device = Device(folder)
    device.loader()
    for rate in (460800, 921600, 1500000, 74880):
        device.command(0x0F, struct.pack("<II", rate, 0))
        device.set_rate(rate)
        device.command(0x0A, struct.pack("<I", 0x40001000))
        # Two in a hundred off is still understood, five is not.
        device.set_rate(rate * 102 // 100)
        device.command(0x0A, struct.pack("<I", 0x40001000))
        device.set_rate(rate * 105 // 100)
        device.write(GOLDEN["magic"])
        check(b"\x01\x0a" not in device.drain(0.1), "understood 5 % off")
        device.set_rate(rate)
        device.write(b"\xc0")
        device.drain(0.02)
        device.command(0x0A, struct.pack("<I", 0x40001000))
    device.reset_run()
    device.set_rate(9600)
    device.drain(0.05)
    check(b"invalid" not in device.drain(0.02), "text at a wrong rate")
    device.stop()


@test
def flash_rules(folder):
    device = Device(folder)
    device.reset_loader()
    device.sync()
    block = struct.pack("<5I", 0x1000, 4, 0x400, 0, 0)
    device.refused(0x06, 0x02, block)
    device.command(0x0D, struct.pack("<II", 0, 0))
    far = struct.pack("<5I", 0x1000, 4, 0x400, 0x300000, 0)
    device.refused(0x06, 0x02, far)
    device.command(0x0B, struct.pack("<6I", 0, 4 << 20, 0x10000, 0x1000,
                                     0x100, 0xFFFF))
    device.command(0x02, far)
    # Programming only clears bits until the next erase.
    for first in (b"\x0f", b"\xf3"):
        device.command(0x02, struct.pack("<5I", 0, 1, 0x400, 0x1000, 0))
        device.command(0x03, struct.pack("<4I", 1, 0, 0, 0) + first, first)
    equal(device.md5(0x1000, 1).decode(), hashlib.md5(b"\x03").hexdigest(),
          "AND of both")
    device.command(0x02, struct.pack("<5I", 1, 1, 0x400, 0x1000, 0))
    equal(device.md5(0x1000, 4096).decode(),
          hashlib.md5(b"\xff" * 4096).hexdigest(), "erased sector")
    # A wrong checksum closes the download; a wrong order is refused.
    data = struct.pack("<4I", 4, 0, 0, 0) + b"abcd"
    device.refused(0x07, 0x03, data, b"abce")
    device.refused(0x05, 0x03, data, b"abcd")
    device.command(0x02, struct.pack("<5I", 0x1000, 2, 0x400, 0x1000, 0))
    device.refused(0x05, 0x03, struct.pack("<4I", 4, 1, 0, 0) + b"abcd",
                   b"abcd")
    device.command(0x03, data, b"abcd")
    device.refused(0x05, 0xD2, b"")
    device.command(0x04, struct.pack("<I", 1))
    device.write(GOLDEN["sync"])
    check(device.frame(0.2) is None, "answered after FLASH_END")
    device.stop()


@test
def deflate(folder):
    device = Device(folder)
    device.loader()
    image = (b"station " * 9000 + os.urandom(9000))
    device.write_checked(0x10000, image)
    packed = bytearray(zlib.compress(image[:3000] * 2, 9))
    packed[-1] ^= 1
    device.begin(0x10, 0x1800, 8, 0)
    blocks = [bytes(packed[i:i + 0x400])
              for i in range(0, len(packed), 0x400)]
    for sequence, block in enumerate(blocks):
        data = struct.pack("<4I", len(block), sequence, 0, 0) + block
        if sequence + 1 == len(blocks):
            device.refused(0x0C, 0x11, data, block)
        else:
            device.command(0x11, data, block)
    junk = b"\xff" * 64
    device.begin(0x10, 0x1000, 4, 0)
    device.refused(0x0B, 0x11, struct.pack("<4I", 64, 0, 0, 0) + junk, junk)
    long = zlib.compress(b"x" * 5000)
    device.begin(0x10, 0x1000, 4, 0)
    device.refused(0x0D, 0x11, struct.pack("<4I", len(long), 0, 0, 0) + long,
                   long)
    device.stop()


@test
def firmware_boots(folder):
    for chip in CHIPS:
        device = Device(folder, "--chip", chip, "--serial", "SN7",
                        name=chip)
        recipe, images = firmware(folder, chip)
        equal(recipe["extra_esptool_args"]["chip"], chip, "chip of recipe")
        check(CHIPS[chip][5] in images, "boot loader's offset")
        provision(device, folder, chip)
        equal(device.say("id"), "id serial=SN7 mac=24:6f:28:00:00:01 "
              "chip=%s fw=3.1.4" % chip, "id")
        device.stop()


@test
def firmware_form(folder):
    _, images = firmware(folder, kib=256)
    app = images[0x20000]
    equal(len(app), 256 * 1024, "length")
    ratio = len(zlib.compress(app, 9)) / len(app)
    check(0.55 < ratio < 0.59, "compressed to %.3f" % ratio)
    equal(app[-32:], hashlib.sha256(app[:-32]).digest(), "appended digest")
    _, again = firmware(folder, kib=256)
    equal(again, images, "the same seed")
    table = images[0x8000]
    entries = {table[at + 12:at + 28].rstrip(b"\0").decode(): struct.unpack(
        "<BBII", table[at + 2:at + 12])
               for at in range(0, 0xC00, 32)
               if table[at:at + 2] == b"\xaa\x50"}
    equal(entries["esp_secure_cert"], (0x3F, 0, 0xD000, 0x2000), "TLV")
    equal(entries["fctry"][:3], (1, 2, 0x10000), "NVS")
    equal(entries["factory"][:3], (0, 0, 0x20000), "application")


@test
def damaged_firmware(folder):
    _, images = firmware(folder)
    device = Device(folder)
    for place, at in ((0, 0), (0x8000, 40), (0x20000, 12), (0x20000, 5000)):
        device.loader()
        for offset, image in images.items():
            image = bytearray(image)
            if offset == place:
                image[at] ^= 0x55
            device.write_checked(offset, bytes(image))
        device.reset_run()
        text = device.read_until(b"invalid header: 0x")
        check(b"console" not in text, "booted a damaged image")
    device.stop()


@test
def secure_cert(folder):
    key, cert = pair_make(folder, "a", "SN0042")
    other, _ = pair_make(folder, "b", "SN0042")
    ca = cert.replace("A", "A")
    device = Device(folder, "--serial", "FACTORY")
    records = [(0, ca.encode() + b"\0"), (1, cert.encode() + b"\0"),
               (2, key.encode() + b"\0"), (51, b"SN0042\0"),
               (52, b"x-ats.iot.eu-west-1.amazonaws.com\0"),
               (53, b"Fleet\0")]
    provision(device, folder, extra={0xD000: tlv_image(records)})
    digest = hashlib.sha256(cert.encode()).hexdigest()
    equal(device.say("creds"), "creds ca=%s cert=%s key=match serial=SN0042 "
          "endpoint=x-ats.iot.eu-west-1.amazonaws.com template=Fleet"
          % (digest, digest), "creds")
    check(device.say("id").startswith("id serial=SN0042 "), "serial")
    for change, wanted in (
            ([(2, other.encode() + b"\0"), records[1]], "key=mismatch"),
            ([records[1]], "key=none"),
            ([(9, hashlib.sha256(b"").digest())], "cert=none"),
            ([records[1], (9, b"\0" * 32)], "cert=none"),
            ([records[1], (9, hashlib.sha256(
                tlv(*records[1])).digest())], "cert=" + digest)):
        device.loader()
        device.write_checked(0xD000, tlv_image(change))
        device.reset_run()
        device.console()
        answer = device.say("creds")
        check(wanted in answer, "%s not in %s" % (wanted, answer))
        check("serial=FACTORY" in answer, "factory serial in " + answer)
    # DER is allowed too; its digest is that of the bytes.
    status, der, _ = openssl(folder, "x509", "-in", "a.pem", "-outform",
                             "DER")
    equal(status, 0, "openssl x509")
    status, key_der, _ = openssl(folder, "ec", "-in", "a.key", "-outform",
                                 "DER")
    device.loader()
    device.write_checked(0xD000, tlv_image([(1, der), (2, key_der)]))
    device.reset_run()
    device.console()
    check("cert=%s key=match" % hashlib.sha256(der).hexdigest()
          in device.say("creds"), "DER")
    broken = bytearray(tlv_image(records))
    broken[20] ^= 1
    device.loader()
    device.write_checked(0xD000, bytes(broken))
    device.reset_run()
    device.console()
    check("ca=none cert=none key=none" in device.say("creds"), "bad CRC")
    device.stop()


@test
def nvs(folder):
    key, cert = pair_make(folder, "a", "SN0042")
    device = Device(folder)
    entries = (nvs_text(1, "serial_no", "SN0042")
               + nvs_text(1, "endpoint", "e.example")
               + nvs_text(1, "template", "T")
               + nvs_text(1, "client_cert", cert)
               + nvs_blob(1, "client_key", key.encode()))
    provision(device, folder, extra={0x10000: nvs_image(entries)})
    digest = hashlib.sha256(cert.encode()).hexdigest()
    equal(device.say("creds"), "creds ca=none cert=%s key=match "
          "serial=SN0042 endpoint=e.example template=T" % digest, "creds")
    for damage in (28, 0x64, 0x7c, 0x80):
        image = bytearray(nvs_image(entries))
        image[damage] ^= 1
        device.loader()
        device.write_checked(0x10000, bytes(image))
        device.reset_run()
        device.console()
        check("serial=- " in device.say("creds"), "damage at %x" % damage)
    device.stop()


def csr_take(device):
    answer = device.say("csr")
    check(answer.endswith("\r\ncsr ok"), "csr answer %r" % answer)
    return answer[:-len("csr ok")].replace("\r\n", "\n").encode()


def cert_import(device, pem):
    device.say("cert begin", b". ")
    for line in pem.splitlines():
        device.write(line.encode() + b"\n")
        device.read_until(line.encode() + b"\r\n. ")
    device.write(b".\r\n")
    device.read_until(b".\r\n")
    return device.read_until(b"\r\n> ")[:-4].decode()


def certify(folder, csr, name="ca"):
    """A certificate for the request, signed by a CA of its own."""
    pair_make(folder, name, "CA")
    status, pem, why = openssl(folder, "x509", "-req", "-CA", name + ".pem",
                               "-CAkey", name + ".key", "-days", "30",
                               "-set_serial", "7", data=csr)
    equal(status, 0, "openssl x509: %r" % why)
    return pem.decode()


@test
def own_key(folder):
    state = os.path.join(folder, "state")
    device = Device(folder, "--serial", "SN0009", "--state", state)
    provision(device, folder)
    equal(device.say("csr"), "error: no key", "csr without a key")
    equal(device.say("key generate"), "key ok", "key")
    equal(device.say("key generate"), "key exists", "second key")
    csr = csr_take(device)
    status, text, _ = openssl(folder, "req", "-verify", "-noout", "-subject",
                              data=csr)
    equal(status, 0, "openssl req -verify")
    check(b"CN = SN0009" in text, "subject %r" % text)
    pem = certify(folder, csr)
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    equal(device.say("cert show"), "cert none", "cert show")
    equal(cert_import(device, pem), "cert stored %d bytes" % len(der),
          "import")
    shown = "cert sha256=" + hashlib.sha256(der).hexdigest()
    equal(device.say("cert show"), shown, "cert show")
    _, foreign = pair_make(folder, "x", "SN0009")
    equal(cert_import(device, foreign),
          "error: certificate does not match key", "foreign certificate")
    equal(cert_import(device, "junk"), "error: bad certificate", "junk")
    equal(device.say("cert show"), shown, "cert after refusals")
    # The same unit, plugged in again, still is what it was.
    device.stop()
    device.start()
    device.read_until(b"product console ready\r\n> ")
    equal(device.say("cert show"), shown, "after replugging")
    again = csr_take(device)
    equal(openssl(folder, "req", "-noout", "-pubkey", data=again)[1],
          openssl(folder, "req", "-noout", "-pubkey", data=csr)[1],
          "key after replugging")
    equal(device.say("key erase"), "key ok", "erase")
    equal(device.say("cert show"), "cert none", "cert after erase")
    device.stop()


@test
def console_manners(folder):
    device = Device(folder, "--serial", "S")
    provision(device, folder)
    device.write(b"id\r\n")
    device.read_until(b"fw=3.1.4\r\n> ")
    device.write(b"id\n")
    device.read_until(b"fw=3.1.4\r\n> ")
    equal(device.drain(), b"", "after CRLF and LF")
    device.write(b"nonsense\x03")
    device.read_until(b"^C\r\n> ")
    device.write(b"ix\x7fd\r")
    device.read_until(b"fw=3.1.4\r\n> ")
    equal(device.say("frobnicate"), "error: unknown command", "unknown")
    device.write(b"y" * 600 + b"\r")
    device.read_until(b"error: line too long\r\n> ")
    device.write(b"reset\r")
    device.read_until(b"resetting\r\n")
    device.read_until(b"rst:0xc ")
    device.console()
    device.stop()


@test
def heartbeat(folder):
    device = Device(folder, "--heartbeat-ms", "60")
    provision(device, folder)
    device.write(b"i")
    text = device.read_until(b"heartbeat\r\n> i")
    check(re.search(rb"\r\x1b\[KI \(\d+\) app: heartbeat", text), "log line")
    device.stop()


@test
def host_comes_and_goes(folder):
    log = os.path.join(folder, "log")
    device = Device(folder, "--log", log)
    device.read_until(b"invalid header")
    device.close()

    def resets():
        with open(log, encoding="ascii") as file:
            return file.read().count(" reset 0x")

    before = resets()
    wait_for(lambda: resets() > before, "reset while closed")
    device.open()
    check(b"rst:" not in device.read_some(0.05),
          "kept bytes while nobody had it open")
    device.stop()


@test
def unplug(folder):
    device = Device(folder)
    device.read_until(b"invalid header")
    device.drain()
    fd, device.fd = device.fd, -1
    device.stop()
    check(not os.path.lexists(device.link), "the link is left behind")
    check(not os.path.lexists(device.link + ".lines"), "the socket is left")
    try:
        check(os.read(fd, 10) == b"", "reads after the unplug")
    except OSError:
        pass
    os.close(fd)


@test
def real_time(folder):
    device = Device(folder, "--real-time")
    device.loader()
    device.command(0x0F, struct.pack("<II", 460800, 0))
    device.set_rate(460800)
    image = os.urandom(64 * 1024)
    start = time.monotonic()
    device.write_checked(0x10000, image)
    spent = time.monotonic() - start
    # 64 KiB at 460800 are 1.42 s, erase 0.15 s, pages 0.1 s.
    check(spent > 1.5, "64 KiB took only %.2f s" % spent)
    check(spent < 3 * SCALE, "64 KiB took %.2f s" % spent)
    device.stop()


@test
def fault_silent(folder):
    device = Device(folder, "--fault", "silent")
    for text in ("D0R1", "D1R0"):
        device.set_lines(text)
    device.write(GOLDEN["sync"] * 3)
    equal(device.drain(0.3), b"", "a silent device")
    device.stop()


@test
def fault_garbage(folder):
    device = Device(folder, "--fault", "garbage")
    device.set_lines("D0R1")
    device.set_lines("D1R0")
    wait_for(lambda: device.drain(0.01), "noise")
    device.write(GOLDEN["sync"] * 3)
    check(b"\x01\x08\x04" not in device.drain(0.2), "answers in noise")
    device.stop()


@test
def fault_reset_loop(folder):
    _, images = firmware(folder)
    device = Device(folder, "--fault", "reset-loop")
    device.loader()
    for offset, image in images.items():
        device.write_checked(offset, image)
    device.reset_run()
    for _ in range(2):
        device.read_until(b"Guru Meditation")
    device.stop()


@test
def fault_unplug(folder):
    device = Device(folder, "--fault", "unplug=200")
    device.reset_loader()
    device.write(GOLDEN["sync"] * 8)
    equal(device.process.wait(10 * SCALE), 0, "exit status")
    check(not os.path.lexists(device.link), "link left behind")
    device.process = None
    device.stop()
    device = Device(folder, "--fault", "unplug", "--seed", str(SEED))
    try:
        device.loader()
        device.write_deflated(0, os.urandom(100000))
        raise Failure("was not unplugged")
    except OSError:
        pass
    device.process.wait(10 * SCALE)
    device.process = None
    device.stop()


@test
def fault_wrong_chip(folder):
    device = Device(folder, "--fault", "wrong-chip=esp32s2")
    device.loader()
    equal(device.command(0x0A, struct.pack("<I", 0x40001000))[0], 0x7C6,
          "magic")
    device.stop()


@test
def fault_keys(folder):
    keys = []
    for name in ("one", "two"):
        device = Device(folder, "--fault", "same-key", "--serial", name,
                        name=name)
        provision(device, folder)
        equal(device.say("key generate"), "key ok", "key")
        status, public, _ = openssl(folder, "req", "-verify", "-noout",
                                    "-pubkey", data=csr_take(device))
        equal(status, 0, "openssl req -verify")
        keys.append(public)
        device.stop()
    equal(keys[0], keys[1], "shared key")


@test
def fault_requests(folder):
    device = Device(folder, "--fault", "csr-serial=EVIL", "--serial", "S1")
    provision(device, folder)
    device.say("key generate")
    status, text, _ = openssl(folder, "req", "-verify", "-noout", "-subject",
                              data=csr_take(device))
    check(status == 0 and b"CN = EVIL" in text, "subject %r" % text)
    device.stop()
    device = Device(folder, "--fault", "csr-signature", "--serial", "S1",
                    name="second")
    provision(device, folder)
    device.say("key generate")
    csr = csr_take(device)
    status, _, why = openssl(folder, "req", "-verify", "-noout", data=csr)
    check(status != 0 or b"failure" in why, "a wrong signature verifies")
    equal(openssl(folder, "req", "-noout", "-subject", data=csr)[0], 0,
          "still parses")
    device.stop()


@test
def fault_slow_flash(folder):
    device = Device(folder, "--fault", "slow-flash=2")
    device.loader()
    start = time.monotonic()
    device.begin(0x02, 0x4000, 16, 0)
    spent = time.monotonic() - start
    check(spent > 4 * 2 * 0.045, "erase took only %.3f s" % spent)
    device.stop()


@test
def fault_md5(folder):
    device = Device(folder, "--fault", "md5-mismatch")
    device.loader()
    device.write_deflated(0, b"a" * 5000)
    check(device.md5(0, 5000).decode() != hashlib.md5(b"a" * 5000)
          .hexdigest(), "reads back right")
    device.stop()


@test
def fault_small_flash(folder):
    device = Device(folder, "--fault", "small-flash")
    device.loader()
    device.write_checked(0x300000, b"high" * 1024)
    equal(device.md5(0x100000, 4096).decode(),
          hashlib.md5(b"high" * 1024).hexdigest(), "wraps around")
    device.stop()


@test
def fault_secure_download(folder):
    device = Device(folder, "--fault", "secure-download")
    device.loader()
    equal(device.command(0x14)[1][0] & 4, 4, "flag")
    device.refused(0x05, 0x0A, struct.pack("<I", 0x40001000))
    device.refused(0x05, 0x13, struct.pack("<4I", 0, 16, 0, 0))
    device.refused(0x05, 0x10, struct.pack("<5I", 0, 1, 0x400, 0, 0))
    device.begin(0x02, 0x1000, 4, 0)
    device.command(0x03, struct.pack("<4I", 4, 0, 0, 0) + b"abcd", b"abcd")
    device.stop()
    device = Device(folder, "--security-flags", "1", name="second")
    device.loader()
    equal(device.command(0x14)[1][0], 1, "flags")
    device.stop()


@test
def fault_baud_refuse(folder):
    device = Device(folder, "--fault", "baud-refuse")
    device.loader()
    device.command(0x0F, struct.pack("<II", 460800, 0))
    device.set_rate(460800)
    device.command(0x0A, struct.pack("<I", 0x40001000))
    device.command(0x0F, struct.pack("<II", 921600, 0))
    device.set_rate(921600)
    device.write(GOLDEN["magic"] * 3)
    check(b"\x01\x0a" not in device.drain(0.2), "understood at 921600")
    device.loader()
    device.stop()


@test
def fault_swap(folder):
    device = Device(folder, "--fault", "swap", "--serial", "S1")
    provision(device, folder)
    equal(device.say("id"), "id serial=S1-OTHER mac=24:6f:28:00:00:81 "
          "chip=esp32c3 fw=3.1.4", "id of the other")
    device.stop()


@test
def fault_brownout(folder):
    device = Device(folder, "--fault", "brownout")
    device.loader()
    image = os.urandom(20000)
    try:
        device.write_deflated(0x20000, image, seconds=0.5)
        raise Failure("no brownout")
    except Failure as failure:
        check("no answer" in str(failure), str(failure))
    device.reset_run()
    device.loader()
    device.write_checked(0x20000, image)
    device.stop()


@test
def fault_drop_block(folder):
    device = Device(folder, "--fault", "drop-block")
    device.loader()
    image = os.urandom(10 * 0x400)
    device.begin(0x02, len(image), 10, 0)
    dropped = 0
    for sequence in range(10):
        block = image[sequence * 0x400:][:0x400]
        data = struct.pack("<4I", len(block), sequence, 0, 0) + block
        try:
            device.command(0x03, data, block, seconds=0.5)
        except Failure:
            dropped += 1
            device.command(0x03, data, block)
    equal(dropped, 1, "dropped blocks")
    equal(device.md5(0, len(image)).decode(), hashlib.md5(image).hexdigest(),
          "MD5")
    device.stop()


@test
def list_faults(_folder):
    done = subprocess.run([os.path.join(BIN, "bench-device"),
                           "--list-faults"], capture_output=True, check=True)
    names = re.findall(r"^([a-z0-9-]+)", done.stdout.decode(), re.M)
    covered = ("silent garbage reset-loop unplug wrong-chip same-key "
               "csr-serial csr-signature slow-flash md5-mismatch small-flash "
               "secure-download baud-refuse swap brownout drop-block "
               # bench_network_test.py has these:
               "wifi-never wifi-keep provision-rejected claim-keep "
               "wrong-birth no-connection old-certificate")
    equal(sorted(names), sorted(covered.split()), "faults")
    done = subprocess.run([os.path.join(BIN, "bench-device"), "--link", "x",
                           "--fault", "none-such"], capture_output=True,
                          check=False)
    equal(done.returncode, 64, "unknown fault")


def plan_make(folder, *options):
    manifest = os.path.join(folder, "manifest.csv")
    plan = os.path.join(folder, "plan.csv")
    subprocess.run([os.path.join(BIN, "bench-units"), "--manifest", manifest,
                    "--plan", plan, *options], check=True)
    with open(manifest, newline="", encoding="ascii") as file:
        rows = file.read()
    check(rows.endswith("\r\n") and "\n" not in rows.replace("\r\n", ""),
          "line ends of the manifest")
    with open(plan, newline="", encoding="ascii") as file:
        units = [line.split(",") for line in file.read().split("\r\n")[1:-1]]
    return rows.split("\r\n")[:-1], units


@test
def units(folder):
    rows, plan = plan_make(
        folder, "--units", "40",
        "--faults=common,key,wifi,fleet,birth,first", "--seed", str(SEED))
    equal(rows[0], "serial,mac", "header")
    equal(len(set(rows[1:])), 40, "rows")
    known = {row.split(",")[0] for row in rows[1:]}
    done = subprocess.run([os.path.join(BIN, "bench-device"),
                           "--list-faults"], capture_output=True, check=True)
    names = set(re.findall(r"^([a-z0-9-]+)", done.stdout.decode(), re.M))
    equal({unit[3] for unit in plan} - {""}, names, "faults in the plan")
    strangers = [unit for unit in plan if unit[0] not in known]
    equal([unit[4] for unit in strangers], ["not-in-manifest"], "strangers")
    serials = [unit[0] for unit in plan]
    twice = [unit for i, unit in enumerate(plan) if unit[0] in serials[:i]]
    equal([unit[4] for unit in twice], ["done"], "put back")
    shared = [unit[4] for unit in plan if unit[3] == "same-key"]
    equal((len(shared) >= 2, shared[0], set(shared[1:])),
          (True, "PASS", {"duplicate-key"}), "shared keys")
    _, plan = plan_make(folder, "--units", "24", "--faults=wifi")
    equal({unit[3] for unit in plan} - {""}, {"wifi-never", "wifi-keep"},
          "faults of a group")
    _, plan = plan_make(folder, "--units", "30", "--faults")
    check("same-key" in {unit[3] for unit in plan} and
          "wifi-never" not in {unit[3] for unit in plan}, "faults at large")
    _, plan = plan_make(folder, "--units", "10")
    equal({(unit[3], unit[4]) for unit in plan}, {("", "PASS")}, "good plan")


@test
def hands(folder):
    _, plan = plan_make(folder, "--units", "5", "--seed", str(SEED))
    process = subprocess.Popen(
        [os.path.join(BIN, "bench-hands"), "--dir", folder, "--slots", "2",
         "--units", os.path.join(folder, "plan.csv"), "--handling-ms", "20",
         "--", "--heartbeat-ms", "0"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen = []
    try:
        while True:
            line = process.stdout.readline()
            if not line:
                break
            act = json.loads(line)
            if act["act"] != "plug":
                continue
            seen.append(act["serial"])
            link = os.path.join(folder, "slot" + act["slot"])
            wait_for(lambda at=link: os.path.islink(at), "link")
            check(os.path.exists(link + ".lines"), "no lines")
            process.stdin.write(json.dumps(
                {"event": "progress", "slot": act["slot"]}) + "\n")
            process.stdin.write(json.dumps(
                {"event": "verdict", "slot": act["slot"],
                 "verdict": "PASS"}) + "\n")
            process.stdin.flush()
        equal(process.wait(10 * SCALE), 0, "exit status")
        check("hands: done" in process.stderr.read(), "not done")
        equal(sorted(seen), sorted(unit[0] for unit in plan), "units")
        check(not os.path.lexists(os.path.join(folder, "slot1")), "link left")
        check(os.path.exists(os.path.join(
            folder, "unit-%s.flash" % plan[0][0])), "no state")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@test
def hands_stop(folder):
    plan_make(folder, "--units", "4")
    process = subprocess.Popen(
        [os.path.join(BIN, "bench-hands"), "--dir", folder, "--slots", "3",
         "--units", os.path.join(folder, "plan.csv")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        for slot in (1, 2, 3):
            wait_for(lambda n=slot: os.path.islink(
                os.path.join(folder, "slot%d" % n)), "link")
        process.send_signal(signal.SIGTERM)
        equal(process.wait(10 * SCALE), 0, "exit status")
        left = [name for name in os.listdir(folder)
                if name.startswith("slot") and not name.endswith(".log")]
        equal(left, [], "left behind")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@test
def hands_killed(folder):
    plan_make(folder, "--units", "2")
    process = subprocess.Popen(
        [os.path.join(BIN, "bench-hands"), "--dir", folder, "--slots", "2",
         "--units", os.path.join(folder, "plan.csv")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    links = [os.path.join(folder, "slot%d" % n) for n in (1, 2)]
    try:
        for link in links:
            wait_for(lambda at=link: os.path.islink(at), "link")
    finally:
        process.kill()
        process.wait()
    for link in links:
        wait_for(lambda at=link: not os.path.lexists(at), "end of a device")


@test
def hands_lose_a_unit(folder):
    plan = os.path.join(folder, "plan.csv")
    with open(plan, "w", encoding="ascii") as file:
        file.write("chip,fault,serial,mac\n"
                   "esp32,unplug=3,A,24:6f:28:00:00:01\n"
                   "esp32,,A,24:6f:28:00:00:02\n"
                   "esp32,,A,24:6f:28:00:00:01\n")
    process = subprocess.Popen(
        [os.path.join(BIN, "bench-hands"), "--dir", folder, "--slots", "1",
         "--units", plan, "--handling-ms", "0", "--exit-at-eof"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)
    link = os.path.join(folder, "slot1")

    def act():
        got = json.loads(process.stdout.readline())
        return got["act"], got["mac"][-1]

    try:
        equal(act(), ("plug", "1"), "first act")
        wait_for(lambda: os.path.islink(link), "link")
        fd = os.open(link, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, b"abcd")
        equal(act(), ("lost", "1"), "second act")
        os.close(fd)
        for wanted in (("unplug", "1"), ("plug", "2"), ("unplug", "2"),
                       ("plug", "1")):
            if wanted[0] == "unplug":
                process.stdin.write('{"event":"verdict","slot":1}\n')
                process.stdin.flush()
            equal(act(), wanted, "act")
            if wanted[0] == "plug":
                wait_for(lambda: os.path.islink(link), "link")
        process.stdin.close()
        equal(act(), ("unplug", "1"), "last act")
        equal(process.wait(10 * SCALE), 0, "exit status")
        equal(sorted(name for name in os.listdir(folder)
                     if name.endswith(".flash")),
              ["unit-A-2.flash", "unit-A.flash"], "states")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def run(function):
    folder = tempfile.mkdtemp(prefix="bench-")
    start = time.monotonic()
    made = []
    original = Device.__init__

    def remember(self, *arguments, **named):
        made.append(self)
        original(self, *arguments, **named)

    Device.__init__ = remember
    try:
        function(folder)
        print("ok - bench %s # %.1f s" % (
            function.__name__, time.monotonic() - start), flush=True)
        return True
    except Exception as error:  # every failure is a line of the report
        print("not ok - bench %s: %s: %s" % (
            function.__name__, type(error).__name__, error), flush=True)
        return False
    finally:
        Device.__init__ = original
        for device in made:
            if device.process is not None and device.process.poll() is None:
                device.process.kill()
                device.process.wait()
            device.close()
        shutil.rmtree(folder)


def main(tests):
    print("# seed %d" % SEED)
    wanted = sys.argv[1:]
    results = [run(function) for function in tests
               if not wanted or function.__name__ in wanted]
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main(TESTS)
