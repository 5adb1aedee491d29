#!/usr/bin/env python3
"""Measure stir on an NVIDIA GPU beside PyTorch and diffusers: the same shapes, random weights of the releases' sizes, one run, one table.

    pip install torch diffusers transformers sentencepiece safetensors numpy pillow
    cargo build --release --features cuda
    cargo bench --bench versus --features cuda --no-run --message-format=json        # names the program for --versus
    python scripts/bench_cuda.py --stir target/release/stir --versus target/release/deps/versus-...
    python scripts/bench_cuda.py --device cpu --small          both sides on tiny networks, to see that it works: the times say nothing

Without --stir and --versus both are built first, which takes the CUDA toolkit. Parts, all when none is named:

* ops: attention at 16,720 tokens with heads of 64 and 128 beside FlashAttention and cuDNN; the linear layers of LTX-Video 2B and 13B beside PyTorch and
  the fastest of cuBLASLt's own proposals; a 3x3x3 convolution beside cuDNN with channels last; norms beside PyTorch, plain and compiled
* step, decode, t5: one prediction of LTX-Video 2B, the decode of its latents, and T5 v1.1 XXL, all for 1216x704 and 153 frames, with the same weights and
  inputs on both sides, whose outputs are compared; diffusers plain and compiled
* clip: from a picture to frames in 8 steps with guidance, without loading the model and without writing the file

The floor is what the work would take at the rate of the best matrix product that stir measured in the same run (or of a copy of memory). Weights are about 25 GB
on disk, below --folder. Exit code 1: outputs differ by more than the type explains, or something of stir's did not run.
"""

import argparse
import json
import math
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.bench_vs_diffusers import BOUNDS, NETWORKS, ROOT, SMALL_INPUTS, SMALL_NETWORKS, Engine, built_program  # noqa: E402

PARTS = ["ops", "step", "decode", "t5", "clip"]
# What `benches/versus.rs` and `versus/engine.py` call them.
ENGINE_PARTS = {"step": "transformer", "decode": "vae-decode", "t5": "t5"}
PROMPT = "her hair flows in the wind, soft light shifting"

FULL = {
    "networks": {
        "transformer": NETWORKS["transformer"] | {"layers": 28},
        "vae": NETWORKS["vae"],
        "text": NETWORKS["text"] | {"layers": 24},
    },
    "inputs": {"grid": [20, 22, 38], "latents": [20, 22, 38], "text_tokens": 128, "held_frame": True},
    "clip": {"width": 1216, "height": 704, "frames": 153, "steps": 8, "prompt": PROMPT},
}
SMALL = {
    "networks": SMALL_NETWORKS | {"text": SMALL_NETWORKS["text"] | {"vocabulary": 32128}},
    "inputs": SMALL_INPUTS | {"held_frame": True},
    "clip": {"width": 96, "height": 64, "frames": 9, "steps": 2, "prompt": PROMPT},
}


class Row:
    """A line of the table: seconds of stir, of the floor, and of others by name; text where somebody could not run it."""

    def __init__(self, what, stir, floor, others):
        self.what, self.stir, self.floor, self.others = what, stir, floor, others

    def best(self):
        """The fastest other."""
        return min((seconds for seconds in self.others.values() if isinstance(seconds, float)), default=None)

    def as_dict(self):
        return {"what": self.what, "stir_seconds": self.stir, "floor_seconds": self.floor, "others": self.others}

    def cells(self):
        best = self.best()
        others = "; ".join(f"{name} {shown(seconds)}" for name, seconds in self.others.items())
        return [
            self.what, shown(self.stir), shown(self.floor) if self.floor else "-", f"{self.floor / self.stir:.0%}" if self.floor else "-",
            others or "-", f"{best / self.stir:.2f}" if best else "-",
        ]


def shown(seconds):
    if isinstance(seconds, str):
        return seconds
    return f"{1e3 * seconds:.3f} ms" if seconds < 1 else f"{seconds:.3f} s"


