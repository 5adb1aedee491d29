#!/usr/bin/env python3
"""Measure stir and diffusers side by side on the CPU: the same random weights and inputs, the same cores and threads, in one run.

    pip install torch diffusers transformers sentencepiece safetensors numpy
    python scripts/bench_vs_diffusers.py [transformer vae-decode t5] [--dtype f32 bf16] [--pairs N] [--threads N] [--json FILE]
    python scripts/bench_vs_diffusers.py --small          everything on tiny networks, in about a minute: does it work?

Each engine is a process of its own, and they take turns: A B A B. After a warm-up the outputs are compared, and more difference than the type
explains ends the program with exit code 1. stir's side is benches/versus.rs, which loads and runs the networks as the program does; PyTorch's is
scripts/versus/engine.py. Networks have the width of the releases, and two layers of their many:

* transformer: LTX-Video 2B, 6,600 tokens (704x480, 153 frames), a text of 128 tokens; one step, with the same noise level for all tokens
  (`--held-frame`: the first frame is clean, as in image-to-video; diffusers then works out a noise level for each token)
* vae-decode: the decoder of 0.9.5, latents [1, 128, 3, 15, 22]; PyTorch with the faster of two layouts of its weights
* t5: T5 v1.1 XXL, 128 tokens; also loading and running together, as it goes in the program

Weights are about 2.5 GB in bfloat16; loading them finds them in the system's file cache. Peak memory is what the system reports of each process,
file cache in use included.
"""

import argparse
import json
import math
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["transformer", "vae-decode", "t5"]
ENGINES = ["stir", "diffusers"]

# Of the releases, but for the number of layers.
NETWORKS = {
    "transformer": {"heads": 32, "head_width": 64, "layers": 2},
    "vae": {"latent_channels": 128, "widths": [256, 512, 1024], "layers": 5},
    "text": {"vocabulary": 32128, "width": 4096, "head_width": 64, "heads": 64, "feed_forward": 10240, "layers": 2},
}
INPUTS = {"grid": [20, 15, 22], "latents": [3, 15, 22], "text_tokens": 128}
SMALL_NETWORKS = {
    "transformer": {"heads": 2, "head_width": 16, "layers": 2},
    "vae": {"latent_channels": 8, "widths": [8, 8, 16], "layers": 1},
    "text": {"vocabulary": 512, "width": 32, "head_width": 8, "heads": 4, "feed_forward": 48, "layers": 2},
}
SMALL_INPUTS = {"grid": [3, 2, 4], "latents": [3, 2, 3], "text_tokens": 12}

# Root mean square of the difference over that of diffusers' output.
BOUNDS = {"f32": 1e-4, "bf16": 4e-2}

# Seconds between two requests.
REST = 0.5


