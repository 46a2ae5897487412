"""The memory after a million requests for different pages, compared with the setting that limits the cache.

    python -m tests.load.memory [--rows N] [--requests N] [--cache-bytes N]

The pages have all sizes and positions, so that the cache is always full.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from gateway.cli.process import free_port
from tests.load.contest import Contestant, Server, load
from tests.load.fill import fill
from tests.load.pages import PAGE, bearer, settings, token

ROUND_S = 5
# Pages of 1 to 50 rows anywhere in the list: far more than fit into the cache.
DIFFERENT = """
request = function()
 return wrk.format("GET", "/bitrix/users?size=" .. math.random(1, 50) .. "&page=" .. math.random(1, {pages}))
end
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--cache-bytes", type=int, default=67_108_864)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        scratch = Path(directory)
        asyncio.run(fill(scratch / "gateway.db", options.rows))
        port = free_port("127.0.0.1")
        environ = settings(scratch / "gateway.db", port, GATEWAY_PAGE_CACHE_BYTES=str(options.cache_bytes))
        server = Server(["-m", "gateway", "serve"], port, environ, scratch / "log")
        server.start(PAGE, bearer(token()))
        try:
            requests, idle_mb = 0, server.memory_mb
            print(f"{idle_mb:.0f} MB idle; the cache may take {options.cache_bytes / 2**20:.0f} MB", flush=True)
            reader = Contestant("", server, PAGE, bearer(token()), DIFFERENT.format(pages=options.rows // 50))
            while requests < options.requests:
                requests += round(load(reader, ROUND_S, 32, scratch).requests_per_s * ROUND_S)
                print(f"{requests:11,} requests: {server.memory_mb - idle_mb:4.0f} MB more than idle", flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
