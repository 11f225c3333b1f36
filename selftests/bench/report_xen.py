# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
"""What dom0-xen and dom0-xen-map left behind: for report.py.

The clock of these machines counts instructions, NS of each, whoever executes them: Xen,
dom0 or the guest. What else the host does changes nothing, so means mean something."""
import glob
import json
import os
import statistics

NS = 4
LOADS = {
    "qd1": ("4 KiB random reads, queue depth 1 (psync), p50 us", "us"),
    "qd16": ("4 KiB random reads, queue depth 16 (io_uring), IOPS", "IOPS"),
}
SERVERS = {
    "vbe": "vbe-blk, virtio-pci",
    "blkback": "xen-blkback on a loop device, xen-blkfront",
    "qdisk": "QEMU's qdisk, xen-blkfront",
}
STEPS = ["map", "first", "again", "unmap"]


def load_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def load_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def value_of(load, read):
    if load == "qd1":
        return read["lat_ns"]["percentile"]["50.000000"] / 1e3
    return read["iops"]


def collect(folder, load):
    """{server: {median, all}}"""
    values = {}
    for path in sorted(glob.glob(f"{folder}/fio-xen-{load}-*.json")):
        for job in load_json(path)["jobs"]:
            if job["error"] or not job["read"]["total_ios"]:
                raise SystemExit(f"{path}: {job['jobname']} failed: error {job['error']}")
            values.setdefault(job["jobname"], []).append(round(value_of(load, job["read"]), 1))
    return {server: {"median": statistics.median(v), "all": v} for server, v in values.items()}


def summarise_disks(folder):
    path = f"{folder}/xen-machine.json"
    if not os.path.exists(path):
        return None
    return {**load_json(path), "ns_per_instruction": NS,
            "workloads": {load: collect(folder, load) for load in LOADS},
            "requests_per_interrupt": {
                line["server"]: round(line["requests"] / max(line["interrupts"], 1), 1)
                for line in load_lines(f"{folder}/xen-irqs.jsonl")}}


def summarise_maps(folder):
    """{machine: {kernel, clock_ns, rows}}: rows as xen-map printed them"""
    found = {}
    for path in sorted(glob.glob(f"{folder}/xen-map-*.jsonl")):
        lines = load_lines(path)
        with open(path.replace(".jsonl", ".kernel"), encoding="utf-8") as file:
            kernel = file.read().strip()
        found[lines[0]["machine"]] = {
            "kernel": kernel, "ns_per_instruction": NS,
            "clock_ns": min(line["clock"] for line in lines if "clock" in line),
            "rows": [line for line in lines if "way" in line]}
    return found


def summarise(folder):
    return {"disks": summarise_disks(folder), "maps": summarise_maps(folder)}


def print_disks(disks):
    print(f"\nXen {disks['xen']}, one CPU: a guest ({disks['guest']}) with the same file of its "
          f"dom0\n({disks['dom0']}) on three disks. The clock counts {NS} ns for an instruction, "
          "and nothing else.")
    for load, (text, _) in LOADS.items():
        servers = disks["workloads"][load]
        print(f"\n{text}: median, and each round")
        for server, entry in servers.items():
            print(f"  {server:<14}{entry['median']:>10.1f}   "
                  + " ".join(f"{v:.1f}" for v in entry["all"]) + f"   {SERVERS[server]}")
    print("\nRequests that one interrupt of the guest completes, at queue depth 16")
    for server, count in disks["requests_per_interrupt"].items():
        print(f"  {server:<14}{count:>10.1f}")


def merge_rounds(rows):
    """Where the first round costs what the later ones do, one row is enough."""
    merged = []
    for row in rows:
        last = merged[-1] if merged else None
        if last and row["round"] == "later" and all(
                abs(row[step] - last[step]) <= 0.05 * last[step] + NS for step in STEPS):
            merged[-1] = {**row, "round": "any"}
        else:
            merged.append(row)
    return merged


def print_map(machine, found):
    print(f"\nA page of a Xen guest, reached from dom0 ({machine}, {found['kernel']}): "
          f"instructions\nper page, Xen's and all; {found['clock_ns'] // NS} of each number at a "
          "batch of 1 are the clock's own")
    print(f"\n  {'':<22}{'round':<7}{'batch':>5}"
          f"{'map':>10}{'1st touch':>11}{'2nd touch':>11}{'unmap':>10}")
    pages = None
    for row in merge_rounds(found["rows"]):
        if row["pages"] != pages:
            pages = row["pages"]
            print(f"  {pages}:")
        counts = [row[step] // NS for step in STEPS]
        print(f"  {row['way']:<22}{row['round']:<7}{row['batch']:>5}"
              f"{counts[0]:>10}{counts[1]:>11}{counts[2]:>11}{counts[3]:>10}")


def show(result):
    if result["disks"]:
        print_disks(result["disks"])
    for machine, found in result["maps"].items():
        print_map(machine, found)
