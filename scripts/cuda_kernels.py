"""What NVIDIA's compiler made of the kernels: registers, spills and shared memory, and the occupancy that they imply.

    python3 -m scripts.cuda_kernels MESSAGES [--record]

MESSAGES is what `cargo clippy --message-format=json` printed, which names the folder where `kernels/build.rs` has compiled. Prints the table and, with
--record, writes it into kernels/README.md. Fails where a kernel of kernels/tuned.txt spills registers, and where one that is listed does not exist.
`scripts/cuda-check` runs it.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "kernels" / "README.md"
TUNED = REPOSITORY / "kernels" / "tuned.txt"
# Of the shared memory that each block takes, by the system.
SYSTEM_BYTES = 1024
BEGIN, END = "<!-- what the compiler says: begin -->", "<!-- what the compiler says: end -->"


@dataclass(frozen=True)
class Multiprocessor:
    """What a multiprocessor holds: CUDA C++ Programming Guide 13.0, "Technical specifications per compute capability"."""

    name: str
    warps: int
    blocks: int
    shared_bytes: int

    def resident_warps(self, kernel: Kernel) -> int:
        """Warps that are resident at once when there are blocks enough."""
        warps_of_block = -(-kernel.threads // 32)
        # Registers are given to a warp in units of 256, and to each of four quarters of the multiprocessor.
        registers_of_warp = -(-kernel.registers * 32 // 256) * 256
        limits = [self.warps // warps_of_block, self.blocks]
        limits.append((16384 // registers_of_warp) * 4 // warps_of_block)
        limits.append(self.shared_bytes // (kernel.shared_bytes + SYSTEM_BYTES))
        return min(limits) * warps_of_block


MULTIPROCESSORS = {
    "sm_80": Multiprocessor("8.0", 64, 32, 164 << 10),
    "sm_86": Multiprocessor("8.6", 48, 16, 100 << 10),
    "sm_89": Multiprocessor("8.9", 48, 24, 100 << 10),
    "sm_90a": Multiprocessor("9.0", 64, 32, 228 << 10),
    "sm_100": Multiprocessor("10.0", 64, 32, 228 << 10),
    "sm_120": Multiprocessor("12.0", 48, 24, 100 << 10),
}


@dataclass
class Kernel:
    """A kernel as compiled for one architecture."""

    registers: int
    threads: int
    # Static and dynamic, of a block.
    shared_bytes: int
    # Of a thread's memory beside its registers: what was spilled, and arrays that are indexed while it runs.
    stack_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("messages", type=Path)
    parser.add_argument("--record", action="store_true", help="write the table into kernels/README.md")
    arguments = parser.parse_args()
    tuned = read_tuned(TUNED.read_text())
    kernels: dict[str, dict[str, Kernel]] = {}
    for binary in sorted(build_folder(arguments.messages).glob("*.fatbin")):
        if (REPOSITORY / "kernels" / "cuda" / f"{binary.stem}.cu").exists():
            merge(kernels, compiled(binary, tuned))
    table = "\n".join(rows(kernels))
    print(table)
    if arguments.record:
        README.write_text(recorded(README.read_text(), f"With {compiler()}.\n\n{table}"))
    problems = [f"kernels/tuned.txt lists {name}, which is no kernel" for name in tuned if name not in kernels]
    for name in tuned:
        for architecture, kernel in kernels.get(name, {}).items():
            if kernel.stack_bytes:
                problems.append(f"{name} keeps {kernel.stack_bytes} bytes of a thread out of registers on {architecture}")
    if problems:
        sys.exit("\n".join(problems))


def read_tuned(text: str) -> dict[str, int]:
    """Lines of a kernel's name and the bytes of dynamic shared memory that its plan takes."""
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    return {line[0]: int(line[1]) for line in lines if line}


