#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`nmisafe convert` and `nmisafe stats`, read back by others: babeltrace2, babeltrace 1.5, protoc, JSON.

    check_convert.py NMISAFE MAKE_TRACE [CASE...]
"""
import collections
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

PROTO = pathlib.Path(__file__).with_name("perfetto.proto")
EVENTS = 12  # of a round; two rounds on each of two CPUs


class Convert(unittest.TestCase):
    tool = make = ""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nmisafe-convert-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.trace = self.folder / "trace"
        subprocess.run([self.make, "scene", self.trace], check=True)

    def run_tool(self, *arguments, status=0):
        done = subprocess.run([self.tool, *map(str, arguments)], capture_output=True, timeout=100, check=False,
                              stdin=subprocess.DEVNULL)
        done.stderr = done.stderr.decode()
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def convert(self, form, *arguments, status=0):
        return self.run_tool("convert", self.trace, "--to", form, *arguments, status=status)

    def babeltrace(self, program, folder):
        done = subprocess.run([program, folder], capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def damage(self, stream, change):
        path = self.trace / stream
        data = bytearray(path.read_bytes())
        path.write_bytes(change(data) or data)

    def test_babeltrace2_reads_what_is_written(self):
        done = self.babeltrace("babeltrace2", self.trace)
        self.assertEqual(len(done.stdout.splitlines()), 4 * EVENTS)
        self.assertEqual(re.findall(r"discarded (\d+) events", done.stderr), ["5"])
        self.assertRegex(done.stdout, r"page_fault_kernel: .*\"trap\" : container = 3 \), depth = 2 .*address = 0x10")

    def test_babeltrace_1_reads_what_is_written(self):
        done = self.babeltrace("babeltrace", self.trace)
        self.assertEqual(len(done.stdout.splitlines()), 4 * EVENTS)
        self.assertIn("discarded 5 events", done.stderr)

    def test_ctf_is_copied(self):
        self.convert("ctf", "-o", self.folder / "copy")
        self.assertEqual(self.babeltrace("babeltrace2", self.folder / "copy").stdout,
                         self.babeltrace("babeltrace2", self.trace).stdout)
        self.assertIn("not empty", self.convert("ctf", "-o", self.folder / "copy", status=2).stderr)
        self.assertIn("--out", self.convert("ctf", status=2).stderr)

    def test_ctf2_has_the_same_events(self):
        text = self.convert("text").stdout
        self.convert("ctf2", "-o", self.folder / "copy")
        fragments = (self.folder / "copy" / "metadata").read_text().split("\x1e")[1:]
        kinds = collections.Counter(json.loads(one)["type"] for one in fragments)
        self.assertEqual(kinds, {"preamble": 1, "trace-class": 1, "clock-class": 1, "data-stream-class": 1,
                                 "event-record-class": 11})
        self.trace = self.folder / "copy"
        self.assertEqual(self.convert("text").stdout, text)
        self.convert("ctf", "-o", self.folder / "back")
        self.babeltrace("babeltrace2", self.folder / "back")

    def test_text(self):
        lines = self.convert("text").stdout.decode().splitlines()
        self.assertEqual(len(lines), 4 * EVENTS + 1)
        self.assertEqual(lines[0], '1700000000.000500500 cpu 0 thread/0 sched_switch: prev_comm="idle", prev_tid=0, '
                                   'next_comm="worker;\\"1\\"", next_tid=17')
        self.assertRegex("\n".join(lines), r"cpu 1 kernel_1: lost 5 events full=5 since 1700000000\.0005\d+")
        self.assertRegex("\n".join(lines), r"cpu 0 trap/2 page_fault_kernel: address=0x10, ip=0x\w+, error_code=0x2")

    def test_text_names_addresses(self):
        """Of this program's own ELF file."""
        symbols = subprocess.run(["nm", "-C", self.tool], capture_output=True, text=True, check=True).stdout
        name = "nmisafe::tool::write_tsdl"
        address = int(next(line.split()[0] for line in symbols.splitlines() if f" T {name}" in line), 16)
        shutil.rmtree(self.trace)
        subprocess.run([self.make, "scene", self.trace, self.tool, hex(address + 4), hex(address + 9)], check=True)
        self.assertRegex(self.convert("text").stdout.decode(), rf"ip={address + 4:#x} <{name}[^>]*\+0x4 at metadata.cpp:\d+>")
        folded = self.convert("folded").stdout.decode().splitlines()
        self.assertEqual(len(folded), 1)
        self.assertRegex(folded[0], rf"^({name}[^;]*);\1 4$")
        profile = json.loads(self.convert("speedscope").stdout)
        frames = profile["shared"]["frames"]
        self.assertTrue(all(name in frame["name"] for frame in frames))
        self.assertTrue(any(frame.get("file", "").endswith("tool/trace/metadata.cpp") and frame["line"] > 0
                            for frame in frames), frames)
        missing = self.convert("text", "--kernel", "/no/such/kernel")
        self.assertIn("/no/such/kernel", missing.stderr)
        self.assertNotIn(b"write_tsdl", missing.stdout)

    def test_speedscope(self):
        profile = json.loads(self.convert("speedscope").stdout)
        self.assertEqual([(one["name"], one["weights"], len(one["samples"])) for one in profile["profiles"]],
                         [("CPU 0", [1, 1], 2), ("CPU 1", [1, 1], 2)])
        for one in profile["profiles"]:
            self.assertEqual((one["type"], one["startValue"], one["endValue"]), ("sampled", 0, 2))
            self.assertTrue(all(frame < len(profile["shared"]["frames"]) for stack in one["samples"]
                                for frame in stack))

    def check_stack(self, spans):
        """spans: (cpu, track, name, begin, end) in nanoseconds."""
        self.assertEqual(len(spans), len(set(spans)))
        for cpu in (0, 1):
            found = {name: [] for name in ("NMI", "#PF", "timer", "read", 'worker;"1"')}
            for one in spans:
                if one[0] == cpu and one[2] in found:
                    found[one[2]].append(one)
            tracks = [{one[1] for one in of} for of in found.values()]
            self.assertTrue(all(len(one) == 1 for one in tracks), tracks)
            self.assertEqual(len(set.union(*tracks)), 5, "each context has a track")
            for inner, outer in zip(list(found.values()), list(found.values())[1:]):
                self.assertEqual((len(inner), len(outer)), (2, 2))
                for (_, _, _, begin, end), (_, _, _, outer_begin, outer_end) in zip(inner, outer):
                    self.assertTrue(outer_begin < begin < end < outer_end)
            self.assertEqual([end - begin for *_, begin, end in found["NMI"]], [1000, 1000])

    def test_chrome(self):
        everything = json.loads(self.convert("chrome").stdout)["traceEvents"]
        self.check_stack([(one["pid"], one["tid"], one["name"], round(one["ts"] * 1000),
                           round((one["ts"] + one["dur"]) * 1000)) for one in everything if one["ph"] == "X"])
        names = {(one["pid"], one["tid"]): one["args"]["name"] for one in everything if one["name"] == "thread_name"}
        for one in everything:
            if one["ph"] == "X" and one["name"] == "NMI":
                self.assertEqual(names[one["pid"], one["tid"]], "NMI")
        faults = [one for one in everything if one["name"] == "page_fault_kernel"]
        self.assertEqual([one["args"]["address"] for one in faults], ["0x10"] * 4)
        self.assertEqual([names[one["pid"], one["tid"]] for one in faults], ["trap"] * 4)
        lost = [one for one in everything if one["name"] == "lost events"]
        self.assertEqual([(one["pid"], one["args"]["events"]) for one in lost], [(1, 5)])

    def test_html(self):
        """What is in the page: each event with its values, the spans of check_stack(), losses, and calls."""
        self.convert("html", "-o", self.folder / "page.html")
        text = (self.folder / "page.html").read_text()
        data = json.loads(re.search(r'<script type="application/json" id="trace">(.*?)</script>', text, re.S)[1])
        names, kinds = data["names"], data["kinds"]
        spans, events = [], []
        for cpu in data["cpus"]:
            begin = 0
            for delta, length, row, name in zip(*(cpu["spans"][key] for key in ("begin", "length", "row", "name"))):
                begin += delta
                spans.append((cpu["cpu"], row, names[name], begin, begin + length))
            values = iter(cpu["events"]["values"])
            for kind in cpu["events"]["kind"]:
                fields = [(field, names[value] if is_text else value)
                          for (field, is_text), value in zip(kinds[kind]["fields"], values)]
                events.append((kinds[kind]["name"], dict(fields)))
            self.assertEqual(list(values), [])
        self.check_stack(spans)
        self.assertEqual(len(events), 4 * EVENTS)
        self.assertEqual([fields["address"] for name, fields in events if name == "page_fault_kernel"], ["0x10"] * 4)
        self.assertEqual([fields["next_comm"] for name, fields in events if name == "sched_switch"][:2],
                         ['worker;"1"', "idle"])
        self.assertEqual([sum(cpu["losses"]["count"]) for cpu in data["cpus"]], [0, 5])
        self.assertEqual(sum(data["calls"]["samples"]), 4)

    def test_perfetto(self):
        self.convert("perfetto", "-o", self.folder / "out.pftrace")
        done = subprocess.run(["protoc", "--decode=Trace", f"--proto_path={PROTO.parent}", PROTO.name],
                              input=(self.folder / "out.pftrace").read_bytes(), capture_output=True, check=True)
        packets = parse_text(done.stdout.decode())["packet"]
        tracks, spans, open_spans, instants = {}, [], {}, []
        for packet in packets:
            self.assertFalse([name for name in packet if name.isdigit()], "fields that are not known")
            for one in packet.get("track_descriptor", []):
                tracks[one["uuid"][0]] = (one["name"][0], one.get("parent_uuid", [None])[0],
                                          one["sibling_order_rank"][0])
            for one in packet.get("track_event", []):
                time, kind, on = packet["timestamp"][0], one["type"][0], one["track_uuid"][0]
                self.assertIn(on, tracks, "a track is described before it is used")
                if kind == 1:
                    self.assertNotIn(on, open_spans)
                    open_spans[on] = (one["name"][0], time)
                elif kind == 2:
                    name, begin = open_spans.pop(on)
                    spans.append((int(tracks[tracks[on][1]][0].split()[1]), on, name, begin, time))
                else:
                    instants.append((tracks[on][0], one))
        self.assertEqual(open_spans, {})
        self.check_stack(spans)
        ranks = {tracks[one[1]][0]: tracks[one[1]][2] for one in spans if one[0] == 0}
        self.assertTrue(ranks["tasks"] < ranks["system calls"] < ranks["interrupt"] < ranks["trap"] < ranks["NMI"])
        faults = [(track, one) for track, one in instants if one["name"][0] == "page_fault_kernel"]
        self.assertEqual([track for track, _ in faults], ["trap"] * 4)
        annotations = {one["name"][0]: one for one in faults[0][1]["debug_annotations"]}
        self.assertEqual(annotations["address"]["pointer_value"][0], 0x10)
        self.assertEqual(sum("previous_packet_dropped" in packet for packet in packets), 1)
        self.assertEqual([one["name"][0] for _, one in instants if one["categories"][0] == "loss"],
                         ["lost 5 events, 0 packets"])

    def test_stats(self):
        found = json.loads(self.run_tool("stats", self.trace, "--json").stdout)
        self.assertEqual((found["events"], found["lost_events"], found["problems"]), (4 * EVENTS, 5, 0))
        self.assertEqual(found["by_name"]["sched_switch"], 8)
        self.assertEqual(found["by_cpu"], {"0": 2 * EVENTS, "1": 2 * EVENTS})
        self.assertEqual(found["lost"]["kernel_1"]["full"], 5)
        self.assertEqual(found["durations"]["NMI"], {"count": 4, "smallest": 1000, "median": 1000, "p99": 1000,
                                                     "p999": 1000, "largest": 1000, "mean": 1000})
        self.assertEqual(found["durations"]["trap #PF"]["largest"], 2500)
        text = self.run_tool("stats", self.trace).stdout.decode()
        self.assertRegex(text, r"kernel_1 +5 +0 +0 +0 +0")
        self.assertRegex(text, r"NMI +4 +1000 +1000")

    def test_what_is_damaged_is_said_and_the_rest_is_written(self):
        self.damage("kernel_0", lambda data: data[:-20])
        (self.trace / "README").write_text("not a stream\n")
        self.assertIn("README", self.convert("text", status=1).stderr)
        done = self.convert("text", status=1)
        self.assertIn("kernel_0", done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 4 * EVENTS)  # one event is cut, one loss is told
        self.assertIn("problem", self.run_tool("stats", self.trace, status=1).stdout.decode())
        # What babeltrace2 refuses whole is mended.
        self.assertNotEqual(subprocess.run(["babeltrace2", self.trace], capture_output=True, check=False).returncode, 0)
        self.convert("ctf", "-o", self.folder / "mended", status=1)
        done = self.babeltrace("babeltrace2", self.folder / "mended")
        self.assertEqual(len(done.stdout.splitlines()), 4 * EVENTS - 1)
        self.assertEqual(re.findall(r"discarded (\d+) events", done.stderr), ["5"])

    def test_what_is_no_trace_is_refused(self):
        for name, change, wanted in (
                (".metadata.ctf2", lambda path: path.unlink(), "foreign trace of CTF 1.8"),
                ("metadata", lambda path: path.unlink(), "no file `metadata`"),
                (".", lambda path: None, "no file `metadata`")):
            change(self.trace / name)
            done = self.convert("text", status=2)
            self.assertIn(wanted, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertEqual(done.stdout, b"")
        self.run_tool("stats", "/no/such/trace", status=2)
        self.run_tool("convert", self.folder, "--to", "png", status=2)
        self.run_tool("convert", status=2)
        self.assertIn(b"perfetto", self.run_tool("convert", "--help").stdout)

    def test_full_disk(self):
        for arguments in (["-o", "/dev/full"], []):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([self.tool, "convert", self.trace, "--to", "text", *arguments], stdout=full,
                                      stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("No space left", done.stderr)
        old = self.folder / "old"
        old.write_text("old")
        done = subprocess.run(["sh", "-c", f"ulimit -f 1; exec {self.tool} convert {self.trace} --to chrome -o {old}"],
                              capture_output=True, check=False)
        self.assertEqual((done.returncode, old.read_text()), (2, "old"))

    def test_memory_does_not_grow_with_the_trace(self):
        """Of a trace of 72 MB: no more than a few MB."""
        subprocess.run([self.make, "many", self.folder / "many", "4000000"], check=True)
        def limit():
            resource.setrlimit(resource.RLIMIT_DATA, (24 << 20, 24 << 20))
        for command in (["convert", self.folder / "many", "--to", "text", "-o", "/dev/null"],
                        ["stats", self.folder / "many"]):
            done = subprocess.run([self.tool, *command], preexec_fn=limit, capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)


def parse_text(text):
    """protoc's text: name -> its values, each a number, a text or such a message."""
    stack = [collections.defaultdict(list)]
    for line in text.splitlines():
        line = line.strip()
        if line == "}":
            stack.pop()
        elif line.endswith(" {"):
            inner = collections.defaultdict(list)
            stack[-1][line[:-2]].append(inner)
            stack.append(inner)
        else:
            name, value = line.split(": ", 1)
            stack[-1][name].append(json.loads(value.replace("\\'", "'")) if value.startswith('"') else
                                   value == "true" if value in ("true", "false") else int(value, 0))
    return stack[0]


if __name__ == "__main__":
    Convert.tool, Convert.make = sys.argv[1:3]
    os.environ["LC_ALL"] = "C.UTF-8"
    unittest.main(argv=[sys.argv[0], *(f"Convert.test_{case}" for case in sys.argv[3:])])
