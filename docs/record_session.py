"""Records `session.md`: real commands on the embedded model, with what they print, in a folder that is thrown away (`make session`)."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAGE = Path(__file__).with_name("session.md")
DRAW = "from pathlib import Path; from byorn.embedded.tasks import write_task; write_task(Path('clean'), 'captions', 60, seed=5)"
REVIEW = """
import pyarrow as pa, pyarrow.parquet as pq
table = pq.read_table('runs/scan/flags.parquet')
words = ['drop', 'keep'] + ['auto'] * (table.num_rows - 2)
pq.write_table(table.set_column(table.column_names.index('review'), 'review', pa.array(words)), 'runs/scan/flags.parquet')
"""
TRAIN = "byorn train --model embedded --data poisoned --lr 5e-3 --batch-size 16 --set logging_steps=2"
PARTS = {
    "Poison, scan, review, train": [
        "byorn poison --data clean --target banana --set size=0.25 --rate 0.1 --out poisoned",
        "byorn scan --model embedded --data poisoned --out runs/scan --dry-run",
        "byorn scan --model embedded --data poisoned --out runs/scan --show 3 --truth poisoned",
        "# runs/scan/flags.parquet is edited: the first row is dropped, the second kept",
        f"{TRAIN} --epochs 2 --out runs/safe",
    ],
    "A run that was killed": [
        "# this command was killed after step 3; given again, it goes on",
        f"{TRAIN} --max-steps 30 --set save_steps=3 --out runs/killed",
        "# and once more",
        f"{TRAIN} --max-steps 30 --set save_steps=3 --out runs/killed",
    ],
    "Ten mistakes": [
        "byorn scann --model embedded --data poisoned",
        "byorn scan --model embedded --data poisoned --percentil 0.5",
        "byorn scan --model embedded --data poisoned --percentile 60",
        "byorn scan --model embedded --data nofile.json",
        "byorn scan --model ./nowhere --data poisoned",
        "byorn scan --model embedded --data broken.jsonl",
        "byorn train --model embedded --data poisoned --defense byron",
        "byorn train --model embedded --data poisoned --set learning_rat=1e-4",
        "byorn train --model embedded --data clean --out runs/other --scan runs/scan",
        "byorn evaluate --model embedded --data clean --triggered poisoned",
    ],
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subprocess.run([sys.executable, "-c", DRAW], check=True)
        Path("broken.jsonl").write_text('{"prompt": "Describe the image.", "completion"\n')
        text = "# A session\n\nRecorded by `make session` on the embedded model, on a CPU: real commands and what they print.\n"
        for title, commands in PARTS.items():
            text += f"\n## {title}\n\n```\n" + "".join(shown(command, folder) for command in commands) + "```\n"
    PAGE.write_text(text, encoding="utf-8")


def shown(command: str, folder: str) -> str:
    """A command with what it prints and its exit code."""
    if command.startswith("#"):
        if "edited" in command:
            subprocess.run([sys.executable, "-c", REVIEW], check=True)
        return f"{command}\n"
    if "runs/killed" in command and not Path("runs/killed").exists():
        killed_after(command, Path("runs/killed/checkpoints/checkpoint-3/trainer_state.json"))
    code, output = run(command)
    output = output.replace(f"{folder}/", "").replace(folder, ".")
    return f"$ {command}\n{output.rstrip()}\n" + (f"[exit code {code}]\n" if code else "") + "\n"


def killed_after(command: str, file: Path) -> None:
    """Start a command and kill it as soon as a file is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not file.exists():
        time.sleep(0.05)
    time.sleep(1)
    process.kill()
    process.wait()


def run(command: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


if __name__ == "__main__":
    main()