def build_folder(messages: Path) -> Path:
    """Where this package's build script wrote."""
    for line in messages.read_text().splitlines():
        message = json.loads(line)
        if message["reason"] == "build-script-executed" and re.search(r"[/#]stir[@#]", message["package_id"]):
            return Path(message["out_dir"])
    sys.exit(f"{messages} names no folder of stir's build script")


def merge(kernels: dict[str, dict[str, Kernel]], more: dict[str, dict[str, Kernel]]) -> None:
    for name, by_architecture in more.items():
        if name in kernels:
            sys.exit(f"two kernels are called {name}")
        kernels[name] = by_architecture


def compiled(binary: Path, tuned: dict[str, int]) -> dict[str, dict[str, Kernel]]:
    """The kernels of a fat binary, by name and architecture."""
    kernels: dict[str, dict[str, Kernel]] = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cuobjdump", "-xelf", "all", binary.resolve()], cwd=folder, check=True, capture_output=True)
        for cubin in sorted(Path(folder).glob("*.cubin")):
            architecture = cubin.suffixes[-2].lstrip(".")
            threads = dict(read_threads(cubin.read_bytes()))
            usage = subprocess.run(["cuobjdump", "-res-usage", cubin], check=True, capture_output=True, text=True).stdout
            for name, registers, stack, shared in re.findall(r"Function (\w+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+)", usage):
                # From Hopper on what the system keeps is counted, where a kernel uses shared memory at all.
                counted = SYSTEM_BYTES if int(shared) and architecture not in ("sm_80", "sm_86", "sm_89") else 0
                shared_bytes = int(shared) - counted + tuned.get(name, 0)
                kernel = Kernel(int(registers), threads[name], shared_bytes, int(stack))
                kernels.setdefault(name, {})[architecture] = kernel
    return kernels


def read_threads(data: bytes) -> Iterator[tuple[str, int]]:
    """Kernels and the most threads of their blocks, from the `.nv.info` sections of an ELF file."""
    (start,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, start + index * size) for index in range(count)]
    for header in headers:
        begin = headers[names][4] + header[0]
        name = data[begin : data.index(b"\0", begin)].decode()
        if name.startswith(".nv.info."):
            yield name.removeprefix(".nv.info."), most_threads(data[header[4] : header[4] + header[5]])


def most_threads(content: bytes) -> int:
    """The most threads of a block: attribute 5, three numbers."""
    at = 0
    while at < len(content):
        form, attribute = content[at], content[at + 1]
        length = struct.unpack_from("<H", content, at + 2)[0] if form == 4 else 0
        if attribute == 5:
            return struct.unpack_from("<I", content, at + 4)[0]
        at += 4 + length
    sys.exit("a kernel does not say how many threads it is for")


def rows(kernels: dict[str, dict[str, Kernel]]) -> list[str]:
    heads = [f"{multiprocessor.name}" for multiprocessor in MULTIPROCESSORS.values()]
    table = [["kernel", "threads", "shared bytes", *heads], ["---"] * (3 + len(heads))]
    for name, by_architecture in sorted(kernels.items()):
        one = next(iter(by_architecture.values()))
        table.append([f"`{name}`", str(one.threads), str(one.shared_bytes)])
        table[-1] += [cell(by_architecture.get(key), value) for key, value in MULTIPROCESSORS.items()]
    return ["| " + " | ".join(row) + " |" for row in table]


def cell(kernel: Kernel | None, multiprocessor: Multiprocessor) -> str:
    if kernel is None:
        return ""
    stack = f" + {kernel.stack_bytes} bytes" if kernel.stack_bytes else ""
    return f"{kernel.registers}{stack}: {multiprocessor.resident_warps(kernel)}/{multiprocessor.warps}"


def compiler() -> str:
    text = subprocess.run(["nvcc", "--version"], check=True, capture_output=True, text=True).stdout
    return "nvcc " + re.search(r"release ([\d.]+)", text)[1]


def recorded(readme: str, table: str) -> str:
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


if __name__ == "__main__":
    main()
