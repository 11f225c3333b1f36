#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
"""Make the benchmark's table, and the same as JSON, of what guest left behind."""
import argparse
import glob
import json
import os
import platform
import statistics
import subprocess
import sys

import report_xen
from split import split

WORKLOADS = [
    ("qd1", "4 KiB random reads, queue depth 1 (psync)", "p50 us"),
    ("qd16", "4 KiB random reads, queue depth 16 (io_uring)", "IOPS at the median latency"),
    ("seq", "128 KiB sequential reads, queue depth 1 (psync)", "MiB/s at the median latency"),
]
BACKENDS = {
    "vbe": "vbe-blk --null; zeroes the buffer",
    "vbe-packed": "the same on a packed ring",
    "vduse": "qemu-storage-daemon null-co,read-zeroes=on; zeroes the buffer",
    "nbd": "nbdkit null on a unix socket; zeroes the buffer",
    "ublk": "ublk-null.c of this folder; zeroes the buffer",
    "null_blk": "in the kernel, no server; leaves the buffer alone",
}


SERVERS = {
    "vbe": "vbe-blk behind vbe-vhost-user",
    "qsd": "qemu-storage-daemon, aio=threads (its default)",
    "qsd-uring": "qemu-storage-daemon, aio=io_uring",
}
ACCESSES = {
    "getppid": "for comparison: getppid",
    "eventfd_write": "for comparison: a write to an eventfd",
    "read_magic": "load of virtio-mmio MagicValue",
    "read_status": "load of virtio-mmio Status",
    "notify": "store to virtio-mmio QueueNotify",
    "match_to_eventfd": "store that matches, transport raw, to the eventfd",
}


def load_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def load_lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def value_of(workload, read):
    """Of the median latency, also where it is told as a rate: on a busy host the
    mean says how often the host took the CPU away, not what a request costs."""
    seconds = read["lat_ns"]["percentile"]["50.000000"] / 1e9
    if workload == "qd1":
        return seconds * 1e6
    return 16 / seconds if workload == "qd16" else 0.125 / seconds


def collect(folder, workload):
    """{peer: [value of each round]}"""
    values = {}
    for path in sorted(glob.glob(f"{folder}/fio-{workload}-*.json")):
        for job in load_json(path)["jobs"]:
            if job["error"] or not job["read"]["total_ios"]:
                sys.exit(f"{path}: {job['jobname']} failed: error {job['error']}")
            values.setdefault(job["jobname"], []).append(
                round(value_of(workload, job["read"]), 1))
    return values


