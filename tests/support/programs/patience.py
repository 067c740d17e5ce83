"""One of two processes that do something in turn, for longer than a collective may take. See test_distributed."""

import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from pretrain.common.distributed import start


def main() -> None:
    group = start("cpu", timeout=timedelta(seconds=3))
    with group.one_per_node(), open(Path(sys.argv[1]) / "order", "a") as order:
        time.sleep(5 * group.main)
        order.write(f"{group.rank}\n")
    value = torch.ones(1)
    dist.all_reduce(value)  # the others' time-out has not begun while they waited
    assert value.item() == 2
    group.close()


if __name__ == "__main__":
    main()
