"""Creates all topics on a cluster: `python -m deploy.kafka.apply --bootstrap-servers host:port`.

Repeating it is harmless. Topics get one copy each; on a cluster of several brokers create them by the operator's
means from `topics.yaml`, with the replication you want.
"""

import argparse
import asyncio
import sys

from deploy.local.errors import PlatformError
from deploy.local.topics import create
from shared.contracts.topics import physical_topics


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code; 1 when the cluster does not answer or has a topic of another shape."""
    parser = argparse.ArgumentParser(prog="python -m deploy.kafka.apply", description="Creates Freshet's topics.")
    parser.add_argument("--bootstrap-servers", required=True, help="host:port of one or more brokers")
    parser.add_argument("--topic-prefix", default="", help="as FRESHET_<SERVICE>_TOPIC_PREFIX of the services")
    chosen = parser.parse_args(arguments)
    try:
        created = asyncio.run(create(chosen.bootstrap_servers, physical_topics(chosen.topic_prefix)))
    except PlatformError as error:
        print(f"topics: {error}", file=sys.stderr)
        return 1
    print(f"created: {', '.join(created)}" if created else "all topics exist")
    return 0


if __name__ == "__main__":
    sys.exit(main())