def version(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True,
                              check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def times_quicker(workload, vbe, peer):
    """Above 1: vbe is the quicker one."""
    return round(peer / vbe if workload == "qd1" else vbe / peer, 2)


def summarise_blkio(folder):
    """{depth: {server: {median, all}}}: medians of each round's median latency, us"""
    found = {}
    for line in load_lines(f"{folder}/blkio.jsonl"):
        servers = found.setdefault(line["result"]["depth"], {})
        servers.setdefault(line["server"], []).append(
            round(line["result"]["p50_ns"] / 1000, 1))
    return {depth: {server: {"median": statistics.median(v), "all": v}
                    for server, v in servers.items()} for depth, servers in found.items()}


def summarise_access(folder):
    path = f"{folder}/access.json"
    return load_json(path) if os.path.exists(path) else {}


def kernel_of(folder):
    try:
        with open(f"{folder}/kernel", encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def summarise(folder):
    eventfd = [round(load_json(p)["round_trip_ns"] / 1000, 2)
               for p in sorted(glob.glob(f"{folder}/eventfd-*.json"))]
    result = {
        "kernel": kernel_of(folder),
        "emulator": version("qemu-system-x86_64", "--version"),
        "fio": version("fio", "--version"),
        "host": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "rounds": len(eventfd),
        "disks": load_lines(f"{folder}/disks.jsonl"),
        "eventfd_round_trip_us": {"median": statistics.median(eventfd), "all": eventfd}
                                 if eventfd else None,
        "workloads": {},
        "split": {},
        "libblkio": summarise_blkio(folder),
        "access": summarise_access(folder),
        "xen": report_xen.summarise(folder),
    }
    for workload, text, unit in WORKLOADS:
        values = collect(folder, workload)
        if not values:
            continue
        peers = {peer: {"median": statistics.median(v), "all": v}
                 for peer, v in values.items()}
        if "vbe" in peers:
            for entry in peers.values():
                entry["vbe_times_quicker"] = times_quicker(
                    workload, peers["vbe"]["median"], entry["median"])
        result["workloads"][workload] = {"what": text, "unit": unit, "peers": peers}
    for path in sorted(glob.glob(f"{folder}/trace-*.txt")):
        peer = os.path.basename(path)[len("trace-"):-len(".txt")]
        result["split"][peer] = split(path)
    result["expected"] = expectations(result)
    return result


def expectations(result):
    peers = result["workloads"].get("qd1", {"peers": {}})["peers"]
    found = []
    for text, peer, limit in (
            ("at queue depth 1, at most half of VDUSE's latency", "vduse", 0.5),
            ("at queue depth 1, no slower than ublk", "ublk", 1.0)):
        if "vbe" in peers and peer in peers:
            ratio = peers["vbe"]["median"] / peers[peer]["median"]
            found.append({"text": text, "ratio": round(ratio, 3), "limit": limit,
                          "reached": ratio <= limit})
        else:
            found.append({"text": text, "ratio": None, "limit": limit, "reached": None})
    return found + expectations_blkio(result["libblkio"])


def expectations_blkio(depths):
    """Of the pairs of each round, against the better of what the peer can do."""
    found = []
    for depth in (1, 16):
        servers = depths.get(depth, {})
        item = {"text": f"through libblkio at queue depth {depth}, no slower than "
                        "qemu-storage-daemon", "ratio": None, "limit": 1.0, "reached": None}
        if "vbe" in servers:
            peer = min((s for s in servers if s != "vbe"), key=lambda s: servers[s]["median"])
            ratio = statistics.median(
                v / p for v, p in zip(servers["vbe"]["all"], servers[peer]["all"]))
            item.update(ratio=round(ratio, 3), reached=ratio <= 1.0, peer=peer)
        found.append(item)
    return found


def print_ratios(result):
    print("How many times vbe is quicker (below 1: slower), medians of "
          f"{result['rounds']} interleaved rounds:\n")
    heads = {"qd1": "4k QD1", "qd16": "4k QD16", "seq": "128k seq"}
    print(f"  {'':<14}" + "".join(f"{heads[w]:>10}" for w in result["workloads"])
          + "   served by")
    loads = [w["peers"] for w in result["workloads"].values()]
    for peer in loads[0]:
        cells = "".join(f"{load[peer].get('vbe_times_quicker', float('nan')):>10.2f}"
                        for load in loads)
        print(f"  {peer:<14}{cells}   {BACKENDS.get(peer, BACKENDS['vbe'])}")


def print_raw(result):
    for load in result["workloads"].values():
        print(f"\n{load['what']}, {load['unit']}: median, and each round")
        for peer, entry in load["peers"].items():
            print(f"  {peer:<14}{entry['median']:>10.1f}   "
                  + " ".join(f"{v:.1f}" for v in entry["all"]))
    bare = result["eventfd_round_trip_us"]
    print(f"\nbare eventfd round trip, us\n  {'':<14}{bare['median']:>10.1f}   "
          + " ".join(f"{v:.1f}" for v in bare["all"]))


def print_split(result):
    for peer, found in result["split"].items():
        if not found:
            print(f"\n{peer}: the trace shows no whole round trip")
            continue
        print(f"\nWhere the time goes, {peer}: {found['whole_us']} us per request with tracing"
              f" on, {found['switches']:.0f} task switches")
        for part in found["parts"]:
            print(f"  {part['us']:>8.1f} us {100 * part['us'] / found['whole_us']:>4.0f}%  "
                  f"{part['part']}")


def print_floor(result):
    peers = result["workloads"].get("qd1", {"peers": {}})["peers"]
    if "vbe" not in peers or "null_blk" not in peers:
        return
    floor = result["eventfd_round_trip_us"]["median"] + peers["null_blk"]["median"]
    print(f"\nFloor at queue depth 1 (a bare eventfd round trip and null_blk's own time): "
          f"{floor:.1f} us; vbe takes {peers['vbe']['median'] / floor:.1f} times that.")


def print_blkio(result):
    for depth, servers in result["libblkio"].items():
        print(f"\nThrough libblkio, one file: 4 KiB random reads, queue depth {depth}, p50 us: "
              "median, and each round")
        for server, entry in servers.items():
            print(f"  {server:<14}{entry['median']:>10.1f}   "
                  + " ".join(f"{v:.1f}" for v in entry["all"]) + f"   {SERVERS[server]}")


def print_access(result):
    if result["access"]:
        print("\nWhat a VMM hands to vbe with VBE_IOC_GUEST_ACCESS, instructions each, "
              "system call and all")
    for name, count in result["access"].items():
        print(f"  {count:>8}   {ACCESSES[name]}")


def print_expected(result):
    """Returns whether nothing that was measured has missed what is expected."""
    print("\nExpected of vbe:")
    for item in result["expected"]:
        if item["reached"] is None:
            print(f"  not measured  {item['text']}")
        else:
            print(f"  {'REACHED' if item['reached'] else 'NOT REACHED':<13} {item['text']}: "
                  f"{item['ratio']:.2f} times (limit {item['limit']})")
    return all(item["reached"] is not False for item in result["expected"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="what the guest left behind")
    parser.add_argument("--no-gate", action="store_true",
                        help="exit 0 whatever was reached")
    parser.add_argument("--seconds", type=int, help="how long all took")
    args = parser.parse_args()
    result = summarise(args.folder)
    result["seconds"] = args.seconds
    path = os.path.join(args.folder, "bench.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    if result["kernel"]:
        print(f"\nKernel {result['kernel']}, one CPU, {result['emulator']}, {result['fio']}\n")
    if result["workloads"]:
        print_ratios(result)
        print_raw(result)
        print_floor(result)
        print_split(result)
    print_blkio(result)
    print_access(result)
    report_xen.show(result["xen"])
    reached = print_expected(result)
    print(f"\nAll of it as JSON: {path}")
    if args.seconds:
        print(f"Took {args.seconds} s.")
    return 0 if reached or args.no_gate else 1


if __name__ == "__main__":
    sys.exit(main())