class Bench:
    """What all parts share."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.sizes = SMALL if options.small else FULL
        self.model = folder / "model"
        features = [] if options.device == "cpu" else ["--features", "cuda"]
        self.stir = str(options.stir.resolve()) if options.stir else built_stir(features)
        needs_engines = set(options.parts) & set(ENGINE_PARTS)
        self.versus = str(options.versus.resolve()) if options.versus else built_program(*features) if needs_engines else None

    def python(self, module, *arguments):
        subprocess.run([sys.executable, "-m", f"scripts.versus.{module}", *map(str, arguments)], cwd=ROOT, check=True)

    def make_networks(self):
        parts = [ENGINE_PARTS[part] for part in self.options.parts if part in ENGINE_PARTS]
        self.python("networks", self.folder, json.dumps(self.sizes), *parts)

    def run_stir(self, *arguments):
        """Runs `stir bench`; the record that it wrote."""
        output = self.folder / "record.json"
        output.unlink(missing_ok=True)
        command = [self.stir, "bench", *map(str, arguments), "--device", self.options.device, "--json", str(output)]
        print("+", shlex.join(command), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=sys.stderr)
        return json.loads(output.read_text())

    def operations(self):
        """Rows of single operations."""
        # On one core of the CPU the shapes are those of a smaller clip, and the others would take minutes.
        names = ["gemm", "norm"] if self.options.small else [None]
        rows, records = [], []
        for name in names:
            record = self.run_stir("ops", *([name] if name else []), "--repeats", self.options.repeats)
            records.append(record)
            measured, output = self.folder / "operations.json", self.folder / "torch.json"
            measured.write_text(json.dumps(record))
            self.python("operations", measured, output, self.options.device, self.options.repeats)
            for operation, others in zip(record["operations"], json.loads(output.read_text())):
                proposals = [algorithm["seconds"] for algorithm in operation.get("algorithms", [])]
                if proposals:
                    others[f"best of {len(proposals)} of cuBLASLt"] = min(proposals)
                what = f"{operation['name']}, {operation['shape']}, {operation['dtype']}"
                rows.append(Row(what, operation["seconds"]["median"], operation["amount"] / operation["limit"], others))
        return rows, records

    def engine(self, part, flags):
        """A process that loads and runs a part, and where it will write: diffusers' with these flags of `versus/engine.py`, ours where they are None."""
        name = "stir" if flags is None else "-".join(["diffusers", *flags])
        output = self.folder / f"{part}-{name}.safetensors"
        inputs = self.folder / ("clip.json" if part == "clip" else f"{part}.safetensors")
        if flags is None:
            command, last = [self.versus], [self.options.device]
        else:
            command = [sys.executable, "-m", "scripts.versus.engine"]
            last = [*flags, *([] if self.options.device == "cpu" else [self.options.device])]
        arguments = [part, self.model, inputs, output, "bf16", self.options.threads, *last]
        return Engine([*command, *map(str, arguments)], None), output

    def seconds(self, part, flags):
        """Median of a part's runs after two that are not counted, and where its output is. Engines end before the next begins: each wants the memory."""
        engine, output = self.engine(part, flags)
        engine.ask("load")
        for _ in range(2):
            engine.ask("run")
        taken = statistics.median(engine.ask("run") for _ in range(self.options.repeats))
        engine.ask("write")
        engine.end()
        return taken, output

    def others(self, part):
        """Seconds of diffusers, plain and compiled, and the plain one's output."""
        plain, output = self.seconds(part, [])
        others = {"diffusers": plain}
        if self.options.compiled:
            try:
                others["diffusers, compiled"], _ = self.seconds(part, ["compiled"])
            except SystemExit:
                # What torch.compile cannot do is no reason to lose the rest.
                others["diffusers, compiled"] = "does not run"
        return others, output

    def network(self, part, operations, peak):
        """The row of a network, and how far the outputs are apart."""
        name = ENGINE_PARTS[part]
        ours, found = self.seconds(name, None)
        others, expected = self.others(name)
        floor = operations / peak if operations else None
        return Row(part, ours, floor, others), difference(found, expected)

    def clip(self, record):
        """The row of a whole clip, by the stages of a record."""
        (self.folder / "clip.json").write_text(json.dumps({"request": self.sizes["clip"]}))
        stages = {stage["name"]: stage for stage in record["stages"]}
        count = {"text": 1, "encode": 1, "step": self.sizes["clip"]["steps"], "decode": 1}
        ours = sum(times * stages[name]["seconds"]["median"] for name, times in count.items())
        operations = sum(times * (stages[name]["teraflop"] or 0) for name, times in count.items())
        others, _ = self.others("clip")
        return Row("clip", ours, operations / record["peak_teraflops"], others)

    def stages(self):
        """What `stir bench` says of the model, clip and steps of this run: its stages, the operations of each, and the device's peak."""
        clip = self.sizes["clip"]
        size = ["-W", clip["width"], "-H", clip["height"], "--num-frames", clip["frames"], "--steps", clip["steps"]]
        return self.run_stir("--model", self.model, *size, "--dtype", "bf16", "--repeats", self.options.repeats, "--no-save")


def built_stir(features):
    subprocess.run(["cargo", "build", "--release", *features], cwd=ROOT, check=True)
    target = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return str(Path(json.loads(target)["target_directory"]) / "release" / "stir")


def difference(found, expected):
    """Root mean square of the difference of two outputs over that of the second."""
    from safetensors.numpy import load_file

    found, expected = (load_file(path)["output"].astype("float64") for path in (found, expected))
    if found.shape != expected.shape:
        sys.exit(f"error: outputs of shape {list(found.shape)} and {list(expected.shape)}")
    return float(((found - expected) ** 2).mean() ** 0.5 / (expected**2).mean() ** 0.5)


