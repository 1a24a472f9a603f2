"""As much of SLURM as jobs are run with: sbatch, srun, sacct, scancel and scontrol, of this machine alone.

A job is a process; what there is to know of it lies in the folder ``FAKE_SLURM``: its script, its process (``.pid``),
its end (``.end``), and what was asked of it (``asked``).
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

PROGRAMS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


def install(folder, monkeypatch):
    """Put the programs before all others; jobs are kept in ``folder``."""
    folder.mkdir()
    for name in PROGRAMS:
        program = folder / name
        program.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}\nmain()\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))


def main():
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    folder = Path(os.environ["FAKE_SLURM"])
    if name != "srun":
        with open(folder / "asked", "a") as asked:
            asked.write(" ".join([name, *words]) + "\n")
    {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scancel": scancel, "scontrol": scontrol}[name](folder, words)


def sbatch(folder, words):
    script = Path(words[-1]).read_text()
    if "--partition=none" in script:
        sys.exit("sbatch: error: invalid partition specified: none")
    number = 100 + len(list(folder.glob("*.sh")))
    (folder / f"{number}.sh").write_text(script)
    array = re.search(r"--array=0-(\d+)", script)
    for index in range(int(array[1]) + 1) if array else [None]:
        start(folder, str(number) if index is None else f"{number}_{index}")
    print(f"Submitted batch job {number}")


def start(folder, job):
    number, _, index = job.partition("_")
    environment = {**os.environ, "SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "FAKE_JOB": job}
    if index:
        environment |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index}
    (folder / f"{job}.end").unlink(missing_ok=True)
    # A job that was requeued as it ended says nothing of the one that took its place.
    (folder / f"{job}.start").write_text(str(os.getpid()))
    last = f"[ $(cat {folder}/{job}.start) = {os.getpid()} ]"
    command = ["bash", "-c", f"bash {folder}/{number}.sh; code=$?; {last} && echo $code > {folder}/{job}.end"]
    subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def srun(folder, words):
    job = os.environ["FAKE_JOB"]
    (folder / f"{job}.pid").write_text(str(os.getpid()))
    for option, stream in (("--output", 1), ("--error", 2)):
        path = words[words.index(option) + 1].replace("%j", job).replace("%A", job.split("_")[0])
        file = path.replace("%a", job.split("_")[-1]).replace("%t", "0")
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    program = next(place for place, word in enumerate(words) if word == sys.executable)
    os.execv(sys.executable, words[program:])


def sacct(folder, words):
    print("JobID|State|NodeList")
    for script in folder.glob("*.sh"):
        for pid in folder.glob(f"{script.stem}*.pid"):
            end = pid.with_suffix(".end")
            code = end.read_text().strip() if end.exists() else None
            print(f"{pid.stem}|{'RUNNING' if code is None else 'COMPLETED' if code == '0' else 'FAILED'}|here")


def scancel(folder, words):
    asked = next((word for word in words if word.startswith("--")), "--signal=KILL")
    if asked == "--state=PENDING":
        return
    number = getattr(signal, "SIG" + asked.partition("=")[2].removeprefix("SIG"), signal.SIGKILL)
    for job in [word for word in words if not word.startswith("--")]:
        if not (folder / f"{job}.end").exists():
            os.kill(int((folder / f"{job}.pid").read_text()), number)


def scontrol(folder, words):
    assert words[0] == "requeue"
    start(folder, words[1])