class Engine:
    """A process that loads and runs one network when it is asked to."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def memory(self):
        """The most that it has taken so far, in bytes, where the system tells."""
        status = Path(f"/proc/{self.process.pid}/status")
        lines = [line.split() for line in status.read_text().splitlines()] if status.exists() else []
        return next((1024 * int(words[1]) for words in lines if words and words[0] == "VmHWM:"), None)

    def ask(self, request):
        """Seconds that the request took. Before it the threads of the other engine come to rest: they spin for a while when they have nothing to do."""
        time.sleep(REST)
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"error: {shlex.join(self.process.args)}: wanted an answer to `{request}`, but it ended; what it printed says why")
        return float(answer)

    def end(self):
        """Ends the process; its peak memory in bytes."""
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            sys.exit(f"error: {shlex.join(self.process.args)}: exit code {self.process.returncode}")
        # Kibibytes everywhere but on macOS.
        return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Bench:
    """What all parts share: the folder, the program that is our side, the number of threads."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        threads = str(options.threads)
        self.environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
        self.program = str(options.program.resolve()) if options.program else built_program()

    def make_networks(self):
        """Weights and inputs, in a process of its own: this one stays small, since a child's peak begins with that of its parent."""
        small = self.options.small
        inputs = dict(SMALL_INPUTS if small else INPUTS, held_frame=self.options.held_frame)
        if self.options.tokens_grid:
            inputs["grid"] = self.options.tokens_grid
        if self.options.latents:
            inputs["latents"] = self.options.latents
        sizes = {"networks": SMALL_NETWORKS if small else NETWORKS, "inputs": inputs}
        self.python("networks", str(self.folder), json.dumps(sizes), *self.options.parts)
        return sizes

    def python(self, module, *arguments):
        subprocess.run([sys.executable, "-m", f"scripts.versus.{module}", *arguments], cwd=ROOT, env=self.environment, check=True)

    def output(self, engine, part, dtype):
        return self.folder / f"{part}-{dtype}-{engine}.safetensors"

    def start(self, engine, part, dtype, *layout):
        command = {"stir": [self.program], "diffusers": [sys.executable, "-m", "scripts.versus.engine"]}[engine]
        arguments = [part, self.folder / "model", self.folder / f"{part}.safetensors", self.output(engine, part, dtype), dtype]
        return Engine([*map(str, command + arguments), str(self.options.threads), *layout], self.environment)

    def layout(self, part, dtype):
        """The faster layout of PyTorch's weights, by the second run in each, and the seconds of both."""
        if part != "vae-decode":
            return [], {}
        seconds = {}
        for layout in ["", "channels-last"]:
            engine = self.start("diffusers", part, dtype, *[layout] if layout else [])
            engine.ask("load")
            seconds[layout] = [engine.ask("run") for _ in range(2)][1]
            engine.end()
        best = min(seconds, key=seconds.get)
        return [best] if best else [], {name or "contiguous": taken for name, taken in seconds.items()}

    def measure(self, part, dtype):
        """Seconds of every request, in pairs, by engine; and the peak memory of each."""
        layout, layouts = self.layout(part, dtype)
        engines = {"stir": self.start("stir", part, dtype), "diffusers": self.start("diffusers", part, dtype, *layout)}
        before = {}
        for name, engine in engines.items():
            engine.ask("ready")
            before[name] = engine.memory()
            for request in ["load", "run", "write"]:
                engine.ask(request)
        requests = ["load", "run"] + (["whole"] if part == "t5" else [])
        seconds = {request: {engine: [] for engine in ENGINES} for request in requests}
        for _ in range(self.options.pairs):
            for request in requests:
                for name, engine in engines.items():
                    seconds[request][name].append(engine.ask(request))
        peaks = {name: engine.end() for name, engine in engines.items()}
        return {"part": part, "dtype": dtype, "seconds": seconds, "peak_bytes": peaks, "bytes_before_loading": before, "layouts_of_diffusers_seconds": layouts}


def built_program(*options):
    """The program of benches/versus.rs, built if need be, with these further options of cargo."""
    command = ["cargo", "bench", "--bench", "versus", "--no-run", "--message-format=json-render-diagnostics", *options]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    found = [line["executable"] for line in map(json.loads, lines) if line.get("target", {}).get("name") == "versus" and line.get("executable")]
    return found[-1]


def differences(bench, results):
    """Adds to every result how far apart the outputs are, and how far each is from diffusers' float32 where that was computed too."""
    from safetensors.numpy import load_file

    def output(engine, part, dtype):
        path = bench.output(engine, part, dtype)
        return load_file(path)["output"].astype("float64") if path.exists() else None

    def relative(found, expected):
        if expected is None:
            return None
        if found.shape != expected.shape:
            sys.exit(f"error: outputs of shape {list(found.shape)} and {list(expected.shape)}")
        return float(((found - expected) ** 2).mean() ** 0.5 / (expected**2).mean() ** 0.5)

    for result in results:
        part, dtype = result["part"], result["dtype"]
        found = {engine: output(engine, part, dtype) for engine in ENGINES}
        exact = output("diffusers", part, "f32") if dtype != "f32" else None
        result["difference"] = relative(found["stir"], found["diffusers"])
        result["difference_from_float32"] = {engine: relative(found[engine], exact) for engine in ENGINES}
        result["agrees"] = math.isfinite(result["difference"]) and result["difference"] <= BOUNDS[dtype]


def machine(options):
    """Where and with what was measured."""
    versions = "import json, torch, diffusers, transformers; print(json.dumps({m.__name__: m.__version__ for m in (torch, diffusers, transformers)}))"
    found = subprocess.run([sys.executable, "-c", versions], stdout=subprocess.PIPE, text=True, check=True).stdout
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True).stdout.strip()
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    return {
        "processor": processor, "system": platform.platform(), "python": platform.python_version(), "stir": commit or "unknown",
        **json.loads(found), "threads": options.threads, "cores": options.cores, "pairs": options.pairs,
        "command": shlex.join(["python", "scripts/bench_vs_diffusers.py", *sys.argv[1:]]),
    }


def row(result, request):
    """A line of the table."""
    taken = result["seconds"][request]
    ours, theirs = (statistics.median(taken[engine]) for engine in ENGINES)
    pairs = [slow / fast for fast, slow in zip(taken["stir"], taken["diffusers"])]
    peaks = [f"{result['peak_bytes'][engine] / 2**20:,.0f}" for engine in ENGINES]
    return [result["part"], result["dtype"], {"whole": "load and run"}.get(request, request), f"{ours:.3f}", f"{theirs:.3f}",
            f"{theirs / ours:.2f}", f"{statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})", *peaks]