def prediction_operations(sizes):
    """Of the step: linear layers of each token, attention of all tokens to each other and to the text."""
    network, inputs = sizes["networks"]["transformer"], sizes["inputs"]
    tokens, width, layers = math.prod(inputs["grid"]), network["heads"] * network["head_width"], network["layers"]
    return layers * (2 * tokens * 14 * width**2 + 4 * tokens**2 * width + 4 * tokens * inputs["text_tokens"] * width)


def operations_of(part, sizes, record):
    """Operations of a network's run, where they are known."""
    if part == "step":
        return prediction_operations(sizes)
    stage = next(stage for stage in record["stages"] if stage["name"] == {"decode": "decode", "t5": "text"}[part])
    # The text encoder goes over the text of guidance too, whose number of tokens is another.
    return 1e12 * stage["teraflop"] if part == "decode" and stage["teraflop"] else None


def machine(options, records):
    """Where and with what was measured."""
    import torch

    try:
        commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True).stdout.strip()
    except FileNotFoundError:
        commit = None
    gpu = torch.cuda.get_device_name() if options.device != "cpu" else None
    return {
        "gpu": gpu, "stir": commit or "unknown", "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
        "diffusers": installed("diffusers"), "transformers": installed("transformers"), "repeats": options.repeats,
        "command": shlex.join(["python", "scripts/bench_cuda.py", *sys.argv[1:]]), "records": records,
    }


def installed(package):
    """Its version. Operations are measured without diffusers."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def report(options, found):
    """The table, as Markdown, and the file of all that was measured."""
    about = machine(options, found.records)
    print(f"\n{about['gpu'] or 'the CPU'}; stir {about['stir']}, torch {about['torch']} (CUDA {about['cuda']}, cuDNN {about['cudnn']}), "
          f"diffusers {about['diffusers']}, transformers {about['transformers']}; medians of {about['repeats']}")
    print(f"\n    {about['command']}\n")
    header = ["what", "stir", "floor", "share of the floor", "others", "fastest other / stir"]
    print("| " + " | ".join(header) + " |\n|" + " --- |" * len(header))
    for row in found.rows:
        print("| " + " | ".join(row.cells()) + " |")
    print()
    for part, apart in found.differences.items():
        print(f"{part}: outputs differ by {apart:.2e}, {BOUNDS['bf16']:.0e} is allowed")
    if options.json:
        written = {"machine": about, "differences": found.differences, "rows": [row.as_dict() for row in found.rows]}
        options.json.write_text(json.dumps(written, indent=2) + "\n")


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when left out")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="where both sides run (cuda)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of everything (5)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU for the networks (1)")
    parser.add_argument("--no-compiled", dest="compiled", action="store_false", help="leave torch.compile out, which takes minutes")
    parser.add_argument("--small", action="store_true", help="tiny networks, to see that it works: the times say nothing")
    parser.add_argument("--folder", type=Path, help="where the weights are made, and stay (a temporary folder)")
    parser.add_argument("--stir", type=Path, metavar="FILE", help="the program (built now)")
    parser.add_argument("--versus", type=Path, metavar="FILE", help="benches/versus.rs as built before (built now)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"PART: wanted {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    if options.repeats < 1 or options.threads < 1:
        parser.error("wanted at least 1 repeat and 1 thread")
    options.parts = options.parts or PARTS
    return options


class Found:
    """Rows, differences of outputs by part, and stir's records. Each row is printed when it is known: a machine may be taken away before the last."""

    def __init__(self):
        self.rows, self.differences, self.records = [], {}, []

    def add(self, *rows):
        self.rows.extend(rows)
        for row in rows:
            print("| " + " | ".join(row.cells()) + " |", file=sys.stderr, flush=True)


def measure(bench, found):
    """Everything that was asked for."""
    if "ops" in bench.options.parts:
        rows, found.records = bench.operations()
        found.add(*rows)
    if set(bench.options.parts) == {"ops"}:
        return
    bench.make_networks()
    record = bench.stages()
    found.records.append(record)
    for part in ENGINE_PARTS:
        if part in bench.options.parts:
            row, found.differences[part] = bench.network(part, operations_of(part, bench.sizes, record), 1e12 * record["peak_teraflops"])
            found.add(row)
    if "clip" in bench.options.parts:
        found.add(bench.clip(record))


def main():
    options = parsed()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="stir-cuda-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    found = Found()
    try:
        measure(Bench(options, folder), found)
    finally:
        # Also of what was measured before a failure.
        report(options, found)
        if options.folder is None:
            shutil.rmtree(folder)
    if not all(math.isfinite(apart) and apart <= BOUNDS["bf16"] for apart in found.differences.values()):
        sys.exit("error: outputs differ by more than is allowed")


if __name__ == "__main__":
    main()
