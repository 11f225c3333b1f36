# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
"""Where the time of one request goes, from a kernel trace at queue depth 1."""
import re
import statistics

LINE = re.compile(r"\s*(?P<comm>.{1,16})-(?P<pid>\d+)\s+\[\d+\]\s+\S+\s+(?P<time>[\d.]+): "
                  r"(?P<event>\w+): (?P<rest>.*)")
NEXT = re.compile(r"next_comm=(.*?) next_pid=(\d+)")
# What runs now and then and serves no disk.
BYSTANDERS = ("swapper", "rcu_", "ksoftirqd", "kworker", "migration")

# Each part of a round trip: name, the event that begins it, the one that ends it.
# Only vbe has kick and call; and no kick when the backend had not gone to sleep yet.
PARTS = [
    ("driver, bounce and kick", "issue", "kick"),
    ("wake the backend", "kick", "server"),
    ("driver and wake the server", "issue", "server"),
    ("backend, to its call", "server", "call"),
    ("call, bounce back, complete", "call", "complete"),
    ("server, and back to the driver", "server", "complete"),
    ("wake the reader", "complete", "reader"),
    ("reader, system call, block layer", "reader", "issue2"),
]


def events(path):
    """Yield (time in us, what, pid of who runs or will run, 0: a bystander)."""
    names = {"block_rq_issue": "issue", "block_rq_complete": "complete",
             "vbe_kick": "kick", "vbe_call": "call"}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = LINE.match(line)
            if not match:
                continue
            time = float(match["time"]) * 1e6
            if match["event"] == "sched_switch":
                found = NEXT.search(match["rest"])
                if found:
                    yield time, "switch", (
                        0 if found[1].startswith(BYSTANDERS) else int(found[2]))
            elif match["event"] in names:
                yield time, names[match["event"]], int(match["pid"])


def requests(path):
    """Yield for each request a dict: event -> time, and switches -> how many."""
    now = None
    for time, what, pid in events(path):
        if what == "issue":
            if now and "reader" in now:
                now["issue2"] = time
                yield now
            now = {"issue": time, "pid": pid, "switches": 0}
            continue
        if now is None:
            continue
        if what == "switch":
            now["switches"] += 1
            if "complete" in now and pid == now["pid"]:
                now.setdefault("reader", time)
            elif pid not in (0, now["pid"]):
                now.setdefault("server", time)
        elif what == "call" and "server" not in now:
            continue
        else:
            now.setdefault(what, time)


def split(path):
    """Medians of the parts, in us; None when the trace shows no round trip."""
    found = list(requests(path))
    if len(found) < 20:
        return None
    calls = 2 * sum("call" in r for r in found) > len(found)
    kicked = sum("kick" in r for r in found) / len(found)
    parts = []
    for name, begin, end in PARTS:
        between = {begin, end}
        if "call" in between and not calls or "kick" in between and kicked <= 0.5:
            continue
        if between == {"server", "complete"} and calls:
            continue
        if between == {"issue", "server"} and kicked > 0.5:
            continue
        times = [r[end] - r[begin] for r in found if begin in r and end in r]
        if times:
            parts.append({"part": name, "us": round(statistics.median(times), 1)})
    whole = statistics.median(r["issue2"] - r["issue"] for r in found)
    switches = statistics.median(r["switches"] for r in found)
    return {"requests": len(found), "kicks_per_request": round(kicked, 2), "whole_us": round(whole, 1),
            "switches": switches, "parts": parts}