def report(report):
    """The table, as Markdown."""
    about = report["machine"]
    print(f"\n{about['processor']}, {about['system']}; {about['threads']} threads on cores {about['cores']}; {about['pairs']} pairs")
    print(f"stir {about['stir']}, torch {about['torch']}, diffusers {about['diffusers']}, transformers {about['transformers']}")
    print(f"\n    {about['command']}\n")
    header = ["part", "type", "what", "stir, s", "diffusers, s", "ratio", "ratio of pairs, median (range)", "stir, MiB", "diffusers, MiB"]
    print("| " + " | ".join(header) + " |\n|" + " --- |" * len(header))
    for result in report["results"]:
        for request in result["seconds"]:
            print("| " + " | ".join(row(result, request)) + " |")
    print()
    for result in report["results"]:
        line = f"{result['part']} {result['dtype']}: outputs differ by {result['difference']:.2e}, {BOUNDS[result['dtype']]:.0e} is allowed"
        exact = result["difference_from_float32"]
        if exact["stir"] is not None:
            line += f"; from diffusers' float32 by {exact['stir']:.2e} (stir) and {exact['diffusers']:.2e} (diffusers)"
        before = result["bytes_before_loading"]
        if all(before.values()):
            line += "; before loading " + ", ".join(f"{engine} had taken {before[engine] / 2**20:,.0f} MiB" for engine in ENGINES)
        layouts = result["layouts_of_diffusers_seconds"]
        if layouts:
            line += "; diffusers by layout: " + ", ".join(f"{name} {taken:.3f} s" for name, taken in layouts.items())
        print(line)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when left out")
    parser.add_argument("--dtype", nargs="+", choices=list(BOUNDS), default=list(BOUNDS), help="types to compute in (both)")
    parser.add_argument("--pairs", type=int, default=5, help="measured pairs, after one that warms up (5)")
    parser.add_argument("--threads", type=int, default=len(available_cores()), help="threads and cores of each engine (all)")
    parser.add_argument("--held-frame", action="store_true", help="transformer: the first frame is clean, as in image-to-video")
    parser.add_argument("--tokens-grid", type=int, nargs=3, metavar=("FRAMES", "HEIGHT", "WIDTH"), help="transformer: latent frames and their size (20 15 22)")
    parser.add_argument("--latents", type=int, nargs=3, metavar=("FRAMES", "HEIGHT", "WIDTH"), help="vae-decode: latent frames and their size (3 15 22)")
    parser.add_argument("--small", action="store_true", help="tiny networks, to see that it works: the times say nothing")
    parser.add_argument("--folder", type=Path, help="where the weights are made, or were with --keep (a temporary folder)")
    parser.add_argument("--keep", action="store_true", help="leave weights and outputs in --folder")
    parser.add_argument("--program", type=Path, metavar="FILE", help="benches/versus.rs as built before, by `cargo bench --bench versus --no-run` (built now)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"PART: wanted {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    if options.keep and options.folder is None:
        parser.error("--keep: wanted --folder too, to say where")
    if options.pairs < 1 or not 1 <= options.threads <= len(available_cores()):
        parser.error(f"wanted at least 1 pair and 1 to {len(available_cores())} threads")
    options.parts = options.parts or PARTS
    return options


def available_cores():
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def main():
    options = parsed()
    options.cores = available_cores()[: options.threads]
    if hasattr(os, "sched_setaffinity"):
        bench_cores = options.cores
    else:
        bench_cores = None
        options.cores = "that the system chooses"
    made = options.folder is None
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="stir-versus-"))).resolve()
    made |= not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        bench = Bench(options, folder)
        if bench_cores:
            # Inherited by both engines.
            os.sched_setaffinity(0, bench_cores)
        sizes = bench.make_networks()
        results = []
        for part in options.parts:
            for dtype in options.dtype:
                print(f"{part} {dtype} ...", file=sys.stderr, flush=True)
                results.append(bench.measure(part, dtype))
        differences(bench, results)
    finally:
        if not options.keep:
            remove(folder, whole=made)
    found = {"machine": machine(options), **sizes, "bounds": BOUNDS, "results": results}
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if not all(result["agrees"] for result in results):
        sys.exit("error: outputs differ by more than is allowed")


def remove(folder, whole):
    """What was made here, and the folder itself where it was made too."""
    if whole:
        shutil.rmtree(folder)
        return
    shutil.rmtree(folder / "model", ignore_errors=True)
    for path in [folder / "sizes.json", *folder.glob("*.safetensors")]:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
