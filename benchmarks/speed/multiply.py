"""Makes a database ten times as large out of another, quicker than an import: for figures that only read.

Each event comes so many times, seven seconds apart, its object each time another one; blocks and first times are made
anew. usage: multiply SOURCE TARGET [TIMES]
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.progress import track

from bot.store.log import blocks, pieces, sums
from bot.store.log.learned import learn
from bot.store.schema import Store
from bot.times import DAY, SECOND

APART = 7 * SECOND


def multiply(source: Path, target: Path, times: int = 10) -> None:
    store = Store(target)
    link = store.connection
    link.execute("ATTACH ? AS small", (str(source),))
    for pragma in ("synchronous = OFF", "cache_size = -300000"):
        link.execute(f"PRAGMA {pragma}")
    objects = link.execute("SELECT max(id) FROM small.objects").fetchone()[0]
    with store.write():
        for table in ("actors", "networks", "addresses", "types", "actions"):
            link.execute(f"INSERT INTO {table} SELECT * FROM small.{table}")
        for copy in range(times):
            suffix = f"-{copy}" if copy else ""
            link.execute("INSERT INTO objects SELECT id + ?, name || ? FROM small.objects", (copy * objects, suffix))
    link.execute("CREATE TEMP TABLE copies (n INTEGER)")
    link.executemany("INSERT INTO copies VALUES (?)", ((copy,) for copy in range(times)))
    first, last = link.execute("SELECT min(time), max(time) FROM small.events").fetchone()
    for day in track(range(first, last + 1, DAY), f"Times {times}"):
        with store.write():
            after = link.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
            link.execute(
                "INSERT INTO events (time, fingerprint, ordinal, actor, ip, object, type, action, shape)"
                " SELECT time + n * ?, fingerprint + n, ordinal, actor, ip, object + n * ?, type, action, shape"
                " FROM small.events, temp.copies WHERE time BETWEEN ? AND ? ORDER BY 1",
                (APART, objects, day, day + DAY - 1),
            )
            learn(link, after)
            blocks.settle(link, 1000)
            sums.settle(link, 1000)
    while True:
        with store.write():
            before = store.meta("names_indexed")
            pieces.index(link)
        if store.meta("names_indexed") == before:
            break
    store.close()


if __name__ == "__main__":
    multiply(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 10)
