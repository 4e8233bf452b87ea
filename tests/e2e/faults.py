"""A bad disk and a wrong clock for one server: faults that come and go while it runs. Needs gcc, no rights."""
import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

SHIM = Path(__file__).with_name("fault_shim.c")
FIELDS = ("delay_ms", "write_error", "clock_offset_s", "num_delayed", "num_refused", "num_clock_reads")


def can_be_made():
    return shutil.which("gcc") is not None


class Faults:
    """Attributes are the fields of `struct Control` in fault_shim.c: faults.delay_ms = 500 makes the folder slow from now on."""

    def __init__(self, work_folder, folder):
        library, control = Path(work_folder) / "fault_shim.so", Path(work_folder) / "fault_control"
        if not library.exists():
            subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SHIM), "-ldl"], check=True)
        control.write_bytes(bytes(8 * len(FIELDS)))
        with open(control, "r+b") as file:
            self.__dict__["_control"] = mmap.mmap(file.fileno(), 0)
        self.__dict__["environment"] = os.environ | {"LD_PRELOAD": str(library), "FAULT_CONTROL": str(control), "FAULT_FOLDER": str(folder)}

    def __getattr__(self, name):
        if name not in FIELDS:
            raise AttributeError(name)
        return struct.unpack_from("q", self._control, 8 * FIELDS.index(name))[0]

    def __setattr__(self, name, value):
        struct.pack_into("q", self._control, 8 * FIELDS.index(name), value)
